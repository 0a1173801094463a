# SPDX-License-Identifier: MIT
"""The servers of the rows of fleets, our stores on them, and what is written there by hand.

The raw side is the fastest that was found with the same client library: one
connection that is never given back, one script, one statement that the server
has prepared.  It knows no row.
"""

from __future__ import annotations

import collections
import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import psycopg
import redis
import redis.asyncio

from haltable.store import Durability
from haltable.stores import AsyncPostgresStore, AsyncRedisStore, PostgresStore, RedisStore
from tests.benchmarks.distance import far_from
from tests.servers.redis import running_valkey
from tests.stores.servers import new_postgres

__all__ = [
    "FarPostgres",
    "FarValkey",
    "Postgres",
    "Server",
    "Unprepared",
    "Valkey",
    "server_of",
]

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


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """Runs a PostgreSQL server that waits for no disk; yields how to connect to it."""
    with new_postgres() as server:
        server.start("fsync=off")
        try:
            yield server.url
        finally:
            server.stop()


@contextlib.contextmanager
def far_valkey() -> Iterator[str]:
    """Runs a Valkey server as far away as another machine."""
    with running_valkey() as path, far_from(Path(path)) as folder:
        yield str(folder / Path(path).name)


@contextlib.contextmanager
def far_postgres() -> Iterator[str]:
    """Runs a PostgreSQL server as far away."""
    with postgres() as url:
        words = psycopg.conninfo.conninfo_to_dict(url)
        with far_from(Path(str(words["host"]), ".s.PGSQL.5432")) as folder:
            yield psycopg.conninfo.make_conninfo(url, host=str(folder))


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
    running = staticmethod(postgres)
    #: Whether the server prepares both sides' statements; it must not behind a pooler.
    prepared = True

    def store(self) -> Any:
        connection = self.stack.enter_context(self._connected())
        store = PostgresStore(connection, durability="process", prepare=self.prepared)
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
        return AsyncPostgresStore(connection, durability="process", prepare=self.prepared)

    async def raw_later(self, stack: contextlib.AsyncExitStack) -> Write:
        connection = await psycopg.AsyncConnection.connect(self.address, autocommit=True)
        await stack.enter_async_context(connection)
        cursor = connection.cursor()
        await cursor.execute(_TABLE)

        async def write(key: str, value: bytes) -> Any:
            await cursor.execute(
                _UPSERT, {"key": key, "value": value}, prepare=self.prepared, binary=True
            )
            return await cursor.fetchone()

        return write

    def _connected(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.address, autocommit=True)


class Unprepared(Postgres):
    prepared = False


class FarValkey(Valkey):
    running = staticmethod(far_valkey)


class FarPostgres(Postgres):
    running = staticmethod(far_postgres)


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
