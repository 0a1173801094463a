# SPDX-License-Identifier: MIT
"""P7: what a host put into a loop raises, at every pass of it; nothing opens silently."""

from __future__ import annotations

import itertools
import logging

import pytest

from haltable import MemoryStore, Operator
from haltable._watch import shared
from tests.faults.points import BODY, CAP, KEY, PointedStore, Points, pointed_loop
from tests.faults.ways import WAYS

EACH_WAY = pytest.mark.parametrize("way", WAYS)
EVENTS = ("IterationStarted", "IterationEnded", "LoopPaused", "RunEnded")


class Broken(Exception):
    """What the part raises."""


class Life:
    """A key in memory, one part of whose loop raises at one pass."""

    def __init__(self, way, number, name):
        self.inner, self.carry = MemoryStore(), WAYS[way]
        self.passed, self.bodies = [], 0
        self.struck = False
        self.points = Points(number, name, act=self.act, note=self.passed.append)
        self.loop = pointed_loop(self.points, PointedStore(self.inner, self.points))

    def act(self):
        self.struck = True
        raise Broken("the part is broken")

    def body(self):
        self.bodies += 1
        self.points.at(BODY)

    def run(self):
        return self.carry(self.loop, self.body)


def lives(way, name):
    """Yields one life for every pass of the point, after its run."""
    for number in itertools.count(1):
        life = Life(way, number, name)
        report = life.run()
        if not life.struck:
            assert number > 1
            return
        yield life, report, number


@pytest.mark.parametrize(
    ("name", "breaker", "says"),
    [
        ("condition asked", "ExitCondition", "Broken: the part is broken"),
        ("breaker: before", "Remembering", "before() raised Broken: the part is broken"),
        ("breaker: after", "Remembering", "after() raised Broken: the part is broken"),
    ],
)
@EACH_WAY
def test_a_decision_that_raises_is_a_trip(way, name, breaker, says):
    """P7: the loop ends under the name of what raised, and the key with it."""
    for life, report, number in lives(way, name):
        state = Operator(life.inner).show(KEY)
        if name == "breaker: before" and life.bodies == CAP:
            assert report.breaker == "IterationCap"  # It spoke first of the two.
            continue
        assert (report.status, report.breaker, report.durable) == ("tripped", breaker, True)
        assert says in report.reason, number
        assert (state.status, state.breaker, state.running) == ("tripped", breaker, None)
        assert state.starts == life.bodies <= CAP
        assert (life.run().ran, life.bodies) == (False, state.starts)
        assert not shared.tokens()


@pytest.mark.parametrize("event", EVENTS)
@EACH_WAY
def test_a_sink_that_raises_is_logged_and_decides_nothing(way, event, caplog):
    """Sinks: a listener that raises is no reason to end, or to miss, anything."""
    if event == "LoopPaused" and "step" in way:
        event = "RunEnded"  # A step does not pause.
    for life, report, _ in lives(way, f"told {event}"):
        last = report if report.status.terminal else life.run()
        assert (last.status, last.breaker) == ("tripped", "IterationCap")
        assert last.starts == life.bodies == CAP
        assert any(record.levelno == logging.ERROR for record in caplog.records)
        assert not shared.tokens()


@EACH_WAY
def test_each_run_is_told_to_end_once(way):
    """P5: every run ends in one report, and tells it once."""
    life = Life(way, 0, None)
    report = life.run()

    told = [word for word in life.passed if word == "told RunEnded"]
    assert report.status == "tripped"
    assert len(told) == (CAP if "step" in way else 1)
