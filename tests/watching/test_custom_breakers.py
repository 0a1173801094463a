# SPDX-License-Identifier: MIT
"""Breakers of the user's own that speak while a body runs, alone and in company."""

from __future__ import annotations

import threading
import time

import anyio
import attrs
import pytest

from haltable import (
    Breaker,
    Deadline,
    Done,
    GiveUp,
    IterationCap,
    Loop,
    MemoryStore,
    Operator,
    Trip,
    Warn,
)
from haltable.events import BreakerWarned
from tests.watching.bodies import Witness

LONG = 10


@attrs.define
class Guard(Breaker):
    """Says a word while the body runs, once it has run for a while."""

    word: object = None
    after_seconds: float = 0.05
    threads: list = attrs.field(factory=list)

    @property
    def patience(self):
        return 0.02

    def during(self, iteration):
        self.threads.append(threading.current_thread())
        if iteration.lasted < self.after_seconds:
            return None
        if isinstance(self.word, BaseException):
            raise self.word
        return self.word


def hang():
    """A body that does nothing for long."""
    threading.Event().wait(LONG)


def brief(iteration):
    """A body that is done soon."""
    threading.Event().wait(0.15)
    iteration.done(1)


@pytest.mark.parametrize(
    ("word", "status"),
    [
        (Trip("too far"), "tripped"),
        (GiveUp("hopeless"), "gave_up"),
        (Done("good enough"), "succeeded"),
    ],
)
@pytest.mark.parametrize("place", [{}, {"key": "k", "store": MemoryStore()}])
def test_its_word_ends_the_body(word, status, place):
    """Whatever verdict it says, it falls in mid-body, under its name."""
    place = {**place, "store": MemoryStore()} if place else {}
    start = time.monotonic()
    report = Loop(IterationCap(9), Guard(word), **place).run(hang)

    assert time.monotonic() - start <= 0.6
    assert (report.status, report.breaker, report.reason) == (status, "Guard", word.reason)
    assert report.starts == 1
    if place:
        assert Operator(place["store"]).show("k").status == status


@pytest.mark.anyio
async def test_its_word_ends_the_async_body():
    """The same under asyncio and trio."""
    report = await Loop(IterationCap(9), Guard(Trip("too far"))).arun(anyio.sleep, LONG)

    assert (report.status, report.breaker, report.starts) == ("tripped", "Guard", 1)


def test_silence_ends_nothing():
    """A breaker that says nothing while the body runs lets it come to its end."""
    report = Loop(IterationCap(9), Guard(None)).run(brief)

    assert (report.status, report.result) == ("succeeded", 1)


@pytest.mark.parametrize("fault", [ZeroDivisionError("broken"), SystemExit(3)])
def test_a_fault_in_it_ends_the_body(fault):
    """P7: a check that raises opens under its own name, and the watching goes on."""
    report = Loop(IterationCap(9), Guard(fault, name="broken")).run(hang)
    again = Loop(IterationCap(9), Deadline(iteration=0.05)).run(hang)

    assert (report.status, report.breaker) == ("tripped", "broken")
    assert type(fault).__name__ in report.reason
    assert again.breaker == "Deadline"


def test_what_is_no_verdict_ends_the_body():
    """A hook that returns something else is broken."""
    report = Loop(IterationCap(9), Guard("oops")).run(hang)

    assert (report.status, report.breaker) == ("tripped", "Guard")
    assert "oops" in report.reason


def test_a_warning_ends_nothing():
    """It is told once, and stands in the report."""
    witness = Witness()
    report = Loop(IterationCap(9), Guard(Warn("hm")), sinks=[witness]).run(brief)
    told = [event for event in witness.events if isinstance(event, BreakerWarned)]

    assert (report.status, report.warnings) == ("succeeded", ("Guard: hm",))
    assert [(event.breaker, event.reason) for event in told] == [("Guard", "hm")]


def test_either_is_enough():
    """``a | b``: one word ends the body."""
    breaker = Guard(None, name="a") | Guard(Trip("b says so"), name="b")
    report = Loop(IterationCap(9), breaker).run(hang)

    assert (report.status, report.breaker, report.reason) == ("tripped", "a | b", "b says so")


def test_both_must_agree():
    """``a & b``: one word is not enough, two are."""
    one = Loop(IterationCap(9), Guard(None, name="a") & Guard(Trip("b"), name="b")).run(brief)
    late = Guard(Trip("a"), 0.15, name="a") & Guard(Trip("b"), 0.02, name="b")
    start = time.monotonic()
    both = Loop(IterationCap(9), late).run(hang)

    assert one.status == "succeeded"
    assert (both.status, both.breaker, both.reason) == ("tripped", "a & b", "a; b")
    assert 0.15 <= time.monotonic() - start <= 0.65


def test_the_strongest_of_several_words_counts():
    """Done goes before GiveUp, and that before Trip, as between bodies."""
    words = Guard(Trip("t"), name="t"), Guard(Done("d"), name="d"), Guard(GiveUp("g"), name="g")
    report = Loop(IterationCap(9), *words).run(hang)

    assert (report.status, report.breaker) == ("succeeded", "d")


def test_each_run_asks_a_copy_of_its_own():
    """What a breaker gathers in mid-body is no other run's, and the policy never changes."""
    guard = Guard(None)
    Loop(IterationCap(9), guard).run(brief)

    assert guard.threads == []


def test_a_condition_of_the_first_iteration_only_is_seen_again():
    """The next iteration is watched from its own beginning."""
    lasted = []

    class Watching(Breaker):
        patience = 0.01

        def during(self, iteration):
            lasted.append((iteration.number, iteration.lasted))

    def work(iteration):
        threading.Event().wait(0.1)
        return iteration.done() if iteration.number == 3 else None

    Loop(IterationCap(9), Watching()).run(work)
    by_number = {number: [s for n, s in lasted if n == number] for number in (1, 2, 3)}

    assert all(seconds == sorted(seconds) and len(seconds) > 2 for seconds in by_number.values())
    assert all(0 <= seconds[0] < 0.09 and seconds[-1] < 0.3 for seconds in by_number.values())
