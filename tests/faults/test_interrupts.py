# SPDX-License-Identifier: MIT
"""P9: what interrupts the whole program goes through a run at any point of it, and costs little."""

from __future__ import annotations

import contextlib
import itertools
import signal

import pytest
import trio

from haltable import MemoryStore, Operator
from haltable._watch import shared
from tests.faults.points import (
    BODY,
    CAP,
    EFFECT,
    KEY,
    PAUSE_POINTS,
    POINTS,
    STEP_POINTS,
    AsyncPointedStore,
    PointedStore,
    Points,
    bare_loop,
    finish,
    pointed_loop,
)
from tests.faults.ways import ASYNC, BARE

WAYS = {
    **dict.fromkeys(["run", "for", "wrap", "tick"], PAUSE_POINTS),
    **dict.fromkeys(["arun on asyncio", "arun on trio"], PAUSE_POINTS),
    **dict.fromkeys(["step", "astep on asyncio", "astep on trio"], STEP_POINTS),
}


OTHERS = (SystemExit, GeneratorExit)


class Life:
    """A key in memory, a run of which is interrupted at one pass of a point."""

    def __init__(self, way, number, interrupt):
        self.way, self.interrupt = way, interrupt
        self.inner = MemoryStore()
        self.passed = []
        self.bodies = self.raised = 0
        self.points = Points(number, act=self.act, note=self.passed.append)
        self.loop = pointed_loop(self.points, PointedStore(self.inner, self.points))

    def act(self):
        raise self.interrupt

    def body(self):
        self.bodies += 1
        self.points.at(BODY)
        self.points.at(EFFECT)
        self.points.at("body ends")
        if self.bodies % 2:
            self.raised += 1
            raise ValueError("every other one fails")

    def plain_body(self):
        self.bodies += 1

    @property
    def state(self):
        return Operator(self.inner).show(KEY)


@pytest.mark.parametrize(
    ("way", "kind"),
    [(way, KeyboardInterrupt) for way in WAYS]
    + [(way, kind) for way in ("run", "for", "arun on trio") for kind in OTHERS],
)
def test_interrupted_at_every_pass_of_every_point(way, kind):
    """P9: it leaves as it came, counts as no failure, and the key is free for the next start."""
    interrupted_at = set()
    for number in itertools.count(1):
        life = Life(way, number, kind("from outside"))
        with contextlib.suppress(kind):
            finish(life.loop, way, life.body)
            break
        point = life.passed[number - 1]
        interrupted_at.add(point)
        # Between `for` and `with iteration:` it looks like a `break`, and says so.
        breaks = way == "for" and (point == "clock read" or kind is GeneratorExit)
        check(life, f"pass {number}, {point}", breaks=breaks)

    assert POINTS | WAYS[way] <= interrupted_at


class LateLife(Life):
    """The same, where the interrupt is noted at the point and raised at the next checkpoint.

    That is what an event loop makes of a Ctrl-C that comes while it runs code of its own.
    """

    def __init__(self, way, kind, number):
        super().__init__(way, number, None)
        self.loop = pointed_loop(self.points, kind(self.inner, self.points))

    @trio.lowlevel.enable_ki_protection
    def act(self):
        signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize(
    ("way", "kind"),
    [(way, PointedStore) for way in (*ASYNC, *BARE)] + [(way, AsyncPointedStore) for way in ASYNC],
)
def test_interrupted_after_every_pass_of_every_point(way, kind):
    """P9: a Ctrl-C that the event loop delivers later leaves as it came, and costs as little."""
    for number in itertools.count(1):
        life = LateLife(way, kind, number)
        with contextlib.suppress(KeyboardInterrupt):
            finish(life.loop, way, life.body)
            break
        check(life, f"pass {number}, {life.passed[number - 1]}", breaks=False)

    assert len(life.passed) == number - 1 > len(POINTS)


def check(life, where, *, breaks):
    """Holds what an interrupted run left behind against what was counted outside."""
    assert not shared.tokens(), where
    bodies, raised = life.bodies, life.raised
    report = finish(bare_loop(life.inner), life.way, life.plain_body)
    state = life.state
    assert (report.status, state.starts) == ("tripped", CAP), where
    assert state.crashes == 0, where
    assert state.failures <= raised + breaks, where
    assert CAP - 1 <= life.bodies <= CAP, where
    assert bodies <= CAP
