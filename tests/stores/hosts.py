# SPDX-License-Identifier: MIT
"""Hosts of PostgreSQL stores: one that calls its driver, and one that awaits it.

Both have the same plain verbs, so that what may be given to a store, and what
may not, is shown once for both twins.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Self

import psycopg
from anyio.from_thread import start_blocking_portal
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from haltable.stores import (
    AsyncPostgresStore,
    AsyncPostgresTransaction,
    PostgresStore,
    PostgresTransaction,
)
from tests.stores.awaited import Awaited


class Calling:
    """A host that calls psycopg.

    Args:
        url: how to connect to the server, as psycopg wants it.
    """

    kind = "psycopg.Connection"
    client_cursor = psycopg.ClientCursor

    def __init__(self, url: str) -> None:
        self.url = url
        #: What was opened, as the driver made it.
        self.made: list[Any] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for connection in self.made:
            connection.close()

    def open(self, **options: Any) -> Any:
        """Opens a connection; the factory that a store is given."""
        self.made.append(psycopg.connect(self.url, **{"autocommit": True, **options}))
        return self.made[-1]

    def connect(self, **options: Any) -> Any:
        """Opens a connection, for the test's own statements too."""
        return self.open(**options)

    def pool(self, **options: Any) -> Any:
        """Makes a pool of one connection, to be entered."""
        return ConnectionPool(self.url, kwargs=options, min_size=1, max_size=1, open=False)

    def store(self, source: Any, **named: Any) -> Any:
        """Makes a store over a connection, a pool, a factory, or something wrong."""
        return PostgresStore(source, **named)

    def transaction(self, connection: Any, **named: Any) -> Any:
        """Makes a store in a connection's transaction."""
        return PostgresTransaction(connection, **named)


class Awaiting:
    """A host that awaits psycopg, on an event loop in a thread of its own.

    Args:
        url: how to connect to the server, as psycopg wants it.
    """

    kind = "psycopg.AsyncConnection"
    client_cursor = psycopg.AsyncClientCursor

    def __init__(self, url: str) -> None:
        self.url = url
        #: What was opened, as the driver made it.
        self.made: list[Any] = []
        self._loop = start_blocking_portal("asyncio")

    def __enter__(self) -> Self:
        self._portal = self._loop.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        for connection in self.made:
            self._portal.call(connection.close)
        self._loop.__exit__(None, None, None)

    async def open(self, **options: Any) -> Any:
        """Opens a connection; the factory that a store is given."""
        given = {"autocommit": True, **options}
        self.made.append(await psycopg.AsyncConnection.connect(self.url, **given))
        return self.made[-1]

    def connect(self, **options: Any) -> Any:
        """Opens a connection, for the test's own statements too."""
        return Awaited(self._portal.call(partial(self.open, **options)), self._portal)

    def pool(self, **options: Any) -> Any:
        """Makes a pool of one connection, to be entered."""
        made = partial(AsyncConnectionPool, min_size=1, max_size=1, open=False)
        return Awaited(made(self.url, kwargs=options), self._portal)

    def store(self, source: Any, **named: Any) -> Any:
        """Makes a store over a connection, a pool, a factory, or something wrong."""
        return self._made(AsyncPostgresStore, source, named)

    def transaction(self, connection: Any, **named: Any) -> Any:
        """Makes a store in a connection's transaction."""
        return self._made(AsyncPostgresTransaction, connection, named)

    def _made(self, kind: Callable[..., Any], source: Any, named: dict[str, Any]) -> Any:
        given = source.given if isinstance(source, Awaited) else source

        async def make() -> Any:
            return kind(given, **named)

        return Awaited(self._portal.call(make), self._portal)


#: Each of both.
HOSTS = (Calling, Awaiting)
