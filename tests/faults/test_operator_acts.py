# SPDX-License-Identifier: MIT
"""What others do to the record under a run's feet, at every pass of every point of it."""

from __future__ import annotations

import itertools

import pytest

from haltable import MemoryStore, Operator
from haltable.encoding import decode_loop
from haltable.stores import Entry
from tests.faults.points import (
    BODY,
    CAP,
    EFFECT,
    KEY,
    AsyncPointedStore,
    PointedStore,
    Points,
    bare_loop,
    pointed_loop,
)
from tests.faults.ways import WAYS

RECORD = f"haltable/loop/{KEY}"
KINDS = {
    **dict.fromkeys(["run", "step", "for", "tick", "bare async for on trio"], PointedStore),
    **dict.fromkeys(["arun on asyncio", "arun on trio", "astep on trio"], AsyncPointedStore),
}
EACH_WAY = pytest.mark.parametrize(("way", "kind"), KINDS.items(), ids=list(KINDS))


class Life:
    """A key in memory whose record somebody else writes at one pass of a point."""

    def __init__(self, way, kind, number, act):
        self.act = act
        self.inner = MemoryStore()
        self.ops = Operator(self.inner)
        self.carry = WAYS[way]
        self.passed = []
        self.bodies = 0
        self.acted = False
        self.first_copy = b""
        #: How the key stood just before the act, and just after it.
        self.before = self.after = None
        self.points = Points(number, act=self.interfere, note=self.passed.append)
        self.loop = pointed_loop(self.points, kind(self.inner, self.points))

    def interfere(self):
        self.before = self.state
        self.acted = self.before is not None and self.act(self) is not False
        self.after = self.state

    def body(self):
        self.bodies += 1
        if self.bodies == 1:
            self.first_copy = (self.inner.read(RECORD) or Entry(b"", 0)).value
        self.points.at(BODY)
        self.points.at(EFFECT)
        self.points.at("body ends")

    @property
    def state(self):
        entry = self.inner.read(RECORD)
        return None if entry is None else decode_loop(entry.value)

    def run(self):
        return self.carry(self.loop, self.body)

    def run_to_the_end(self):
        """Runs until the key has ended, with nobody at its feet any more."""
        for _ in range(3 * CAP):
            report = self.carry(bare_loop(self.inner), self.body)
            if report.status.terminal:
                return report
        raise AssertionError(f"the key did not come to an end: {report}")


def lives(way, kind, act):
    """Yields one life for every pass at which the act can be done, after its first run."""
    acts = 0
    for number in itertools.count(1):
        life = Life(way, kind, number, act)
        report = life.run()
        if len(life.passed) < number:
            assert acts > CAP
            return
        if life.acted:
            acts += 1
            yield life, report, f"pass {number}, {life.passed[number - 1]}"


@EACH_WAY
def test_extended_under_its_feet(way, kind):
    """Rule 3: whenever an operator extends a key, the starts are there, and not one more."""

    def extend(life):
        life.ops.extend(KEY, starts=2, by="ana", why="nearly done")

    for life, _, where in lives(way, kind, extend):
        report = life.run_to_the_end()
        assert life.bodies == CAP + 2, where
        assert (report.status, report.starts) == ("tripped", CAP + 2), where


@EACH_WAY
def test_reset_under_its_feet(way, kind):
    """Rule 3, P1: whenever an operator resets a key, its new epoch has N starts, and no more."""

    def reset(life):
        life.ops.reset(KEY, by="ana", why="fixed the input")

    for life, report, where in lives(way, kind, reset):
        assert life.state.running is None, where
        if life.after.running is not None:
            assert (report.status, report.breaker) == ("open", "operator"), where
            assert "reset by ana: fixed the input" in report.reason, where
        life.run_to_the_end()
        assert (life.state.epoch, life.state.starts) == (2, CAP), where
        assert life.bodies == life.before.starts + CAP, where


@EACH_WAY
def test_stopped_under_its_feet(way, kind):
    """P3: whenever an operator stops a key, nothing is charged after it."""

    def stop(life):
        if life.before.past.ruling is not None:
            return False
        life.ops.stop(KEY, by="ana", why="runaway")
        return True

    for life, report, where in lives(way, kind, stop):
        if life.before.running is not None:
            assert report.status is life.state.status, where
        last = life.run_to_the_end()
        assert life.state.starts == life.before.starts, where
        assert life.bodies <= life.before.starts, where
        # Only where the cap had been judged already may its verdict stand.
        if life.before.starts < CAP:
            assert last.status == "stopped", where
            assert "ana: runaway" in last.reason, where
        assert (last.status, last.ran) == (life.state.status, False), where


@EACH_WAY
def test_deleted_under_its_feet(way, kind):
    """P7: a record that this run wrote and that is gone is lost state, never zero."""

    def delete(life):
        if life.before.running is None:
            return False
        return life.inner.delete(RECORD, expected=life.inner.read(RECORD).version)

    for life, report, where in lives(way, kind, delete):
        assert (report.status, report.breaker, report.durable) == ("tripped", "store", True), where
        assert "lost state" in report.reason, where
        assert life.state.status == "tripped", where
        assert life.bodies <= life.before.starts, where
        assert life.run_to_the_end().ran is False, where


@EACH_WAY
def test_put_back_under_its_feet(way, kind):
    """Rule 6: a record that went backwards is a trip; no start is given twice."""

    def put_back(life):
        if life.before.running is None or life.before.starts < 2:
            return False
        life.inner.write(RECORD, life.first_copy, expected=life.inner.read(RECORD).version)
        return True

    for life, report, where in lives(way, kind, put_back):
        assert (report.status, report.breaker, report.durable) == ("tripped", "store", True), where
        assert "went backwards" in report.reason, where
        assert life.bodies <= life.before.starts, where
        assert life.run_to_the_end().ran is False, where
