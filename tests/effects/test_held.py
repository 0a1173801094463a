# SPDX-License-Identifier: MIT
"""P4: of all who call one key at the same time one runs it; the rest raise, wait or skip."""

from __future__ import annotations

import functools
import threading
from concurrent.futures import ThreadPoolExecutor

import anyio
import anyio.to_thread
import pytest

from haltable import (
    EffectFailed,
    EffectHeld,
    IdempotencyGuard,
    OutcomeUnknown,
    _effect_ports_async,
    _effect_ports_sync,
)
from haltable.effects import EffectState, NothingHappened, claim
from haltable.stores import MemoryStore
from haltable.testing import FakeClock
from tests.effects.sites import STRANGER, awaited

KEY = "charge:7"
TWELVE = 12
#: Seconds after which a test that hangs fails.
LIMIT = 30


class Slow:
    """An effect that is under way until it is told how to end."""

    def __init__(self):
        self.begun, self.go_on = threading.Event(), threading.Event()
        self.ran = 0
        self.ends = "receipt"

    def __call__(self):
        self.ran += 1
        self.begun.set()
        if not self.go_on.wait(LIMIT):
            raise TimeoutError("nobody told the effect to go on")
        if isinstance(self.ends, BaseException):
            raise self.ends
        return self.ends


@pytest.fixture
def slow():
    """An effect that somebody else is at."""
    effect = Slow()
    yield effect
    effect.go_on.set()


@pytest.fixture
def looked(monkeypatch):
    """Is set when somebody who waits has looked and found the effect held."""
    event = threading.Event()
    pace = _effect_ports_sync.pace

    def paced(call, left):
        event.set()
        return pace(call, left)

    for ports in (_effect_ports_sync, _effect_ports_async):
        monkeypatch.setattr(ports, "pace", paced)
    return event


def test_held_raises(site, slow):
    """By default a second caller is told at once who is at it, and for how long at most."""
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(site.call, site.guard(lease=60), KEY, slow)
        slow.begun.wait(LIMIT)
        before = site.entry(KEY)
        with pytest.raises(EffectHeld, match="'charge:7'") as held:
            site.call(site.guard(), KEY, slow)
        between = site.entry(KEY)
        slow.go_on.set()

    assert first.result() == "receipt"
    assert before == between
    assert 0 < held.value.lease_left <= 60
    assert slow.ran == 1


def test_held_is_skipped(site, slow):
    """Skipping returns None and leaves the effect to whoever is at it; what is done is replayed."""
    guard = site.guard(on_held="skip")
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(site.call, guard, KEY, slow)
        slow.begun.wait(LIMIT)
        skipped = site.call(guard, KEY, slow)
        slow.go_on.set()

    assert skipped is None
    assert first.result() == site.call(guard, KEY, slow) == "receipt"
    assert slow.ran == 1


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        ("receipt", "receipt"),
        (LookupError("no funds"), EffectFailed),
        (ValueError("reset"), OutcomeUnknown),
        (NothingHappened("closed"), "own receipt"),
    ],
    ids=lambda value: getattr(value, "__name__", None) or repr(value),
)
def test_held_is_waited_for(site, slow, looked, ends, expected):
    """Whoever waits gets what came of it, however it ended; only what is free again is run."""
    guard = site.guard(on_held="wait", final=LookupError)
    slow.ends = ends
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(site.call, guard, KEY, slow)
        slow.begun.wait(LIMIT)
        second = pool.submit(site.call, guard, KEY, lambda: "own receipt")
        assert looked.wait(LIMIT)
        slow.go_on.set()

    assert first.exception() is (ends if isinstance(ends, Exception) else None)
    error = second.exception()
    assert (second.result() if error is None else type(error)) == expected
    assert slow.ran == 1


def test_waiting_for_a_stranger_ends_with_the_lease(site, looked):
    """Waiting never takes over: a lease that lapses meanwhile leaves the effect unknown."""
    site.leave(KEY, STRANGER)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(site.call, site.guard(on_held="wait"), KEY, lambda: "receipt")
        assert looked.wait(LIMIT)
        site.advance(61)
        error = waiting.exception(LIMIT)

    assert isinstance(error, OutcomeUnknown)
    assert site.record(KEY).state is EffectState.UNKNOWN


@pytest.mark.parametrize("backend", [None, "asyncio", "trio"])
def test_a_wait_is_a_wait_of_the_guards_clock(backend):
    """It takes no real time on a virtual clock, and looks again with growing pauses."""
    clock = FakeClock()
    store = MemoryStore(clock=clock.now)
    guard = IdempotencyGuard(store=store, on_held="wait", clock=clock, lease=3600)
    slow = Slow()
    call = functools.partial(guard.once, KEY, slow)
    if backend is not None:
        call = functools.partial(anyio.run, guard.aonce, KEY, awaited(slow), backend=backend)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(IdempotencyGuard(store=store, lease=60).once, KEY, slow)
        slow.begun.wait(LIMIT)
        with pytest.raises(OutcomeUnknown, match="lapsed"):
            call()
        slow.go_on.set()

    assert clock.now() >= 60
    assert min(clock.waits) < 0.01
    assert 0.1 < max(clock.waits) <= 0.25
    assert slow.ran == 1
    assert first.result() == "receipt"


def test_twelve_threads_wait_for_one_key(site):
    """I5: twelve callers at once get equal values from one run, whichever of them ran it."""
    effect, gate = Counted(), threading.Barrier(TWELVE)

    def call():
        gate.wait(LIMIT)
        return site.call(site.guard(on_held="wait"), KEY, effect)

    with ThreadPoolExecutor(TWELVE) as pool:
        found = [each.result(LIMIT) for each in [pool.submit(call) for _ in range(TWELVE)]]

    assert found == [{"receipt": [1, 2]}] * TWELVE
    assert effect.ran == 1


class Counted:
    """An effect that counts its runs."""

    def __init__(self):
        self.ran = 0

    def __call__(self):
        self.ran += 1
        return {"receipt": (1, 2)}


async def test_twelve_tasks_wait_for_one_key():
    """I5: tasks of one event loop take turns like threads do."""
    effect, found = Counted(), []
    guard = IdempotencyGuard(store=MemoryStore(), on_held="wait")

    async def charge():
        await anyio.lowlevel.checkpoint()
        return effect()

    async def call():
        found.append(await guard.aonce(KEY, charge))

    async with anyio.create_task_group() as group:
        for _ in range(TWELVE):
            group.start_soon(call)

    assert found == [{"receipt": [1, 2]}] * TWELVE
    assert effect.ran == 1


async def test_tasks_are_different_callers():
    """A second task of the same event loop finds the effect held, and is told so."""
    guard = IdempotencyGuard(store=MemoryStore())
    begun, go_on, found = anyio.Event(), anyio.Event(), []

    async def slow():
        begun.set()
        await go_on.wait()
        return "receipt"

    async def call():
        found.append(await guard.aonce(KEY, slow))

    async with anyio.create_task_group() as group:
        group.start_soon(call)
        await begun.wait()
        with pytest.raises(EffectHeld):
            await guard.aonce(KEY, slow)
        go_on.set()

    assert found == ["receipt"]


# One effect inside another ------------------------------------------------------


def test_effects_nest():
    """An effect may call others; each sees its own claim, and the outer one's comes back."""
    guard, seen = IdempotencyGuard(store=MemoryStore()), []

    def outer():
        seen.append(claim().key)
        inner = guard.once("inner", lambda: claim().key)
        return [seen[0], inner, claim().key]

    found = [guard.once("outer", outer) for _ in range(2)]

    assert found == [["outer", "inner", "outer"]] * 2
    assert seen == ["outer"]


async def test_awaited_effects_nest():
    """The same, awaited."""
    guard = IdempotencyGuard(store=MemoryStore())

    async def inner():
        await anyio.lowlevel.checkpoint()
        return claim().key

    async def outer():
        return [claim().key, await guard.aonce("inner", inner), claim().key]

    found = [await guard.aonce("outer", outer) for _ in range(2)]

    assert found == [["outer", "inner", "outer"]] * 2


@pytest.mark.parametrize("on_held", ["raise", "wait"])
def test_waiting_for_oneself_raises(on_held):
    """Rule 12: an effect that calls its own key, at whatever depth, would wait for ever."""
    guard = IdempotencyGuard(store=MemoryStore(), on_held=on_held)
    attempts = []

    def inner():
        attempts.append(claim().key)
        with pytest.raises(EffectHeld):
            guard.once("outer", inner)
        return "inner receipt"

    def outer():
        attempts.append(claim().key)
        return guard.once("inner", inner)

    assert guard.once("outer", outer) == "inner receipt"
    assert attempts == ["outer", "inner"]


@pytest.mark.parametrize("where", ["here", "in a task", "in a thread"])
async def test_waiting_for_oneself_raises_when_awaited(where):
    """Rule 12: also from a task or a worker thread that the effect began and waits for."""
    guard = IdempotencyGuard(store=MemoryStore(), on_held="wait")
    raised = []

    async def again():
        try:
            if where == "in a thread":
                await anyio.to_thread.run_sync(functools.partial(guard.once, KEY, Counted()))
            else:
                await guard.aonce(KEY, awaited(Counted()))
        except EffectHeld as held:
            raised.append(held.key)

    async def outer():
        async with anyio.create_task_group() as group:
            if where == "in a task":
                group.start_soon(again)
            else:
                await again()
        return "receipt"

    with anyio.fail_after(LIMIT):
        found = await guard.aonce(KEY, outer)

    assert found == "receipt"
    assert raised == [KEY]


def test_another_namespace_is_no_waiting_for_oneself():
    """The same key of another guard names another effect."""
    store = MemoryStore()
    one, other = (IdempotencyGuard(store=store, namespace=each, on_held="wait") for each in "ab")

    assert one.once(KEY, lambda: other.once(KEY, lambda: claim().idempotency_key)) == "b:charge:7"
