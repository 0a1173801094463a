# SPDX-License-Identifier: MIT
"""Rule 10, P9: a cancellation goes on, what was sent is known, and it counts as no failure."""

from __future__ import annotations

import asyncio
import itertools
import math

import anyio
import pytest

from haltable import MemoryStore, Operator
from haltable._watch import shared
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

KINDS = pytest.mark.parametrize("kind", [PointedStore, AsyncPointedStore])
#: After a cancellation at one of these, nothing may start any more.
CALLS = tuple(f"{what} {when}" for what in ("read", "charge") for when in ("sent", "answered"))


async def by_arun(loop, body):
    """Runs to the end at once."""
    return await loop.arun(body)


async def by_astep(loop, body):
    """Runs to the end step by step."""
    while True:
        report = await loop.astep(body)
        if report.status.terminal:
            return report


WAYS = pytest.mark.parametrize("way", [by_arun, by_astep])


class Life:
    """A key in memory, a run of which is cancelled at one pass of a point."""

    def __init__(self, kind, number):
        self.kind = kind
        self.inner = MemoryStore()
        self.passed = []
        self.bodies = self.raised = 0
        self.bodies_at_cancel = math.inf
        self.cancel = lambda: None
        self.points = Points(number, act=self.act, note=self.passed.append)
        self.loop = pointed_loop(self.points, kind(self.inner, self.points))

    def act(self):
        self.bodies_at_cancel = self.bodies
        self.cancel()

    async def body(self):
        self.bodies += 1
        self.points.at(BODY)
        await anyio.lowlevel.checkpoint()
        self.points.at(EFFECT)
        await anyio.lowlevel.checkpoint()
        self.points.at("body ends")
        if self.bodies % 2:
            self.raised += 1
            raise ValueError("every other one fails")

    async def plain_body(self):
        self.bodies += 1

    async def check(self, way, point):
        """Holds what a cancelled run left behind against what was counted outside."""
        assert not shared.tokens(), point
        # Where nothing is awaited before the body, it may begin, and learns of it there.
        silent = self.kind is AsyncPointedStore and point in CALLS
        assert self.bodies - self.bodies_at_cancel <= (not silent), point
        bodies, raised = self.bodies, self.raised
        report = await way(bare_loop(self.inner), self.plain_body)
        state = Operator(self.inner).show(KEY)
        assert (report.status, state.starts) == ("tripped", CAP), point
        assert state.crashes == 0, point
        assert state.failures <= raised, point
        assert CAP - 1 <= self.bodies <= CAP, point
        assert bodies <= CAP


@KINDS
@WAYS
async def test_cancelled_at_every_pass_of_every_point(way, kind):
    """P9: it is caught by the scope that asked for it, and costs at most the start it cut off."""
    for number in itertools.count(1):
        life = Life(kind, number)
        with anyio.CancelScope() as scope:
            life.cancel = scope.cancel
            await way(life.loop, life.body)
            if not scope.cancel_called:
                break
            await anyio.lowlevel.checkpoint()
        assert scope.cancelled_caught
        await life.check(way, life.passed[number - 1])

    assert number > 20 * CAP


@KINDS
@WAYS
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_task_cancelled_at_every_pass_of_every_point(way, kind):
    """P9: asyncio's own cancellation, which is asked for once, is never lost."""
    for number in itertools.count(1):
        life = Life(kind, number)

        async def work(life=life):
            await way(life.loop, life.body)
            await asyncio.sleep(0)

        task = asyncio.create_task(work())
        life.cancel = task.cancel
        await asyncio.wait([task])
        if not task.cancelling():
            break
        assert task.cancelled(), life.passed[number - 1]
        await life.check(way, life.passed[number - 1])

    assert number > 20 * CAP
