# SPDX-License-Identifier: MIT
"""Stores on PostgreSQL over each kind of source, all with the same plain verbs.

So that what befalls a server is shown once, for the synchronous and for the
asynchronous store alike.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import psycopg
from anyio.from_thread import start_blocking_portal
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from haltable.stores import AsyncPostgresStore, PostgresStore
from tests.stores.awaited import Awaited

#: The kinds of source that outlive a broken connection.
KINDS = ("factory", "pool", "async factory", "async pool")


@contextlib.contextmanager
def opened(kind: str, url: str, **options: Any) -> Iterator[Any]:
    """Opens a store over a kind of source."""
    connecting = {"autocommit": True}
    sizes = {"min_size": 1, "max_size": 2, "timeout": 1.0, "reconnect_timeout": 1.0}
    if kind == "factory":
        with PostgresStore(lambda: psycopg.connect(url, **connecting), **options) as store:
            yield store
    elif kind == "pool":
        check = ConnectionPool.check_connection
        with ConnectionPool(url, kwargs=connecting, check=check, open=True, **sizes) as pool:
            yield PostgresStore(pool, **options)
    elif kind == "async factory":
        with start_blocking_portal("asyncio") as portal:
            store = AsyncPostgresStore(
                lambda: psycopg.AsyncConnection.connect(url, **connecting), **options
            )
            yield Awaited(store, portal)
            portal.call(store.close)
    else:
        check = AsyncConnectionPool.check_connection
        with start_blocking_portal("asyncio") as portal:
            pool = AsyncConnectionPool(url, kwargs=connecting, check=check, open=False, **sizes)
            portal.call(pool.open)
            yield Awaited(AsyncPostgresStore(pool, **options), portal)
            portal.call(pool.close)
