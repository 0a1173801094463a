# SPDX-License-Identifier: MIT
"""The rules over stored records: who may start, what is counted, whose claim stands."""

from __future__ import annotations

import math

import attrs
import pytest
from hypothesis import given, strategies as st

from haltable.ledger import (
    Free,
    Held,
    Left,
    Standing,
    Terminal,
    admit,
    aged,
    charged,
    held,
    is_written,
    judged,
    released,
    settled,
    standing,
)
from haltable.model import Outcome, Ruling, Status
from haltable.records import Owner, Running, StopRequest, new_record

ME = Owner("boot", "pid:[1]", 7, "100", "mine")
OTHER = Owner("boot", "pid:[1]", 8, "100", "other")
NEW = new_record("k")
#: In the body of its third start, the second of which failed.
BUSY = attrs.evolve(
    NEW, starts=3, failures=1, elapsed=20.0, writer="mine", serial=5, running=Running(ME, 60.0, 3)
)
PAUSING = attrs.evolve(BUSY, wait=30.0, running=Running(ME, 60.0, 3, pausing=True))
FREE = attrs.evolve(BUSY, running=None, wait=30.0)
TRIP = Ruling(Status.TRIPPED, "IterationCap", "all 3 starts are used")


def ruled(record, ruling=TRIP, **changes):
    """Returns the record with a verdict in it."""
    return attrs.evolve(record, past=attrs.evolve(record.past, ruling=ruling, **changes))


def asked_to_stop(record):
    """Returns the record with an operator's request in it."""
    return attrs.evolve(record, past=attrs.evolve(record.past, stop=StopRequest("ana", "why")))


# Who may start -----------------------------------------------------------------------------------


def test_a_key_that_never_started_is_free():
    """Absent reads as never started."""
    assert admit(NEW, age=0.0, dead=False) == Free(NEW, 0.0)


@pytest.mark.parametrize("record", [BUSY, PAUSING, FREE, NEW])
@pytest.mark.parametrize("dead", [True, False])
@pytest.mark.parametrize("age", [0.0, 10**9])
def test_a_terminal_key_stays_so(record, dead, age):
    """Neither age nor death brings a key back: the verdict is all that is answered."""
    assert admit(ruled(record), age=age, dead=dead) == Terminal(TRIP)


@pytest.mark.parametrize(("age", "left"), [(0.0, 60.0), (59.5, 0.5)])
@pytest.mark.parametrize("record", [BUSY, PAUSING, asked_to_stop(BUSY)])
def test_a_key_is_held_for_its_lease(record, age, left):
    """While the lease lasts nobody else starts, in a body or in a pause."""
    assert admit(record, age=age, dead=False) == Held(ME, left)


@pytest.mark.parametrize(
    ("age", "dead"), [(60.0, False), (10**9, False), (math.inf, False), (0, True)]
)
def test_a_run_that_died_in_its_body_has_crashed(age, dead):
    """A lapsed lease or a dead owner is a crash: a failure, in a row, that names who it was."""
    found = admit(BUSY, age=age, dead=dead)

    assert isinstance(found, Left)
    assert (found.owner, found.crashed, found.wait) == (ME, True, 0.0)
    record = found.record
    assert (record.starts, record.failures, record.row, record.crashes) == (3, 2, 1, 1)
    assert (record.slips, record.running, record.elapsed) == (1, None, 20.0)
    assert record.past.error == "crashed: process 7 ended without a word"
    assert record.past.error_start == 3


@pytest.mark.parametrize(("age", "dead", "wait"), [(5.0, True, 25.0), (60.0, False, 0.0)])
def test_a_run_that_died_in_a_pause_has_not_crashed(age, dead, wait):
    """Nothing was running: the counts stay, and so does what is left of the pause."""
    found = admit(PAUSING, age=age, dead=dead)

    assert found == Left(attrs.evolve(PAUSING, running=None), ME, crashed=False, wait=wait)


def test_a_crash_of_an_epoch_that_was_reset_is_none():
    """The start belonged to counts that an operator has put back to zero."""
    reset = attrs.evolve(BUSY, epoch=2, starts=0, failures=0, elapsed=0.0)
    found = admit(reset, age=0.0, dead=True)

    assert found == Left(attrs.evolve(reset, running=None), ME, crashed=False, wait=0.0)


@pytest.mark.parametrize(
    ("age", "wait", "elapsed"),
    [(0.0, 30.0, 20.0), (10.0, 20.0, 30.0), (30.0, 0.0, 50.0), (10**6, 0.0, 50.0)],
)
def test_between_steps_the_wait_is_alive(age, wait, elapsed):
    """Seconds up to the wait that was asked for count as alive, those after it do not."""
    assert admit(FREE, age=age, dead=False) == Free(attrs.evolve(FREE, elapsed=elapsed), wait)


def test_a_weekend_without_a_wait_is_not_alive():
    """A key that was given back without a wait does not grow older."""
    record = attrs.evolve(FREE, wait=0.0)

    assert admit(record, age=math.inf, dead=False) == Free(record, 0.0)
    assert aged(record, -1.0) is record


# Whose claim stands ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("record", "found"),
    [
        (BUSY, Standing.MINE),
        (PAUSING, Standing.MINE),
        (attrs.evolve(BUSY, starts=4, serial=9), Standing.MINE),
        (None, Standing.LOST),
        (attrs.evolve(BUSY, starts=2), Standing.BACKWARDS),
        (attrs.evolve(BUSY, epoch=0, starts=9), Standing.BACKWARDS),
        (attrs.evolve(BUSY, epoch=2, starts=0), Standing.RESET),
        (attrs.evolve(BUSY, epoch=2, running=Running(OTHER, 60.0, 1)), Standing.TAKEN),
        (attrs.evolve(BUSY, epoch=2, running=None), Standing.TAKEN),
        (attrs.evolve(BUSY, running=Running(OTHER, 60.0, 4)), Standing.TAKEN),
        (FREE, Standing.TAKEN),
        (ruled(FREE), Standing.ENDED),
        (ruled(BUSY), Standing.MINE),  # Condemned by its own run.
        (ruled(attrs.evolve(BUSY, running=Running(OTHER, 60.0, 4))), Standing.ENDED),
        (asked_to_stop(BUSY), Standing.STOP_ASKED),
        (asked_to_stop(FREE), Standing.TAKEN),
        (attrs.evolve(asked_to_stop(BUSY), epoch=2), Standing.RESET),
        (ruled(attrs.evolve(BUSY, starts=2)), Standing.BACKWARDS),
    ],
)
def test_how_a_claim_stands(record, found):
    """An owner that looks again learns whether its claim is whole, and if not, why."""
    assert standing(record, token=ME.token, epoch=1, starts=3) is found


@given(st.integers(0, 3), st.integers(0, 9), st.booleans(), st.booleans(), st.booleans())
def test_only_a_whole_claim_is_mine(epoch, starts, other, stop, ended):
    """Whatever a record shows, the claim is mine only if it is, in my epoch, and unasked.

    What is ended and held by me was ended by me, and no request goes before that.
    """
    owner = OTHER if other else ME
    record = attrs.evolve(BUSY, epoch=epoch, starts=starts, running=Running(owner, 1.0, starts))
    record = asked_to_stop(record) if stop else record
    record = ruled(record) if ended else record
    mine = standing(record, token=ME.token, epoch=1, starts=3) is Standing.MINE

    assert mine == (epoch == 1 and starts >= 3 and not other and (ended or not stop))


@pytest.mark.parametrize(
    ("writer", "serial", "done"),
    [("mine", 5, True), ("mine", 6, True), ("mine", 4, False), ("other", 5, False), ("", 0, False)],
)
def test_a_write_shows_by_its_signature(writer, serial, done):
    """A lost reply is answered by the record: mine, and not older than the write."""
    record = attrs.evolve(BUSY, writer=writer, serial=serial)

    assert is_written(record, token=ME.token, serial=5) is done


# What is counted ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "failures", "row", "crashes", "slips"),
    [
        (Outcome.RETURNED, 4, 0, 1, 0),
        (Outcome.FAILED, 5, 3, 1, 4),
        (Outcome.CRASHED, 5, 3, 2, 4),
        (Outcome.TRANSIENT, 4, 2, 1, 4),
        (Outcome.INTERRUPTED, 4, 2, 1, 3),
        (Outcome.KILLED, 4, 2, 1, 3),
        (None, 4, 2, 1, 3),
    ],
)
def test_what_an_outcome_counts(outcome, failures, row, crashes, slips):
    """Only failures and crashes count as failures; only a return ends a row."""
    record = attrs.evolve(BUSY, failures=4, row=2, crashes=1, slips=3)
    found = settled(record, outcome, elapsed=33.0, wait=5.0)

    assert found == attrs.evolve(
        record,
        failures=failures,
        row=row,
        crashes=crashes,
        slips=slips,
        elapsed=33.0,
        wait=5.0,
    )


def test_a_start_is_counted_and_claimed_at_once():
    """One write says that one more starts, and who runs it; a wait is over."""
    found = charged(FREE, OTHER, lease=45.0, elapsed=21.0)

    assert found == attrs.evolve(
        FREE, starts=4, elapsed=21.0, wait=0.0, running=Running(OTHER, 45.0, 4)
    )


@pytest.mark.parametrize("pausing", [True, False])
def test_holding_renews_the_claim_and_counts_nothing(pausing):
    """A renewal starts the lease again, in a body or in a pause."""
    found = held(BUSY, ME, lease=90.0, pausing=pausing)

    assert found == attrs.evolve(BUSY, running=Running(ME, 90.0, 3, pausing))


def test_giving_back_leaves_the_counts():
    """A key that is given back is free, and all else is as it was."""
    assert released(BUSY) == attrs.evolve(BUSY, running=None)


def test_a_verdict_ends_the_key():
    """It stands, nobody holds the key any more, and a pending request is answered by it."""
    found = judged(asked_to_stop(attrs.evolve(BUSY, wait=9.0)), TRIP, elapsed=25.0)

    assert found == ruled(attrs.evolve(BUSY, running=None, elapsed=25.0), stop=None)
    assert found.status is Status.TRIPPED


def test_the_first_verdict_stands():
    """A second one changes nothing, whoever says it."""
    first = judged(BUSY, TRIP, elapsed=25.0)

    assert judged(first, Ruling(Status.SUCCEEDED, "body", "done"), elapsed=99.0) is first
