# SPDX-License-Identifier: MIT
"""Rows: a keyed iteration on Valkey and on PostgreSQL, beside one raw script and one statement.

Both sides talk to one server of the benchmark's own, over its Unix socket: no
network, so that what a store adds shows most.  The raw side is the fastest that
was found with the same client library: one connection that is never given back,
and the very bytes that a keyed loop wrote, one record after the other.  Beside
an effect stands nothing but its two raw writes, or the one raw read of its
replay: what is done by hand for SQLite is in ``effect_rows``.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import itertools
import uuid
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, ClassVar

import psycopg
import redis
import redis.asyncio

from haltable import IdempotencyGuard, Loop
from haltable.store import Durability
from haltable.stores import AsyncPostgresStore, AsyncRedisStore, PostgresStore, RedisStore
from tests.benchmarks.measuring import Figures, Goal, Row, Size, paired
from tests.benchmarks.sqlite_rows import Recorder
from tests.benchmarks.subjects import abody, body, four
from tests.servers.redis import running_valkey
from tests.stores.servers import running_postgres

__all__ = ["ROWS"]

#: Keeps a value with its version and its time, and returns the version, as one script.
_SCRIPT = """\
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000000 + time[2])
redis.call('HSET', KEYS[1], 'value', ARGV[1], 'version', now, 'written', now)
return now
"""
_GET = "return redis.call('HMGET', KEYS[1], 'value', 'version', 'written')"
_TABLE = """\
CREATE TABLE IF NOT EXISTS raw (
    key text COLLATE "C" PRIMARY KEY, version bigint NOT NULL, written timestamptz NOT NULL,
    value bytea
)"""
_UPSERT = b"""\
INSERT INTO raw AS held (key, version, written, value)
VALUES (%(key)s::text, 1, clock_timestamp(), %(value)b::bytea)
ON CONFLICT (key) DO UPDATE
SET version = held.version + 1, written = clock_timestamp(), value = excluded.value
RETURNING version"""
_SELECT = b"SELECT value, version, written FROM raw WHERE key = %(key)s::text"

#: Writes a record under a key, or reads one.
Write = Callable[[str, bytes], Any]
Read = Callable[[str], Any]


class Server:
    """A server that a row's two sides talk to.

    Args:
        address: where it is.
        stack: closes what the row opens.
    """

    def __init__(self, address: str, stack: contextlib.ExitStack) -> None:
        self.address, self.stack = address, stack

    #: Runs the server, and yields where it is.
    running: ClassVar[Any]

    def store(self) -> Any:
        """Returns our synchronous store."""
        raise NotImplementedError

    def raw(self) -> tuple[Write, Read]:
        """Returns what is written and read by hand."""
        raise NotImplementedError

    async def store_later(self, stack: contextlib.AsyncExitStack) -> Any:
        """Returns our asynchronous store."""
        raise NotImplementedError

    async def raw_later(self, stack: contextlib.AsyncExitStack) -> Write:
        """Returns what is written by hand, to be awaited."""
        raise NotImplementedError


class Valkey(Server):
    running = staticmethod(running_valkey)

    def store(self) -> Any:
        client = self.stack.enter_context(redis.Redis(unix_socket_path=self.address))
        return self.stack.enter_context(RedisStore(client, durability=Durability.NOTHING))

    def raw(self) -> tuple[Write, Read]:
        # Not the client, which takes a connection from its pool and gives it back each time.
        link = redis.UnixDomainSocketConnection(path=self.address)
        link.connect()
        self.stack.callback(link.disconnect)

        def loaded(script: str) -> Any:
            link.send_command("SCRIPT", "LOAD", script)
            return link.read_response()

        write_digest, read_digest = loaded(_SCRIPT), loaded(_GET)

        def write(key: str, value: bytes) -> Any:
            link.send_command("EVALSHA", write_digest, 1, key, value)
            return link.read_response()

        def read(key: str) -> Any:
            link.send_command("EVALSHA", read_digest, 1, key)
            return link.read_response()

        return write, read

    async def store_later(self, stack: contextlib.AsyncExitStack) -> Any:
        client = redis.asyncio.Redis(unix_socket_path=self.address)
        await stack.enter_async_context(client)
        store = AsyncRedisStore(client, durability=Durability.NOTHING)
        return await stack.enter_async_context(store)

    async def raw_later(self, stack: contextlib.AsyncExitStack) -> Write:
        link = redis.asyncio.UnixDomainSocketConnection(path=self.address)
        await link.connect()
        stack.push_async_callback(link.disconnect)
        await link.send_command("SCRIPT", "LOAD", _SCRIPT)
        digest = await link.read_response()

        async def write(key: str, value: bytes) -> Any:
            await link.send_command("EVALSHA", digest, 1, key, value)
            return await link.read_response()

        return write


class Postgres(Server):
    running = staticmethod(running_postgres)
    #: Whether the raw statement is prepared, which ours is not: it works behind a pooler.
    prepared = True

    def store(self) -> Any:
        connection = self.stack.enter_context(self._connected())
        store = PostgresStore(connection, durability="process")
        store.create_schema()
        return store

    def raw(self) -> tuple[Write, Read]:
        # One cursor, whose statement the server prepares once.
        cursor = self.stack.enter_context(self._connected()).cursor()
        cursor.execute(_TABLE)
        prepared = self.prepared

        def write(key: str, value: bytes) -> Any:
            cursor.execute(_UPSERT, {"key": key, "value": value}, prepare=prepared, binary=True)
            return cursor.fetchone()

        def read(key: str) -> Any:
            cursor.execute(_SELECT, {"key": key}, prepare=prepared, binary=True)
            return cursor.fetchone()

        return write, read

    async def store_later(self, stack: contextlib.AsyncExitStack) -> Any:
        connection = await psycopg.AsyncConnection.connect(self.address, autocommit=True)
        await stack.enter_async_context(connection)
        return AsyncPostgresStore(connection, durability="process")

    async def raw_later(self, stack: contextlib.AsyncExitStack) -> Write:
        connection = await psycopg.AsyncConnection.connect(self.address, autocommit=True)
        await stack.enter_async_context(connection)
        cursor = connection.cursor()
        await cursor.execute(_TABLE)

        async def write(key: str, value: bytes) -> Any:
            await cursor.execute(_UPSERT, {"key": key, "value": value}, prepare=True, binary=True)
            return await cursor.fetchone()

        return write

    def _connected(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.address, autocommit=True)


class Unprepared(Postgres):
    prepared = False


class Shared:
    """The servers that run, each for as long as a row needs it."""

    def __init__(self) -> None:
        self._running: dict[Any, tuple[contextlib.ExitStack, str]] = {}
        self._users: collections.Counter[Any] = collections.Counter()

    @contextlib.contextmanager
    def address_of(self, running: Any) -> Iterator[str]:
        """Yields where a server is that this starts."""
        if not self._users[running]:
            stack = contextlib.ExitStack()
            self._running[running] = stack, stack.enter_context(running())
        self._users[running] += 1
        try:
            yield self._running[running][1]
        finally:
            self._users[running] -= 1
            if not self._users[running]:
                self._running.pop(running)[0].close()


_SHARED = Shared()


def server_of(kind: type[Server], stack: contextlib.ExitStack) -> Server:
    """Returns a row's server."""
    return kind(stack.enter_context(_SHARED.address_of(kind.running)), stack)


def names(what: str) -> Iterator[str]:
    """Yields keys that nobody has used, no other row either."""
    space = uuid.uuid4().hex
    return (f"{what}-{space}-{number}" for number in itertools.count())


def recorded(store: Any, count: int) -> list[bytes]:
    """Returns what a keyed loop of so many iterations writes while it goes on."""
    recorder = Recorder(store)
    Loop(*four(count), key=next(names("recorded")), store=recorder).run(body)
    return recorder.written[1:-1]  # All but the first start and the tombstone.


def keyed(kind: type[Server]) -> Callable[[Size], Figures]:
    """Returns a row's samples: an iteration over one raw write."""

    def samples(size: Size) -> Figures:
        count = size.writes
        with contextlib.ExitStack() as stack:
            server = server_of(kind, stack)
            store, (write, _) = server.store(), server.raw()
            values, keys = recorded(store, count), names("loop")

            def ours() -> None:
                Loop(*four(count), key=next(keys), store=store).run(body)

            def theirs() -> None:
                key = f"haltable/loop/{next(keys)}"
                for value in itertools.islice(itertools.cycle(values), count):
                    write(key, value)

            yield from paired(ours, theirs)

    return samples


def keyed_later(kind: type[Server]) -> Callable[[Size], Figures]:
    """Returns the same on asyncio, where nobody else wants to run."""

    def samples(size: Size) -> Figures:
        count = size.writes
        with contextlib.ExitStack() as stack:
            server = server_of(kind, stack)
            values, keys = recorded(server.store(), count), names("loop")
            runner = stack.enter_context(asyncio.Runner())
            later = contextlib.AsyncExitStack()
            stack.callback(lambda: runner.run(later.aclose()))
            store = runner.run(server.store_later(later))
            write: Callable[[str, bytes], Awaitable[Any]] = runner.run(server.raw_later(later))

            async def ours() -> None:
                await Loop(*four(count), key=next(keys), store=store).arun(abody)

            async def theirs() -> None:
                key = f"haltable/loop/{next(keys)}"
                for value in itertools.islice(itertools.cycle(values), count):
                    await write(key, value)

            yield from paired(lambda: runner.run(ours()), lambda: runner.run(theirs()))

    return samples


def charge(order: int) -> dict[str, int]:
    """The effect: it does nothing, and returns a small object."""
    return {"id": order}


def first(kind: type[Server]) -> Callable[[Size], Figures]:
    """Returns a row's samples: a first call over its claim and its finish, raw."""

    def samples(size: Size) -> Figures:
        with contextlib.ExitStack() as stack:
            server = server_of(kind, stack)
            store, (write, _) = server.store(), server.raw()
            recorder = Recorder(store)
            IdempotencyGuard(store=recorder).once(next(names("charge")), charge, 7)
            claimed, done = recorder.written
            guard, keys = IdempotencyGuard(store=store), names("charge")

            def ours() -> None:
                for key in itertools.islice(keys, size.writes):
                    guard.once(key, charge, 7)

            def theirs() -> None:
                for key in itertools.islice(keys, size.writes):
                    write(key, claimed)
                    write(key, done)

            yield from paired(ours, theirs)

    return samples


def replay(kind: type[Server]) -> Callable[[Size], Figures]:
    """Returns a row's samples: an effect's replay over one raw read."""

    def samples(size: Size) -> Figures:
        with contextlib.ExitStack() as stack:
            server = server_of(kind, stack)
            store, (write, read) = server.store(), server.raw()
            recorder = Recorder(store)
            guard, key = IdempotencyGuard(store=store), next(names("charge"))
            IdempotencyGuard(store=recorder).once(key, charge, 7)
            write(key, recorder.written[-1])

            def ours() -> None:
                for _ in range(size.writes):
                    guard.once(key, charge, 7)

            def theirs() -> None:
                for _ in range(size.writes):
                    read(key)

            yield from paired(ours, theirs)

    return samples


ROWS = (
    Row("keyed iteration on Valkey", "one raw EVALSHA", Goal(1.3), keyed(Valkey)),
    Row("the same on asyncio", "one raw EVALSHA", Goal(1.3), keyed_later(Valkey)),
    Row("keyed iteration on PostgreSQL", "one UPSERT .. RETURNING", Goal(1.3), keyed(Postgres)),
    Row("the same on asyncio", "one UPSERT .. RETURNING", Goal(1.3), keyed_later(Postgres)),
    Row("keyed iteration on PostgreSQL", "one that is not prepared", None, keyed(Unprepared)),
    Row("first call of an effect on Valkey", "two raw EVALSHA", None, first(Valkey)),
    Row("its replay", "one raw EVALSHA", None, replay(Valkey)),
    Row("first call on PostgreSQL", "two UPSERT .. RETURNING", None, first(Postgres)),
    Row("its replay", "one SELECT", None, replay(Postgres)),
)
