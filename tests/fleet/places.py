# SPDX-License-Identifier: MIT
"""Where records are: a server, how its stores are opened, directly and through a proxy.

Child processes open stores too, so a place is plain values that pickle.  It
knows no test and no fault.
"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import attrs
import psycopg
import redis
import redis.asyncio
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.sql import SQL, Identifier

from haltable.stores import (
    AsyncPostgresStore,
    AsyncRedisStore,
    Durability,
    PostgresStore,
    RedisStore,
)
from tests.fleet.proxy import Proxy
from tests.fleet.wires import PostgresWire, RedisWire

__all__ = ["Place", "PostgresPlace", "RedisPlace"]

#: Seconds for which a client of Redis waits for an answer.
PATIENCE = 0.25


@attrs.frozen
class RedisPlace:
    """A Redis or Valkey server.

    Args:
        url: how redis-py gets there.
        port: where a proxy before it listens; None goes to the server itself.
        patience: seconds that a client waits for an answer.
        space: what sets the records of one test apart.
    """

    url: str
    port: int | None = None
    patience: float = 30.0
    space: str = "haltable"

    def proxy(self) -> Proxy:
        """Returns a proxy before the server."""
        return Proxy(self._connect, RedisWire())

    def behind(self, proxy: Proxy) -> RedisPlace:
        """Returns the same server as it is seen through a proxy."""
        return attrs.evolve(self, port=proxy.port)

    def impatient(self) -> RedisPlace:
        """Returns the same server for clients that do not wait for long."""
        return attrs.evolve(self, patience=PATIENCE)

    def open(self) -> RedisStore:
        """Opens a store."""
        client = redis.Redis(**self._words())
        return RedisStore(client, prefix=f"{self.space}:", durability=Durability.NOTHING)

    def aopen(self) -> AsyncRedisStore:
        """Opens a store for tasks."""
        client = redis.asyncio.Redis(**self._words())
        return AsyncRedisStore(client, prefix=f"{self.space}:", durability=Durability.NOTHING)

    def prepare(self) -> None:
        """Does nothing: there is nothing to make."""

    def clear(self) -> None:
        """Removes what was written here."""
        with redis.Redis(**_parsed(self.url)) as client:
            for name in client.scan_iter(f"{self.space}:*", count=1000):
                client.delete(name)

    def _words(self) -> dict[str, Any]:
        words = {**_parsed(self.url), "socket_timeout": self.patience}
        if self.port is not None:
            words.pop("unix_socket_path", None)
            words.update(host="127.0.0.1", port=self.port)
        return words

    def _connect(self) -> socket.socket:
        words = _parsed(self.url)
        if "unix_socket_path" in words:
            return _connected(words["unix_socket_path"])
        return socket.create_connection((words.get("host", "localhost"), words.get("port", 6379)))


def _parsed(url: str) -> dict[str, Any]:
    """Returns what a client of Redis is told instead of a URL, which is not encrypted."""
    words = dict(redis.connection.parse_url(url))
    words.pop("connection_class", None)
    if "path" in words:
        words["unix_socket_path"] = words.pop("path")
    return words


@attrs.frozen
class PostgresPlace:
    """A PostgreSQL server, with the table of records in it.

    Args:
        url: how psycopg gets there.
        direct: how it gets there without a proxy.
        space: what sets the records of one test apart: their table.
    """

    url: str
    direct: str = attrs.field(default=attrs.Factory(lambda self: self.url, takes_self=True))
    space: str = "haltable"

    def proxy(self) -> Proxy:
        """Returns a proxy before the server."""
        return Proxy(self._connect, PostgresWire())

    def behind(self, proxy: Proxy) -> PostgresPlace:
        """Returns the same server as it is seen through a proxy."""
        options = {"sslmode": "disable", "gssencmode": "disable"}
        url = make_conninfo(self.direct, host="127.0.0.1", port=proxy.port, **options)
        return attrs.evolve(self, url=url)

    def prepare(self) -> None:
        """Makes the table, if there is none."""
        with self.open() as store:
            store.create_schema()

    def clear(self) -> None:
        """Removes what was made and written here."""
        with psycopg.connect(self.direct, autocommit=True) as connection:
            connection.execute(SQL("DROP TABLE {}").format(Identifier(self.space)))

    def open(self) -> PostgresStore:
        """Opens a store."""
        url = self.url
        return PostgresStore(
            lambda: psycopg.connect(url, autocommit=True), table=self.space, durability="process"
        )

    def aopen(self) -> AsyncPostgresStore:
        """Opens a store for tasks."""
        url = self.url
        return AsyncPostgresStore(
            lambda: psycopg.AsyncConnection.connect(url, autocommit=True),
            table=self.space,
            durability="process",
        )

    def _connect(self) -> socket.socket:
        words = conninfo_to_dict(self.direct)
        host, port = str(words.get("host", "localhost")), int(words.get("port", 5432))
        if host.startswith("/"):
            return _connected(str(Path(host, f".s.PGSQL.{port}")))
        return socket.create_connection((host, port))


Place = RedisPlace | PostgresPlace


def _connected(path: str) -> socket.socket:
    made = socket.socket(socket.AF_UNIX)
    try:
        made.connect(path)
    except BaseException:
        made.close()
        raise
    return made
