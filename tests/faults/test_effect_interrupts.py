# SPDX-License-Identifier: MIT
"""P9: what interrupts an effect leaves it unknown, and goes on as it came, the very object."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import signal
import threading
import time

import anyio
import anyio.lowlevel
import pytest
import trio

from haltable import IdempotencyGuard, Operator, OutcomeUnknown, SQLiteStore, _watch
from haltable._watch import shared
from haltable.effect_records import decode_effect
from haltable.effects import EffectState
from haltable.stores import MemoryStore
from haltable.testing import FakeClock
from tests.faults import effect_workers
from tests.faults.children import ended, start
from tests.faults.effect_workers import EFFECT, KEY
from tests.faults.faulty import AsyncFaulty
from tests.faults.tally import Tally

#: Seconds that nobody waits; a hang is found by them.
LONG = 30.0
KINDS = (
    KeyboardInterrupt,
    SystemExit,
    GeneratorExit,
    TimeoutError,
    asyncio.CancelledError,
    concurrent.futures.CancelledError,
)
KIND = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.__module__}.{kind.__name__}")


@pytest.fixture(params=["memory", "SQLite", "async memory"])
def store(request, tmp_path):
    """Each kind of store: the loop's own, one that blocks, one that is awaited."""
    if request.param == "SQLite":
        with SQLiteStore(tmp_path / "loops.db") as made:
            yield made
    else:
        yield MemoryStore() if request.param == "memory" else AsyncFaulty(None, 0)


class Waiting:
    """An effect that waits until it is interrupted, and keeps what that was.

    Args:
        swallows: whether it raises an error of its own instead.
    """

    def __init__(self, *, swallows=False):
        self.inside = anyio.Event()
        #: Is called once it is under way.
        self.begun = self.inside.set
        self.swallows = swallows
        self.ran, self.error = 0, None

    async def __call__(self):
        self.ran += 1
        self.begun()
        try:
            await anyio.sleep(LONG)
        except BaseException as error:
            self.error = error
            if self.swallows:
                raise ValueError("the line was cut") from None
            raise


def now_in(scope):
    """Returns what makes the time of a scope be over."""

    def end():
        scope.deadline = anyio.current_time()

    return end


async def call(store, effect, seen):
    """Calls an effect, and keeps what comes out of it."""
    try:
        await IdempotencyGuard(store=store).aonce(KEY, effect)
    except BaseException as error:
        seen.append(error)
        raise


async def check(store, effect, seen, why):
    """Holds an interrupted effect to what was seen of it."""
    assert seen == [effect.error]
    # Also its cause and context are its own.
    assert seen[0].__cause__ is None
    with pytest.raises(OutcomeUnknown, match=why):
        await IdempotencyGuard(store=store).aonce(KEY, effect)
    assert effect.ran == 1
    (view,) = Operator(getattr(store, "inner", store)).effects("unknown")
    assert (view.key, view.state) == (KEY, EffectState.UNKNOWN)
    assert not shared.tokens()


# Cancelled ------------------------------------------------------------------------


async def test_cancelled_by_its_scope(store):
    """A scope that is cancelled gets its own cancellation back, and nothing else."""
    effect, seen = Waiting(), []
    async with anyio.create_task_group() as group:
        group.start_soon(call, store, effect, seen)
        await effect.inside.wait()
        group.cancel_scope.cancel()

    await check(store, effect, seen, "Cancelled")


async def test_moved_on_after(store):
    """`anyio.move_on_after` moves on."""
    effect, seen = Waiting(), []
    with anyio.move_on_after(LONG) as scope:
        effect.begun = now_in(scope)
        await call(store, effect, seen)

    assert scope.cancelled_caught
    await check(store, effect, seen, "Cancelled")


async def test_failed_after(store):
    """`anyio.fail_after` raises its own time-out."""
    effect, seen = Waiting(), []

    async def call_in_time():
        with anyio.fail_after(LONG) as scope:
            effect.begun = now_in(scope)
            await call(store, effect, seen)

    with pytest.raises(TimeoutError):
        await call_in_time()

    await check(store, effect, seen, "Cancelled")


@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_trios_own_scopes(store):
    """Trio's scopes end as they do around any other call."""
    effect, seen = Waiting(), []
    with trio.move_on_after(LONG) as scope:
        effect.begun = now_in(scope)
        await call(store, effect, seen)

    assert scope.cancelled_caught
    assert isinstance(seen[0], trio.Cancelled)
    await check(store, effect, seen, "Cancelled")


@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_trios_own_time_out(store):
    """So does its time-out."""
    effect, seen = Waiting(), []

    async def call_in_time():
        with trio.fail_after(LONG) as scope:
            effect.begun = now_in(scope)
            await call(store, effect, seen)

    with pytest.raises(trio.TooSlowError):
        await call_in_time()

    await check(store, effect, seen, "Cancelled")


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_asyncios_own_time_out(store):
    """Asyncio's time-out raises what it raises around any other call."""
    effect, seen = Waiting(), []

    async def call_in_time():
        async with asyncio.timeout(LONG) as limit:
            effect.begun = lambda: limit.reschedule(anyio.current_time())
            await call(store, effect, seen)

    with pytest.raises(TimeoutError):
        await call_in_time()

    assert isinstance(seen[0], asyncio.CancelledError)
    await check(store, effect, seen, "CancelledError")


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_asyncios_own_cancellation(store):
    """A task that is cancelled is cancelled afterwards, with the message that it was given."""
    effect, seen = Waiting(), []
    task = asyncio.create_task(call(store, effect, seen))
    await effect.inside.wait()
    task.cancel("enough")
    with pytest.raises(asyncio.CancelledError, match="enough"):
        await task

    assert task.cancelled()
    await check(store, effect, seen, "CancelledError: enough")


async def test_cancelled_and_raises_another(store):
    """An effect that turns its cancellation into an error is as unknown; the scope stays so."""
    effect, seen = Waiting(swallows=True), []
    with anyio.CancelScope() as scope:
        effect.begun = scope.cancel
        with pytest.raises(ValueError, match="the line was cut"):
            await call(store, effect, seen)

    assert scope.cancel_called
    effect.error = seen[0]
    await check(store, effect, seen, "ValueError: the line was cut")


async def test_cancelled_before_it_began(store):
    """A call in a cancelled scope claims nothing that stays: the next one runs."""
    ran = []

    async def effect():
        await anyio.lowlevel.checkpoint()
        ran.append(1)
        return len(ran)

    with anyio.CancelScope() as scope:
        scope.cancel()
        await IdempotencyGuard(store=store).aonce(KEY, effect)

    assert (scope.cancelled_caught, ran) == (True, [])
    assert await IdempotencyGuard(store=store).aonce(KEY, effect) == 1


# Raised in it -----------------------------------------------------------------------


@KIND
def test_raised_in_a_synchronous_effect(kind):
    """Whatever it is, also what no `except Exception` sees, it comes out as it went in."""
    store, error = MemoryStore(), kind("from outside")
    guard = IdempotencyGuard(store=store)

    def effect():
        raise error

    with pytest.raises(kind) as raised:
        guard.once(KEY, effect)
    with pytest.raises(OutcomeUnknown, match="from outside"):
        guard.once(KEY, effect)

    assert raised.value is error
    assert [view.key for view in Operator(store).effects("unknown")] == [KEY]
    assert not shared.tokens()


@KIND
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_raised_in_an_awaited_effect(store, kind, backend):
    """The same, awaited; what interrupts the whole event loop is on its record before."""
    seen, error = [], kind("from outside")

    async def effect():
        await anyio.lowlevel.checkpoint()
        raise error

    with pytest.raises(kind):
        anyio.run(call, store, effect, seen, backend=backend)

    assert seen == [error]
    assert [view.key for view in Operator(getattr(store, "inner", store)).effects("unknown")] == [
        KEY
    ]
    assert not shared.tokens()


# A real Ctrl-C ------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["once", "aonce on asyncio", "aonce on trio"])
def test_a_real_ctrl_c_in_the_effect(tmp_path, way):
    """The program is interrupted as it would be anywhere else, and the effect is listed."""
    path, tally = str(tmp_path / "loops.db"), Tally(tmp_path / "outside")
    process = start(effect_workers.wait_in_effect, path, str(tally.path), way)
    limit, pause = time.monotonic() + LONG, threading.Event()
    while not tally.count(EFFECT) and time.monotonic() < limit:
        pause.wait(0.002)
    os.kill(process.pid, signal.SIGINT)
    code = ended(process)
    with SQLiteStore(path) as store:
        (view,) = Operator(store).effects("unknown")
        with pytest.raises(OutcomeUnknown, match="it ended with"):
            IdempotencyGuard(store=store).once(KEY, lambda: tally.mark(EFFECT))

    assert (code, view.key) == (0, KEY)
    assert tally.words() == [EFFECT, "raised KeyboardInterrupt [null, null]"]


class Hanging(AsyncFaulty):
    """A store that never answers a renewal."""

    async def write(self, key, value, *, expected):
        entry = self.inner.read(key)
        if entry is not None and decode_effect(value).state is EffectState.CLAIMED:
            self.hangs.set()
            await anyio.sleep_forever()
        return await super().write(key, value, expected=expected)


async def test_cancelled_while_a_renewal_hangs(monkeypatch):
    """P9: a cancelled effect waits for its store as long as the grace says, and no longer."""
    monkeypatch.setattr(_watch, "INTERVAL", 0.001)
    store, clock = Hanging(None, 0), FakeClock()
    store.hangs = anyio.Event()
    guard = IdempotencyGuard(store=store, clock=clock, grace=0.05)

    async def effect():
        clock.advance(60)
        await anyio.sleep(LONG)

    with anyio.fail_after(LONG):
        async with anyio.create_task_group() as group:
            group.start_soon(guard.aonce, KEY, effect)
            await store.hangs.wait()
            group.cancel_scope.cancel()

    (view,) = Operator(store.inner).effects("unknown")
    assert view.key == KEY
