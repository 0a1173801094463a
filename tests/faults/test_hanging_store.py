# SPDX-License-Identifier: MIT
"""Rule 10: a cancelled run waits for a store that hangs, for its grace and no longer."""

from __future__ import annotations

import itertools
import math

import anyio
import pytest
from trio.testing import MockClock

from haltable import ExitCondition, IterationCap, Loop, MemoryStore, Operator
from haltable._watch import shared
from haltable.conditions import never

KEY = "job"
CAP = 3
GRACE = 0.2
#: What a shared machine may add to a wait before it is too long; nothing in virtual time.
SLACK = {"asyncio": 1.0, "trio": 1e-6}


@pytest.fixture(
    scope="module",
    params=["asyncio", ("trio", {"clock": MockClock(autojump_threshold=0)})],
    ids=["asyncio", "trio"],
)
def anyio_backend(request):
    """The event loops; on trio time is virtual, so that a hang is measured exactly."""
    return request.param


class Hanging:
    """An asynchronous store that hangs at one of its calls, before it does it or after."""

    def __init__(self, at, *, done=False, lasting=False, seconds=math.inf):
        self.inner = MemoryStore()
        self.durability = self.inner.durability
        self.at, self.done, self.lasting, self.seconds = at, done, lasting, seconds
        self.calls = 0
        self.hung = anyio.Event()

    async def hang(self):
        self.hung.set()
        await anyio.sleep(self.seconds)

    async def call(self, work):
        self.calls += 1
        hangs = self.calls == self.at or (self.lasting and self.calls > self.at)
        if hangs and not self.done:
            await self.hang()
        reply = work()
        if hangs and self.done:
            await self.hang()
        return reply

    async def read(self, key):
        return await self.call(lambda: self.inner.read(key))

    async def write(self, key, value, *, expected):
        return await self.call(lambda: self.inner.write(key, value, expected=expected))

    def scan(self, prefix):
        raise NotImplementedError

    def delete(self, key, *, expected):
        raise NotImplementedError


class Life:
    """A key over a hanging store, and what its bodies did."""

    def __init__(self, store, grace=GRACE):
        self.store = store
        self.bodies = 0
        self.loop = Loop(
            IterationCap(CAP), ExitCondition(success=never), key=KEY, store=store, grace=grace
        )

    async def body(self):
        self.bodies += 1
        await anyio.lowlevel.checkpoint()
        if self.bodies == 1:
            raise ValueError("the first one fails")

    async def run_until_it_hangs(self):
        """Runs, cancels the run in its hanging call; returns what came, and the seconds since."""
        run = self.loop.start()
        async with anyio.create_task_group() as group:

            async def cancel():
                await self.store.hung.wait()
                scope.cancel()
                nonlocal since
                since = anyio.current_time()

            since = None
            group.start_soon(cancel)
            with anyio.CancelScope() as scope:
                await run.arun(self.body)
            seconds = None if since is None else anyio.current_time() - since
            group.cancel_scope.cancel()
        return run.report, scope, seconds


def backend(anyio_backend):
    """The name of the event loop."""
    return anyio_backend if isinstance(anyio_backend, str) else anyio_backend[0]


@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
async def test_each_call_hangs(anyio_backend, done):
    """P5: whichever call hangs, the cancelled run ends within its grace and counts right."""
    slack = SLACK[backend(anyio_backend)]
    for at in itertools.count(1):
        life = Life(Hanging(at, done=done))
        report, scope, seconds = await life.run_until_it_hangs()
        if seconds is None:
            break
        bodies = life.bodies
        assert scope.cancelled_caught, at
        assert GRACE - 0.001 <= seconds <= GRACE + slack, at
        assert not shared.tokens()
        assert report.status == "open" or report.breaker == "IterationCap"
        last = await life.loop.arun(life.body)
        state = Operator(life.store.inner).show(KEY)
        assert bodies <= life.bodies <= CAP, at
        assert (last.status, state.starts) == ("tripped", CAP), at
        assert state.failures - state.crashes <= 1, at
        # Only a charge that was done and never answered may look like a crash.
        assert state.crashes <= done

    assert at > CAP + 1


async def test_the_store_hangs_for_good(anyio_backend):
    """P5: if all calls hang, the run ends within one grace for its call and one for its end."""
    slack = SLACK[backend(anyio_backend)]
    for at in range(1, CAP + 2):
        life = Life(Hanging(at, lasting=True))
        report, scope, seconds = await life.run_until_it_hangs()

        assert scope.cancelled_caught
        assert seconds <= 2 * GRACE + slack
        assert life.bodies < at
        assert report.durable is False or at == 1


async def test_the_reply_comes_within_the_grace():
    """Rule 10: what the store answers within the grace is known; the body does not start."""
    for at in itertools.count(1):
        life = Life(Hanging(at, seconds=GRACE / 4), grace=GRACE * 10)
        report, scope, seconds = await life.run_until_it_hangs()
        if seconds is None:
            break
        bodies, state = life.bodies, Operator(life.store.inner).show(KEY) if at > 1 else None
        assert scope.cancelled_caught
        assert report.durable is True or at == 1
        if state is not None:
            assert state.running is None
            assert state.starts - bodies <= 1
            assert state.failures == min(bodies, 1)
            assert state.crashes == 0


async def test_a_body_that_is_cancelled_while_its_store_is_gone(anyio_backend):
    """P5: cancelled in its body, a run whose store hangs ends within one grace, and says so."""
    store = Hanging(math.inf, lasting=True)
    loop = Loop(IterationCap(CAP), key=KEY, store=store, grace=GRACE)
    inside = anyio.Event()

    async def body():
        store.at = 0
        inside.set()
        await anyio.sleep_forever()

    run = loop.start()
    async with anyio.create_task_group() as group:
        group.start_soon(run.arun, body)
        await inside.wait()
        since = anyio.current_time()
        group.cancel_scope.cancel()

    assert anyio.current_time() - since <= GRACE + SLACK[backend(anyio_backend)]
    assert (run.report.status, run.report.durable) == ("open", False)
    assert "did not confirm" in run.report.reason
    assert not shared.tokens()


class Watched(Hanging):
    """A store that hangs when somebody looks at the record while a body runs."""

    def __init__(self, seconds):
        super().__init__(math.inf, seconds=seconds)
        self.inside = False

    async def read(self, key):
        if self.inside:
            await self.hang()
        return self.inner.read(key)


@pytest.mark.parametrize("cancelled", [True, False])
async def test_the_look_at_a_long_body_hangs(anyio_backend, cancelled):
    """P5: a look that hangs holds the run up for as long as the store does, or for its grace."""
    store = Watched(math.inf if cancelled else 0.1)
    bodies, over = [], anyio.Event()

    async def body():
        bodies.append(1)
        store.inside = len(bodies) == 1
        if store.inside:
            await store.hung.wait()
        store.inside = False
        over.set()

    run = Loop(IterationCap(CAP), key=KEY, store=store, grace=GRACE).start()
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as group:
            group.start_soon(run.arun, body)
            await over.wait()
            since = anyio.current_time()
            if cancelled:
                await anyio.wait_all_tasks_blocked()
                scope.cancel()

    # The look, the write that waited for it, and the end of the run: each has its grace.
    if cancelled:
        assert anyio.current_time() - since <= 3 * GRACE + SLACK[backend(anyio_backend)]
    assert scope.cancelled_caught is cancelled
    assert len(bodies) == (1 if cancelled else CAP)
    state = Operator(store.inner).show(KEY)
    # The charge that waited for the look is cut off, and costs its unit.
    assert state.starts - len(bodies) <= cancelled
    assert (state.running, state.failures) == (None, 0)
    assert run.report.status == ("open" if cancelled else "tripped")
    assert not shared.tokens()
