# SPDX-License-Identifier: MIT
"""Time as the watching sees it: a test's clock judges at once, and the wall clock says nothing."""

from __future__ import annotations

import threading
import time

import pytest

from haltable import Deadline, IterationCap, Loop, MemoryStore, Operator, StallDetector
from haltable.evidence import Probe
from haltable.testing import FakeClock
from tests.watching.bodies import Witness


def in_thread(work):
    """Runs something in another thread, and returns what it returns."""
    results = []
    thread = threading.Thread(target=lambda: results.append(work()))
    thread.start()
    thread.join()
    return results[0]


@pytest.mark.parametrize("here", [True, False], ids=["main", "another thread"])
@pytest.mark.parametrize("place", [{}, {"key": "k", "store": None}], ids=["no key", "key"])
def test_an_advance_under_watch_trips_in_mid_body(here, place):
    """The body is interrupted at the very line that lets the time pass, and nowhere else."""
    place = {**place, "store": MemoryStore()} if place else {}
    clock, lines, witness = FakeClock(), [], Witness()

    def work():
        clock.advance(59, watched=True)
        lines.append("before")
        clock.advance(1, watched=True)
        lines.append("after")

    loop = Loop(IterationCap(3), Deadline(iteration=60), clock=clock, sinks=[witness], **place)
    report = loop.run(work) if here else in_thread(lambda: loop.run(work))

    assert lines == ["before"]
    assert (report.status, report.reason) == ("tripped", "iteration 1 took 60 s (limit 60 s)")
    assert [event.lasted for event in witness.verdicts()] == [60]
    if place:
        assert Operator(place["store"]).show("k").status == "tripped"


def test_an_advance_without_a_watch_is_judged_at_the_end():
    """Nobody looks unless the test asks for it."""
    clock, lines = FakeClock(), []

    def work():
        clock.advance(75)
        lines.append("after")

    report = Loop(IterationCap(3), Deadline(iteration=60), clock=clock).run(work)

    assert (lines, report.status) == (["after"], "tripped")


def test_a_stall_trips_in_mid_body():
    """Evidence is asked whenever the time is moved under watch."""
    clock, seen, rows = FakeClock(), [], [0]

    def work():
        while True:
            rows[0] += clock.now() < 100
            clock.advance(10, watched=True)
            seen.append(clock.now())

    detector = StallDetector(after=60, every=10, evidence=Probe(lambda: rows[0]))
    report = Loop(IterationCap(3), detector, clock=clock).run(work)

    assert report.breaker == "StallDetector"
    assert (seen[-1], report.elapsed) == (150, 160)


def test_the_wall_clock_says_nothing(monkeypatch):
    """Jumps of the wall clock, forward and back, end no body and keep none."""
    jumps = iter(range(10**6))
    monkeypatch.setattr(time, "time", lambda: 10**9 * (-1) ** next(jumps))
    monkeypatch.setattr(time, "time_ns", lambda: 10**18 * (-1) ** next(jumps))
    start = time.monotonic()
    hung = Loop(IterationCap(3), Deadline(iteration=0.1)).run(threading.Event().wait, 10)
    lasted = time.monotonic() - start
    brief = Loop(IterationCap(2), Deadline(iteration=10, total=20)).run(
        threading.Event().wait, 0.05
    )

    assert hung.breaker == "Deadline"
    assert 0.1 <= lasted <= 0.6
    assert (brief.breaker, brief.starts) == ("IterationCap", 2)
