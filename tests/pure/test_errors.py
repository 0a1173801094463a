# SPDX-License-Identifier: MIT
"""Errors: what each is a kind of, what it says, and that it survives pickling."""

from __future__ import annotations

import copy
import pickle

import pytest

import haltable
from haltable import errors
from haltable.errors import (
    ConfigurationError,
    EffectFailed,
    EffectHeld,
    HaltableError,
    LeaseLost,
    LoopBusy,
    LoopInterrupt,
    OutcomeUnknown,
    PayloadMismatch,
    RecordError,
    ResultNotStored,
    StoreError,
    UnboundedLoopError,
    in_words,
    split_interrupt,
)

PLAIN = [HaltableError, ConfigurationError, UnboundedLoopError, ResultNotStored]
STORED = [StoreError, RecordError]
KINDS = {name: getattr(errors, name) for name in errors.__all__}
ROUTES = [pickle.dumps, lambda error: pickle.dumps(error, protocol=0)]


def again(error, route=pickle.dumps):
    """Returns the error as another process would get it."""
    return pickle.loads(route(error))


@pytest.mark.parametrize(
    ("kind", "base"),
    [
        (ConfigurationError, ValueError),
        (UnboundedLoopError, ConfigurationError),
        (RecordError, StoreError),
        *((KINDS[name], HaltableError) for name in KINDS if name != "LoopInterrupt"),
        (haltable.LoopTripped, haltable.LoopHalted),
        (haltable.LoopGaveUp, haltable.LoopHalted),
        (haltable.LoopStopped, haltable.LoopHalted),
        (haltable.LoopHalted, HaltableError),
    ],
)
def test_what_catches_what(kind, base):
    """Whoever catches the base catches the kind."""
    assert issubclass(kind, base)


def test_an_interrupt_is_no_exception():
    """``except Exception`` of an agent framework does not swallow it."""
    assert not issubclass(LoopInterrupt, Exception)
    assert not issubclass(LoopInterrupt, HaltableError)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("kind", PLAIN)
def test_plain_errors_pickle(kind, route):
    """An error from a worker process arrives as what it was."""
    found = again(kind("what went wrong"), route)

    assert type(found) is kind
    assert str(found) == "what went wrong"


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("outcome", ["unknown", "refused"])
@pytest.mark.parametrize("kind", STORED)
def test_store_errors_pickle_with_their_outcome(kind, outcome, route):
    """Whether a write may have been done is not lost on the way."""
    found = again(kind("gone", outcome=outcome), route)

    assert (type(found), str(found), found.outcome) == (kind, "gone", outcome)
    assert copy.copy(found).outcome == outcome


def test_an_outcome_is_unknown_unless_said():
    """A store that says nothing leaves it open whether it wrote."""
    assert StoreError("gone").outcome == "unknown"


def test_a_busy_key_says_who_holds_it():
    """The message names the key, its holder, and when it lapses by itself."""
    busy = again(LoopBusy("report-42", "process 7", 12.4))

    assert (busy.key, busy.holder, busy.lease_left) == ("report-42", "process 7", 12.4)
    assert str(busy) == (
        "'report-42' is being run by process 7; its lease has 12 s left unless it is renewed"
    )


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            PayloadMismatch("charge:7", "another payload"),
            (
                "effect 'charge:7' was called before with another payload; "
                "one key names one effect: give this one another key"
            ),
        ),
        (
            EffectHeld("charge:7", "process 7", 12.4),
            (
                "effect 'charge:7' is being carried out by process 7; "
                "its lease has 12 s left unless it is renewed"
            ),
        ),
        (
            EffectFailed("charge:7", "bank.Declined", "no funds", "[402]"),
            "effect 'charge:7' failed for good: bank.Declined: no funds",
        ),
        (
            OutcomeUnknown("charge:7", "its owner is dead"),
            (
                "nobody knows whether effect 'charge:7' has happened: its owner is dead; look "
                "outside, then ops.resolve('charge:7', 'done' | 'failed' | 'free', by=..., "
                "why=...), or give the guard reconcile="
            ),
        ),
        (
            LeaseLost("charge:7", {"receipt": 1}, "done, done by ana: seen", "a receipt"),
            (
                "effect 'charge:7' was carried out here and returned {'receipt': 1}, but meanwhile "
                "its claim was decided without it: done, done by ana: seen"
            ),
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_an_error_of_an_effect_says_what_to_know(error, words, route):
    """It names the effect and what came of it, here and in the process that it travels to."""
    found = again(error, route)

    assert (type(found), str(found)) == (type(error), words)
    assert vars(found) == vars(error)


def test_an_interrupt_leaves_its_run_behind():
    """A run is a live object of one process: only the words travel."""
    run = object()
    interrupt = LoopInterrupt("IterationCap: all 3 starts are used", run)
    found = again(interrupt)

    assert interrupt.run is run
    assert (str(found), found.run) == ("IterationCap: all 3 starts are used", None)


RUN = object()
OWN, FOREIGN = LoopInterrupt("mine", RUN), LoopInterrupt("another's", object())
FAILED = OSError("gone")


@pytest.mark.parametrize(
    ("error", "own", "rest"),
    [
        (None, False, None),
        (OWN, True, None),
        (FOREIGN, False, FOREIGN),
        (FAILED, False, FAILED),
        (BaseExceptionGroup("tasks", [OWN]), True, None),
    ],
)
def test_a_runs_own_interrupt_is_told_apart(error, own, rest):
    """A run takes what is its own, and nothing else."""
    assert split_interrupt(error, RUN) == (own, rest)


def test_a_runs_own_interrupt_is_taken_out_of_groups():
    """What else is in a group goes on, in the shape that it had."""
    inner = BaseExceptionGroup("inner", [OWN, FAILED])
    own, rest = split_interrupt(BaseExceptionGroup("outer", [inner, FOREIGN]), RUN)
    none, whole = split_interrupt(BaseExceptionGroup("outer", [FAILED, FOREIGN]), RUN)

    assert (own, none) == (True, False)
    assert rest.exceptions[0].exceptions == (FAILED,)
    assert rest.exceptions[1] is FOREIGN
    assert whole.exceptions == (FAILED, FOREIGN)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError("no answer"), "ValueError: no answer"),
        (ValueError(), "ValueError"),
        (KeyError("x"), "KeyError: 'x'"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
    ],
)
def test_an_exception_in_words(error, words):
    """An exception reads as its type and its text, without a stray colon."""
    assert in_words(error) == words


def test_an_exception_whose_text_cannot_be_read():
    """Anybody's own __str__ may raise anything: its type is told, and what it raised."""

    class Mute(Exception):
        def __str__(self):
            raise LookupError("no text")

    assert in_words(Mute()) == "Mute: its text cannot be read (LookupError)"
