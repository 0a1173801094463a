# SPDX-License-Identifier: MIT
"""A store that keeps less than a promise needs is warned of: once, in words, whoever uses it."""

from __future__ import annotations

import logging
import warnings

import anyio
import psycopg
import pytest
import redis
import redis.asyncio

from haltable import ExitCondition, IdempotencyGuard, IterationCap, Loop, MemoryStore
from haltable.conditions import never
from haltable.stores import (
    AsyncPostgresStore,
    AsyncRedisStore,
    Durability,
    PostgresStore,
    RedisStore,
)

STARTS = 3


def used(store):
    """Lets a cap and two effects rest on a store."""
    for _ in range(2):
        loop_on(store).run(lambda iteration: iteration.once("mail", str))
        IdempotencyGuard(store=store).once("charge", str)
    return loop_on(store).run(lambda: None)


async def aused(store):
    """Does the same with an asynchronous store."""

    async def effect():
        await anyio.lowlevel.checkpoint()
        return ""

    async def body(iteration):
        await iteration.aonce("mail", effect)

    for _ in range(2):
        await loop_on(store).arun(body)
        await IdempotencyGuard(store=store).aonce("charge", effect)
    return await loop_on(store).arun(body)


def loop_on(store):
    """A loop that only its cap ends, with effects."""
    cap = IterationCap(STARTS)
    return Loop(cap, ExitCondition(success=never), IdempotencyGuard(), key="job", store=store)


def told(caplog, use):
    """Returns what was warned of beside the loop's own trips, in whichever way, and the report."""
    caplog.set_level(logging.WARNING)
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        report = use()
    logged = [record.getMessage() for record in caplog.records if record.name == "haltable"]
    weak = [text for text in logged if not text.startswith("job ")]
    return weak + [str(warning.message) for warning in given], report


async def on_redis_later(address, durability):
    """Uses an asynchronous store."""
    client = redis.asyncio.Redis(unix_socket_path=address)
    async with client, AsyncRedisStore(client, prefix="weak:", durability=durability) as store:
        return await aused(store)


def on_redis(address, durability):
    """Uses a synchronous one."""
    with (
        redis.Redis(unix_socket_path=address) as client,
        RedisStore(client, prefix="weak:", durability=durability) as store,
    ):
        return used(store)


@pytest.fixture
def socket(valkey_socket):
    """A server that keeps no append-only file, without what a test left there."""
    yield valkey_socket
    with redis.Redis(unix_socket_path=valkey_socket) as client:
        client.delete(*client.scan_iter("weak:*"))


@pytest.mark.parametrize("is_async", [False, True])
def test_redis_without_persistence(socket, caplog, is_async):
    """The cap and the effect hold until a restart: that is said once, with what helps."""
    way = (lambda: anyio.run(on_redis_later, socket, None)) if is_async else None
    (weak,), report = told(caplog, way or (lambda: on_redis(socket, None)))

    assert "appendonly 'no'" in weak
    assert "set appendonly to 'yes'" in weak
    assert (report.status, report.starts) == ("tripped", STARTS)


@pytest.mark.parametrize("is_async", [False, True])
def test_redis_without_persistence_that_is_meant(socket, caplog, is_async):
    """A host that says so itself is not told again."""
    meant = Durability.NOTHING
    way = (lambda: anyio.run(on_redis_later, socket, meant)) if is_async else None
    weak, report = told(caplog, way or (lambda: on_redis(socket, meant)))

    assert weak == []
    assert report.starts == STARTS


@pytest.fixture
def url(postgres_url):
    """A server that does not wait for the disk, and a schema of the test's own."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA weak")
    yield postgres_url
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("SET client_min_messages TO warning")
        connection.execute("DROP SCHEMA weak CASCADE")


async def on_postgres_later(url, **wanted):
    """Uses an asynchronous store."""
    async with AsyncPostgresStore(
        lambda: psycopg.AsyncConnection.connect(url, autocommit=True), schema="weak", **wanted
    ) as store:
        await store.create_schema()
        return await aused(store)


def on_postgres(url, **wanted):
    """Uses a synchronous one."""
    with PostgresStore(
        lambda: psycopg.connect(url, autocommit=True), schema="weak", **wanted
    ) as store:
        store.create_schema()
        return used(store)


@pytest.mark.parametrize("is_async", [False, True])
def test_postgres_that_does_not_wait_for_the_disk(url, caplog, is_async):
    """The newest writes may be lost with the machine: that is said once, with the settings."""
    way = (lambda: anyio.run(on_postgres_later, url)) if is_async else None
    (weak,), report = told(caplog, way or (lambda: on_postgres(url)))

    assert "a write survives the process only, and machine is wanted" in weak
    assert "see the server's fsync" in weak
    assert (report.status, report.starts) == ("tripped", STARTS)


@pytest.mark.parametrize("is_async", [False, True])
def test_postgres_of_which_no_more_is_wanted(url, caplog, is_async):
    """A host that wants no more than the server keeps is not warned."""
    wanted = {"durability": "process"}
    way = (lambda: anyio.run(lambda: on_postgres_later(url, **wanted))) if is_async else None
    weak, report = told(caplog, way or (lambda: on_postgres(url, **wanted)))

    assert weak == []
    assert report.starts == STARTS


def test_memory_is_what_it_says(caplog):
    """Nobody who takes a store by the name of memory expects more of it."""
    weak, report = told(caplog, lambda: used(MemoryStore()))

    assert weak == []
    assert report.starts == STARTS
