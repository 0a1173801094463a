# SPDX-License-Identifier: MIT
"""Rules 2 and 4: a first write that somebody overtook, and a store that always knows better."""

from __future__ import annotations

import contextvars

import pytest

from haltable import (
    ExitCondition,
    IterationCap,
    Loop,
    LoopBusy,
    LoopHalted,
    MemoryStore,
    Operator,
    StoreError,
)
from haltable._watch import shared
from haltable.conditions import never
from haltable.stores import Conflict
from tests.faults.points import AsyncPointedStore, PointedStore, Points
from tests.faults.ways import ASYNC, BARE, SYNC, WAYS

KEY = "job"
RECORD = f"haltable/loop/{KEY}"
CAP = 3
EACH = (
    [(way, PointedStore) for way in SYNC]
    + [(way, AsyncPointedStore) for way in ASYNC]
    + [(way, PointedStore) for way in BARE]
)
EACH_WAY = pytest.mark.parametrize(("way", "kind"), EACH, ids=[way for way, _ in EACH])


class Race:
    """A key in memory that somebody else writes just before a run's first write arrives."""

    def __init__(self, way, kind, sent, act, *, success=never):
        self.inner, self.carry = MemoryStore(), WAYS[way]
        self.bodies = []
        # In a context of its own: whoever else it is, the run under test is not around it.
        self.elsewhere = contextvars.Context()
        points = Points(1, sent, act=lambda: self.elsewhere.run(act, self), note=lambda name: None)
        self.loop = self.loop_on(kind(self.inner, points), success)

    def loop_on(self, store, success=never):
        """The loop of all who race."""
        cap = IterationCap(CAP, max_consecutive_failures=None)
        return Loop(cap, ExitCondition(success=success), key=KEY, store=store)

    def run(self):
        return self.carry(self.loop, lambda: self.bodies.append("ours"))

    def start(self, ends):
        """Lets another run make starts until its body raises a Ctrl-C: the key stays open."""

        def body():
            self.bodies.append("theirs")
            if len(self.bodies) == ends:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            self.loop_on(self.inner).run(body)

    def hold(self):
        """Lets another run take the key, and keep it."""
        self.other = self.loop_on(self.inner).start()
        self.iterations = iter(self.other)
        next(self.iterations)

    @property
    def state(self):
        return Operator(self.inner).show(KEY)


@EACH_WAY
def test_a_first_charge_that_came_second_goes_on_from_what_is_there(way, kind):
    """P1: starts that another run made meanwhile are made; what is left of the cap is ours."""
    race = Race(way, kind, "charge sent", lambda race: race.start(2))
    report = race.run()

    assert race.bodies == ["theirs", "theirs", "ours"]
    assert (report.status, report.starts, report.durable) == ("tripped", CAP, True)
    assert (race.state.status, race.state.starts, race.state.crashes) == ("tripped", CAP, 0)
    assert not shared.tokens()


@EACH_WAY
def test_a_first_charge_that_came_too_late_starts_nothing(way, kind):
    """P3: if nothing is left of the cap, the run that finds it writes the verdict."""
    race = Race(way, kind, "charge sent", lambda race: race.start(CAP))
    report = race.run()

    assert race.bodies == ["theirs"] * CAP
    assert (report.status, report.breaker, report.ran) == ("tripped", "IterationCap", False)
    assert report.durable
    assert race.state.status == "tripped"
    assert not shared.tokens()


def is_done():
    """A condition that holds before anything ran."""
    return True


@EACH_WAY
def test_a_verdict_of_a_run_without_a_start_is_written_over_newer_counts(way, kind):
    """P3: a run that finds its work done says so for good, whatever others counted meanwhile."""
    race = Race(way, kind, "verdict sent", lambda race: race.start(1), success=is_done)
    report = race.run()

    assert race.bodies == ["theirs"]
    assert (report.status, report.ran, report.durable) == ("succeeded", False, True)
    assert (race.state.status, race.state.starts) == ("succeeded", 1)
    assert not shared.tokens()


@EACH_WAY
def test_a_verdict_of_a_run_without_a_start_does_not_replace_another(way, kind):
    """P3: the first verdict written stands, and is what the late run reports."""

    def stop(race):
        race.start(1)
        Operator(race.inner).stop(KEY, by="ana", why="runaway")

    race = Race(way, kind, "verdict sent", stop, success=is_done)
    report = race.run()

    assert (report.status, report.ran, report.durable) == ("stopped", False, True)
    assert "ana: runaway" in report.reason
    assert race.state.status == "stopped"
    assert not shared.tokens()


@EACH_WAY
def test_a_verdict_of_a_run_without_a_start_does_not_end_a_key_that_is_held(way, kind):
    """Rule 1: who holds the key now decides; the run that came too late is told that it is busy."""
    race = Race(way, kind, "verdict sent", Race.hold, success=is_done)
    with pytest.raises(LoopBusy):
        race.run()

    assert shared.tokens() == {race.other.book.owner.token}
    assert race.state.status == "open"
    race.elsewhere.run(race.iterations.close)


def reset(race):
    """Lets the key be started anew, by an operator who says so."""
    Operator(race.inner).reset(KEY, by="ana", why="mended")


@EACH_WAY
def test_a_verdict_over_an_epoch_that_was_reset_is_not_written_into_the_next(way, kind):
    """P1: the starts that an operator's reset gave are there for whoever comes next."""
    race = Race(way, kind, "verdict sent", reset)
    race.start(CAP)
    report = race.run()

    assert (report.status, report.ran) == ("open", False)
    assert (race.state.status, race.state.epoch, race.state.starts) == ("open", 2, 0)
    assert len(race.bodies) == CAP
    assert race.run().starts == CAP
    assert race.bodies[CAP:] == ["ours"] * CAP
    assert not shared.tokens()


class Stubborn(MemoryStore):
    """A store that, once it is told to, refuses each write of some keys and shows no reason."""

    def __init__(self, prefix):
        super().__init__()
        self.prefix, self.refusing, self.refused = prefix, False, 0

    def write(self, key, value, *, expected):
        if self.refusing and key.startswith(self.prefix):
            self.refused += 1
            return Conflict(self.read(key))
        return super().write(key, value, expected=expected)


@EACH_WAY
def test_a_store_that_refuses_without_a_reason_is_a_fault(way, kind):
    """P5, P7: a refusal that shows nothing new is asked again a few times, and not for ever."""
    stubborn, bodies = Stubborn("haltable/loop/"), []

    def body():
        bodies.append(1)
        stubborn.refusing = True

    points = Points(act=lambda: None, note=lambda name: None)
    cap = IterationCap(CAP, max_consecutive_failures=None)
    loop = Loop(cap, ExitCondition(success=never), key=KEY, store=kind(stubborn, points))
    report = WAYS[way](loop, body)

    assert (bodies, stubborn.refused) == ([1], 8)
    assert (report.status, report.breaker, report.durable) == ("open", "store", False)
    assert "the store refused 8 writes in a row" in report.reason
    with pytest.raises(LoopHalted) as halted:
        report.unwrap()
    assert isinstance(halted.value.__cause__, StoreError)
    assert not shared.tokens()
