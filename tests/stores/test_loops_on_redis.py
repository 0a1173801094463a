# SPDX-License-Identifier: MIT
"""Keyed loops and effects run on Redis, from threads and from tasks, as on any store of ours."""

from __future__ import annotations

import uuid

import anyio
import pytest
import redis
import redis.asyncio

from haltable import (
    ConfigurationError,
    ExitCondition,
    IdempotencyGuard,
    IterationCap,
    Loop,
    LoopBusy,
    Operator,
    Status,
)
from haltable.conditions import never
from haltable.stores import AsyncRedisStore, Durability, RedisStore

KEPT = Durability.NOTHING


@pytest.fixture
def key():
    """A key that no other test uses."""
    return f"orders-{uuid.uuid4()}"


@pytest.fixture
def store(redis_url):
    """The synchronous store."""
    with RedisStore(redis.Redis.from_url(redis_url), durability=KEPT) as store:
        yield store


def async_store(redis_url):
    """Returns the asynchronous store."""
    return AsyncRedisStore(redis.asyncio.Redis.from_url(redis_url), durability=KEPT)


def test_a_cap_holds_over_runs(store, key):
    """Three failures are three starts, and the fourth run is refused without a body."""
    tries = []

    def body(iteration):
        tries.append(iteration.fence)
        raise OSError("the printer is out of paper")

    loop = Loop(IterationCap(9), ExitCondition(success=never), key=key, store=store)
    first, second = loop.run(body), loop.run(body)
    state = Operator(store).show(key)

    assert (first.status, first.starts, second.ran) == (Status.TRIPPED, 3, False)
    assert (state.starts, state.status) == (3, Status.TRIPPED)
    assert tries == sorted(set(tries))
    assert len(tries) == 3


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_synchronous_store_carries_an_async_loop(store, key, backend):
    """On either event loop the store that blocks is called in threads."""

    async def body():
        raise OSError("the printer is out of paper")

    loop = Loop(IterationCap(9), ExitCondition(success=never), key=key, store=store)
    first = anyio.run(loop.arun, body, backend=backend)
    second = anyio.run(loop.arun, body, backend=backend)

    assert (first.status, first.starts, second.ran) == (Status.TRIPPED, 3, False)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_the_asynchronous_store_carries_an_async_loop(redis_url, key, anyio_backend):
    """Counts, verdict and result are one record; who comes meanwhile is told who runs it."""
    refusals = []
    async with async_store(redis_url) as store:
        loop = Loop(IterationCap(9), key=key, store=store)

        async def body(iteration):
            try:
                await loop.arun(body)
            except LoopBusy as busy:
                refusals.append(busy.key)
            if iteration.starts < 3:
                raise OSError("not yet")
            iteration.done({"order": 7})

        first, second = await loop.arun(body), await loop.arun(body)

    assert (first.unwrap(), second.unwrap(), second.ran) == ({"order": 7}, {"order": 7}, False)
    assert refusals == [key] * 3


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_effects_on_the_asynchronous_store(redis_url, key, anyio_backend):
    """An effect happens once, however often it is asked for."""
    done = []

    async def pay(amount):
        done.append(amount)
        return {"paid": amount}

    async with async_store(redis_url) as store:
        guard = IdempotencyGuard(store=store)
        values = [await guard.aonce(key, pay, 7) for _ in range(3)]

    assert values == [{"paid": 7}] * 3
    assert done == [7]


def test_an_effect_on_the_synchronous_store(store, key):
    """The same with threads; what happened is listed, and the key of another is untouched."""
    guard, done = IdempotencyGuard(store=store), []
    values = [guard.once(key, lambda: done.append(1) or "sent") for _ in range(3)]

    assert values == ["sent"] * 3
    assert done == [1]


@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_trio_is_named_the_store_that_serves(redis_url, key, anyio_backend):
    """On trio a store of asyncio is refused before anything ran, with what to give instead."""
    store, ran = async_store(redis_url), []
    said = "it works on asyncio only, and this is trio; .* RedisStore, which is then called in"

    async def body():
        ran.append(1)

    with pytest.raises(ConfigurationError, match=said):
        await Loop(IterationCap(3), key=key, store=store).arun(body)
    with pytest.raises(ConfigurationError, match=said):
        await IdempotencyGuard(store=store).aonce(key, body)
    with pytest.raises(ConfigurationError, match=said):
        async with Loop(IterationCap(3), key=key, store=store).start() as run:
            await run.atick()

    assert ran == []
