# SPDX-License-Identifier: MIT
"""Where records are kept while processes die: in a file, or on a server.

A place is words only, so that every process can be told of it and opens stores
of its own there.  It knows what a store sends to get into the middle of that,
and no loop and no effect.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import AsyncIterator, Callable, Generator
from typing import Any

import attrs
import psycopg
import redis
import redis.asyncio

from haltable.store import Durability
from haltable.stores import (
    AsyncPostgresStore,
    AsyncRedisStore,
    Conflict,
    Entry,
    PostgresStore,
    RedisStore,
    SQLiteStore,
)

__all__ = ["KINDS", "Awaited", "Place"]

KINDS = ("sqlite", "redis", "postgres")
#: Commands that change something, in the words of redis-py.
_SCRIPTS = ("EVALSHA", "EVAL")
_LIMIT = 30.0
#: Is called inside of a call: in the transaction of SQLite, elsewhere before the answer is read.
Inside = Callable[[], object]


class Awaited:
    """A synchronous store as an asynchronous one, for whoever has no other."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.durability = store.durability

    async def read(self, key: str) -> Entry | None:
        found: Entry | None = self._store.read(key)
        return found

    async def write(self, key: str, value: bytes, *, expected: int) -> Entry | Conflict:
        reply: Entry | Conflict = self._store.write(key, value, expected=expected)
        return reply

    async def scan(self, prefix: str) -> AsyncIterator[tuple[str, Entry]]:
        for found in self._store.scan(prefix):
            yield found

    async def delete(self, key: str, *, expected: int) -> bool:
        done: bool = self._store.delete(key, expected=expected)
        return done


@attrs.frozen
class Place:
    """A place for records that nobody else uses.

    Args:
        kind: one of `KINDS`.
        address: the folder of the file, the server's Unix socket, or how to connect to it.
        space: what sets the records of one test apart on a server.
        part: what sets some of them apart from the others, in a form of its own.
    """

    kind: str
    address: str
    space: str = attrs.field(factory=lambda: f"haltable_{uuid.uuid4().hex}")
    part: str = "records"

    def __str__(self) -> str:
        return self.kind

    @property
    def file(self) -> str:
        """The database file, where there is one."""
        return f"{self.address}/{self.space}.{self.part}.db"

    def within(self, part: object) -> Place:
        """Returns a place beside this one, ready for use."""
        place = attrs.evolve(self, part=f"part_{part}")
        place.make()
        return place

    def make(self) -> None:
        """Makes what the host has to make before a store is opened."""
        if self.kind == "postgres":
            with psycopg.connect(self.address, autocommit=True) as connection:
                connection.execute(f"CREATE SCHEMA IF NOT EXISTS {self.space}")
            with self.open() as store:
                store.create_schema()
        elif self.kind == "sqlite":
            SQLiteStore(self.file).close()

    def open(self, inside: Inside | None = None) -> Any:
        """Returns a synchronous store, whose host has made its place."""
        if self.kind == "sqlite":
            store = SQLiteStore(self.file, create=False)
            if inside is not None:
                _inside_of_sqlite(store, inside)
            return store
        if self.kind == "redis":
            client = redis.Redis(connection_pool=self._pool(redis, inside))
            return RedisStore(client, **self._on_redis())
        driver = _pointed(psycopg.Connection, inside)
        return PostgresStore(lambda: self._connection(driver), **self._on_postgres())

    def open_async(self, inside: Inside | None = None) -> Any:
        """Returns an asynchronous store: a server's own one, for asyncio only."""
        if self.kind == "sqlite":
            return Awaited(self.open(inside))
        if self.kind == "redis":
            client = redis.asyncio.Redis(connection_pool=self._pool(redis.asyncio, inside))
            return AsyncRedisStore(client, **self._on_redis())
        driver = _pointed_later(psycopg.AsyncConnection, inside)
        return AsyncPostgresStore(lambda: self._connection(driver), **self._on_postgres())

    def settle(self) -> None:
        """Waits until the server has carried out what dead clients have sent.

        Raises:
            TimeoutError: if it does not come to an end.
        """
        if self.kind != "postgres":
            # One thread carries out all, in the order of its coming.
            return
        until, pause = time.monotonic() + _LIMIT, threading.Event()
        with psycopg.connect(self.address, autocommit=True) as connection:
            question = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"
            while connection.execute(question, (self.space,)).fetchone() != (0,):
                if time.monotonic() > until:
                    raise TimeoutError("the server is still busy with what the dead have sent")
                pause.wait(0.005)

    def clear(self) -> None:
        """Removes all records of this place and of those beside it from the server."""
        if self.kind == "postgres":
            with psycopg.connect(self.address, autocommit=True) as connection:
                connection.execute("SET client_min_messages TO warning")
                connection.execute(f"DROP SCHEMA IF EXISTS {self.space} CASCADE")
        elif self.kind == "redis":
            with redis.Redis(unix_socket_path=self.address) as client:
                for name in client.scan_iter(f"{self.space}:*", count=1000):
                    client.delete(name)

    def _on_redis(self) -> dict[str, Any]:
        # That the server of the tests keeps nothing is meant.
        return {"prefix": f"{self.space}:{self.part}:", "durability": Durability.NOTHING}

    def _on_postgres(self) -> dict[str, Any]:
        # The server of the tests does not wait for a disk.
        return {"schema": self.space, "table": self.part, "durability": "process"}

    def _pool(self, library: Any, inside: Inside | None) -> Any:
        pointed = _answering if library is redis else _answering_later
        return library.ConnectionPool(
            connection_class=pointed(library.UnixDomainSocketConnection, inside),
            path=self.address,
        )

    def _connection(self, driver: Any) -> Any:
        return driver.connect(self.address, autocommit=True, application_name=self.space)


def _inside_of_sqlite(store: SQLiteStore, inside: Inside) -> None:
    def passes() -> int:
        inside()
        return 0

    with store._file.lock:
        connection = store._file.connection(store._now())
        connection.create_function("inside", 0, passes)
        for act in ("INSERT", "UPDATE"):
            # Once the row is changed, and before that is committed.
            connection.execute(
                f"CREATE TEMP TRIGGER inside_{act} AFTER {act} ON haltable"
                " BEGIN SELECT inside(); END"
            )


def _answering(kind: Any, inside: Inside | None) -> Any:
    """Returns a kind of connection to Redis with something between question and answer."""
    if inside is None:
        return kind

    class Answering(kind):
        sent = False

        def send_command(self, *words: Any, **options: Any) -> None:
            super().send_command(*words, **options)
            self.sent = words[0] in _SCRIPTS

        def read_response(self, *arguments: Any, **options: Any) -> Any:
            if self.sent:
                self.sent = False
                inside()
            return super().read_response(*arguments, **options)

    return Answering


def _answering_later(kind: Any, inside: Inside | None) -> Any:
    """Its async twin."""
    if inside is None:
        return kind

    class Answering(kind):
        sent = False

        async def send_command(self, *words: Any, **options: Any) -> None:
            await super().send_command(*words, **options)
            self.sent = words[0] in _SCRIPTS

        async def read_response(self, *arguments: Any, **options: Any) -> Any:
            if self.sent:
                self.sent = False
                inside()
            return await super().read_response(*arguments, **options)

    return Answering


def _pointed(kind: Any, inside: Inside | None) -> Any:
    """Returns a kind of connection to PostgreSQL with something between question and answer."""
    if inside is None:
        return kind

    class Pointed(kind):
        def wait(self, steps: Any, *arguments: Any, **options: Any) -> Any:
            return super().wait(_passing(steps, inside), *arguments, **options)

    return Pointed


def _pointed_later(kind: Any, inside: Inside | None) -> Any:
    """Its async twin."""
    if inside is None:
        return kind

    class Pointed(kind):
        async def wait(self, steps: Any, *arguments: Any, **options: Any) -> Any:
            return await super().wait(_passing(steps, inside), *arguments, **options)

    return Pointed


def _passing(steps: Any, inside: Inside) -> Generator[Any, Any, Any]:
    """Goes the driver's steps, with something before the first that only waits for an answer."""
    passed = False
    try:
        wants = next(steps)
        while True:
            if wants == psycopg.waiting.Wait.R and not passed:
                passed = True
                inside()
            wants = steps.send((yield wants))
    except StopIteration as end:
        return end.value
    finally:
        steps.close()
