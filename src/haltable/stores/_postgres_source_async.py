# SPDX-License-Identifier: MIT
"""Where a PostgreSQL store has its connections from: the host's connection, pool or factory.

It hands each out in autocommit and in no transaction, and takes none back that
is broken.  It knows no statement.  The twin of ``_postgres_source``, for asyncio.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

from anyio import Lock, Semaphore

from haltable.errors import ConfigurationError
from haltable.stores._postgres_faults import refusal
from haltable.stores._postgres_place import (
    IDLE,
    async_place as place,
    async_settled as settled,
    driver,
    is_quiet,
    leave,
)

__all__ = ["AsyncSource"]

#: How many connections of a factory are open at a time.
_MOST = 8


class AsyncSource:
    """Lends connections for one statement each.

    Args:
        given: the host's connection, pool or factory.
        table: the table, as it is quoted, for what is said about it.

    Raises:
        ConfigurationError: it is none of these.
    """

    __slots__ = ("_closed", "_given", "_kept", "_only", "_open", "_table")

    def __init__(self, given: Any, table: str) -> None:
        self._given, self._table, self._closed = given, table, False
        self._only: _Kept | None = None
        #: What the factory opened, by where it may be used.
        self._kept: dict[tuple[object, ...], _Kept] = {}
        kind = driver().AsyncConnection
        self._open: Callable[[], AbstractAsyncContextManager[Any]]
        if isinstance(given, kind):
            if not given.autocommit:
                raise ConfigurationError(
                    f"{given!r}: a store writes at once, so open it with autocommit=True; "
                    "for records in a transaction of yours there is PostgresTransaction"
                )
            self._only = _Kept([given])
            self._open = self._lent
        elif callable(getattr(given, "connection", None)):
            self._open = self._pooled
        elif callable(given):
            self._open = self._made
        else:
            raise ConfigurationError(
                f"{given!r}: give a psycopg.{kind.__name__} in autocommit, a pool of them, "
                f"or a function that opens one: lambda: psycopg.{kind.__name__}.connect(...)"
            )

    @asynccontextmanager
    async def connection(self, act: str) -> AsyncGenerator[Any]:
        """Lends a connection.

        Args:
            act: what it is for, as ``"read 'key'"``.

        Raises:
            StoreError: there is none; nothing was sent.
        """
        async with AsyncExitStack() as stack:
            if self._closed:
                raise refusal(self._table, "cannot be reached: the store is closed", act)
            try:
                connection = await stack.enter_async_context(self._open())
            except Exception as error:
                raise refusal(self._table, "cannot be reached", act, error) from error
            if connection.closed:
                raise refusal(self._table, "cannot be reached: the connection is closed", act)
            if connection.pgconn.transaction_status != IDLE or not connection.autocommit:
                raise refusal(
                    self._table,
                    "is not used: the connection that was given stands in a transaction, or in the "
                    "middle of a statement; PostgresTransaction is for records in yours",
                    act,
                )
            yield connection

    async def close(self) -> None:
        """Closes what the factory opened, and nothing of the host's."""
        self._closed = True
        for kept in self._kept.values():
            leave(kept.place, kept.idle)
            kept.idle.clear()

    @asynccontextmanager
    async def _lent(self) -> AsyncGenerator[Any]:
        kept = self._only
        if kept is None or kept.place[0] != place()[0]:
            raise RuntimeError("the connection was opened before this process was forked")
        async with kept.lock:
            yield self._given

    @asynccontextmanager
    async def _pooled(self) -> AsyncGenerator[Any]:
        async with self._given.connection() as connection:
            if connection.autocommit:
                yield connection
                return
            await connection.set_autocommit(True)  # Costs no round trip.
            try:
                yield connection
            finally:
                if connection.pgconn.transaction_status == IDLE:
                    await connection.set_autocommit(False)

    @asynccontextmanager
    async def _made(self) -> AsyncGenerator[Any]:
        kept = self._kept.get(place())
        if kept is None:
            # Threads may come here together: each step is one that only one of them does.
            for left in tuple(self._kept):
                gone = self._kept.pop(left, None) if left != place() else None
                if gone is not None:
                    leave(left, gone.idle)
            kept = self._kept.setdefault(place(), _Kept([]))
        async with kept.turns:
            connection = await kept.taken()
            if connection is None:
                connection = await settled(self._given())
            try:
                if not connection.autocommit:
                    await connection.set_autocommit(True)
                yield connection
            finally:
                if is_quiet(connection) and not self._closed:
                    kept.idle.append(connection)
                else:
                    await connection.close()


class _Kept:
    """What is open at one place."""

    __slots__ = ("idle", "lock", "place", "turns")

    def __init__(self, idle: list[Any]) -> None:
        self.place = place()
        self.idle = idle
        self.lock = Lock()
        self.turns = Semaphore(_MOST)

    async def taken(self) -> Any:
        """Returns a connection that is as it was left; None if there is none."""
        while self.idle:
            try:
                connection = self.idle.pop()
            except IndexError:  # Another thread was faster.
                return None
            if is_quiet(connection):
                return connection
            await connection.close()
        return None
