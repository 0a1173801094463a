# SPDX-License-Identifier: MIT
"""Keyed loops run on PostgreSQL, by threads, asyncio and trio, as on the other stores."""

from __future__ import annotations

import uuid
from contextlib import asynccontextmanager
from functools import partial

import anyio
import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool

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
from haltable.stores import AsyncPostgresStore
from tests.stores.hands import opened


@pytest.fixture(params=["factory", "pool"])
def store(request, postgres_url):
    """A synchronous store, over a factory and over a pool."""
    with opened(request.param, postgres_url) as store:
        store.create_schema()
        yield store


@pytest.fixture(params=["factory", "pool"])
def open_twin(request, postgres_url):
    """Opens an asynchronous store, over a factory and over a pool."""

    @asynccontextmanager
    async def open_twin():
        connecting = {"autocommit": True}
        if request.param == "factory":
            connect = partial(psycopg.AsyncConnection.connect, postgres_url, **connecting)
            async with AsyncPostgresStore(connect) as store:
                await store.create_schema()
                yield store
        else:
            made = AsyncConnectionPool(postgres_url, kwargs=connecting, min_size=1, open=False)
            async with made as pool:
                store = AsyncPostgresStore(pool)
                await store.create_schema()
                yield store

    return open_twin


@pytest.fixture
def key():
    """A key of the test's own."""
    return f"orders-{uuid.uuid4()}"


def failing_loop(store, key):
    """A loop whose body may fail three times."""
    return Loop(IterationCap(9), ExitCondition(success=never), key=key, store=store)


def test_a_loop(store, key):
    """Three failures are three starts, for whoever comes next, and no body starts after them."""
    tries = []

    def body(iteration):
        tries.append(iteration.fence)
        raise OSError("the printer is out of paper")

    first, second = failing_loop(store, key).run(body), failing_loop(store, key).run(body)
    state = Operator(store).show(key)

    assert (first.status, first.starts, second.ran) == (Status.TRIPPED, 3, False)
    assert (len(tries), state.starts, state.status) == (3, 3, Status.TRIPPED)
    assert tries == sorted(set(tries))


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_an_async_loop_on_the_sync_store(store, key, backend):
    """An async run calls the synchronous store in a worker thread, on trio too."""
    tries = []

    async def body():
        tries.append(1)
        raise OSError("the printer is out of paper")

    first = anyio.run(failing_loop(store, key).arun, body, backend=backend)
    second = anyio.run(failing_loop(store, key).arun, body, backend=backend)
    state = Operator(store).show(key)

    assert (first.status, first.starts, second.ran) == (Status.TRIPPED, 3, False)
    assert (len(tries), state.starts, state.status) == (3, 3, Status.TRIPPED)


def test_an_async_loop_on_the_async_store(open_twin, key):
    """Counts, verdict and result are one record on the asynchronous store."""
    tries = []

    async def body(iteration):
        tries.append(iteration.fence)
        if iteration.starts < 3:
            raise OSError("not yet")
        iteration.done({"order": 7})

    async def main():
        async with open_twin() as store:
            loop = Loop(IterationCap(9), key=key, store=store)
            return await loop.arun(body), await loop.arun(body)

    first, second = anyio.run(main)

    assert (first.unwrap(), second.unwrap(), second.ran) == ({"order": 7}, {"order": 7}, False)
    assert len(tries) == 3
    assert tries == sorted(set(tries))


def test_an_async_loop_lets_one_run_in(open_twin, key):
    """A second run of a key that is being run is told who runs it, and runs nothing."""
    refusals = []

    async def main():
        async with open_twin() as store:
            loop = Loop(IterationCap(2), key=key, store=store)

            async def body(iteration):
                try:
                    await loop.arun(body)
                except LoopBusy as busy:
                    refusals.append(busy.key)
                if iteration.starts == 2:
                    iteration.done()

            return await loop.arun(body)

    report = anyio.run(main)

    assert (report.status, report.starts) == (Status.SUCCEEDED, 2)
    assert refusals == [key, key]


def test_an_effect_happens_once(store, open_twin, key):
    """What the synchronous guard has done, the asynchronous one replays."""
    done = []

    def effect():
        done.append(1)
        return "made"

    async def main():
        async with open_twin() as twin:
            return await IdempotencyGuard(store=twin).aonce(key, effect)

    first = IdempotencyGuard(store=store).once(key, effect)
    second = anyio.run(main)

    assert (first, second, done) == ("made", "made", [1])


def test_the_async_store_is_refused_on_trio(key, postgres_url):
    """Psycopg's driver is for asyncio: on trio a run is told so before any body."""
    connect = partial(psycopg.AsyncConnection.connect, postgres_url)
    loop = Loop(IterationCap(9), key=key, store=AsyncPostgresStore(connect))
    tries = []

    async def body():
        tries.append(1)

    with pytest.raises(ConfigurationError, match=r"asyncio only, and this is trio.*PostgresStore"):
        anyio.run(loop.arun, body, backend="trio")

    assert tries == []


def test_an_effect_of_the_async_store_is_refused_on_trio(key, postgres_url):
    """An effect without a loop is told so too, and does not happen."""
    connect = partial(psycopg.AsyncConnection.connect, postgres_url)
    guard = IdempotencyGuard(store=AsyncPostgresStore(connect))
    done = []

    with pytest.raises(ConfigurationError, match=r"asyncio only, and this is trio.*PostgresStore"):
        anyio.run(guard.aonce, key, lambda: done.append(1), backend="trio")

    assert done == []


def test_two_hosts_share_a_key(postgres_url, key):
    """Starts of one key add up over stores that know nothing of each other."""
    with opened("factory", postgres_url) as one, opened("async pool", postgres_url) as other:
        one.create_schema()
        reports = [
            Loop(IterationCap(5), ExitCondition(success=never), key=key, store=store).step(int)
            for store in (one, other, one, other)
        ]
        starts = Operator(other).show(key).starts

    assert [report.starts for report in reports] == [1, 2, 3, 4]
    assert starts == 4
