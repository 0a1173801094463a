# SPDX-License-Identifier: MIT
"""The store on a PostgreSQL server for asyncio; the twin of ``postgres``.

It knows keys, bytes and versions.  Where its connections come from is in
``_postgres_source_async``, what it sends in ``_postgres_rows``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from haltable.errors import ConfigurationError, StoreError
from haltable.store import Conflict, Durability, Entry
from haltable.stores._postgres_faults import is_taken, lost_race, store_error
from haltable.stores._postgres_level import Level
from haltable.stores._postgres_place import driver
from haltable.stores._postgres_rows import (
    Statements,
    done,
    first,
    keyed,
    quoted_table,
    schema_of,
    version_of,
)
from haltable.stores._postgres_source_async import AsyncSource

if TYPE_CHECKING:
    from psycopg import AsyncConnection
    from psycopg_pool import AsyncConnectionPool

__all__ = ["AsyncPostgresStore"]


class AsyncPostgresStore:
    """Keeps records in one table of a PostgreSQL database, by an asyncio host's own connections.

    All is as in `PostgresStore`, over the same table, but that each verb is
    awaited.  Its driver is for asyncio: on trio use `PostgresStore`, which an
    async loop calls in a worker thread.

    It is safe to share between tasks.  A factory's connections are kept for the
    next call on the same event loop, at most eight at a time; broken ones are
    replaced, also after a fork.  A pool is the host's to open on its event loop.
    A connection is for this store alone while the store is used.

    Args:
        source: a ``psycopg.AsyncConnection`` in autocommit, a pool with
            ``connection()`` such as ``psycopg_pool.AsyncConnectionPool``, or a
            function that opens a connection, to be awaited.
        table: the table's name.
        schema: the schema that the table lies in; None, the default, leaves it
            to the connection's ``search_path``.
        durability: what the host wants a write to survive: ``"process"``,
            ``"machine"`` (the default) or ``"replicated"``.
        prepare: whether the server prepares each statement once for a
            connection; False is the default.

    Raises:
        ConfigurationError: an argument cannot be right, or psycopg is missing.

    Example:
        >>> import psycopg
        >>> async def connect():
        ...     return await psycopg.AsyncConnection.connect("dbname=shop", autocommit=True)
        >>> AsyncPostgresStore(connect)
        <AsyncPostgresStore: table "haltable">
    """

    #: The one that its driver works on.
    event_loop = "asyncio"
    #: A call waits for the network.
    blocks = True

    __slots__ = ("_cursor", "_level", "_prepare", "_source", "_sql", "_table")

    def __init__(
        self,
        source: AsyncConnection[Any]
        | AsyncConnectionPool[Any]
        | Callable[[], Awaitable[AsyncConnection[Any]]],
        *,
        table: str = "haltable",
        schema: str | None = None,
        durability: Literal["process", "machine", "replicated"] = "machine",
        prepare: bool = False,
    ) -> None:
        if not isinstance(prepare, bool):
            raise ConfigurationError(f"prepare={prepare!r}: give True or False")
        self._table = quoted_table(table, schema)
        self._sql = Statements.over(self._table)
        self._level = Level(self._table, durability)
        self._prepare = prepare
        self._source = AsyncSource(source, self._table)
        # Not the connection's own kinds of cursor and row, which may be anything.
        psycopg = driver()
        self._cursor = partial(psycopg.AsyncCursor, row_factory=psycopg.rows.tuple_row)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: table {self._table}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    @property
    def durability(self) -> Durability:
        """What an acknowledged write survives: what was asked for, until a write knows better."""
        return self._level.durability

    @staticmethod
    def schema(table: str = "haltable", schema: str | None = None) -> str:
        """Returns the SQL that creates the table, for the host's own migrations.

        Args:
            table: the table's name.
            schema: the schema that it lies in; None leaves it to ``search_path``.

        Raises:
            ConfigurationError: one of the two can be no name.
        """
        return schema_of(quoted_table(table, schema))

    async def create_schema(self) -> None:
        """Creates the table if it is not there, and makes sure that it is of this form.

        Raises:
            StoreError: it cannot be created, or a table of another form is there.
        """
        try:
            await self._run("create the table", schema_of(self._table).encode())
        except StoreError as error:
            if not is_taken(error):
                raise
        await self._run("look at the table", self._sql.verify, {}, writes=False)

    async def close(self) -> None:
        """Closes the factory's connections, and none of the host's; every later call raises."""
        await self._source.close()

    async def read(self, key: str) -> Entry | None:
        """Returns the key's entry, None if it is absent.

        Raises:
            StoreError: the table cannot be read.
        """
        return first(await self._run(f"read {key!r}", self._sql.read, {"key": key}, writes=False))

    async def write(self, key: str, value: bytes, *, expected: int) -> Entry | Conflict:
        """Replaces the value if the key is at version ``expected``; 0 means absent.

        Args:
            key: any text without a NUL.
            value: the bytes to keep.
            expected: the version that the key must be at.

        Returns:
            The new `Entry`, or the `Conflict` with what is there.

        Raises:
            StoreError: the write was refused, or its outcome is unknown, as its
                ``outcome`` says.
        """
        statement = self._sql.replace if expected else self._sql.create
        values = {"key": key, "value": value, "expected": expected}
        try:
            rows = await self._run(f"write {key!r}", statement, values)
        except StoreError as error:
            # Isolation stricter than read committed tells of a lost race by an error.
            current = await self.read(key) if lost_race(error) else None
            if not lost_race(error) or version_of(current) == expected:
                raise
            return Conflict(current)
        written = done(rows)
        if written is not None:
            version, survives = written
            self._level.note(survives)
            return Entry(value, version)
        current = first(rows)
        if current is None or version_of(current) == expected:  # Not told, or too old.
            current = await self.read(key)
        return Conflict(current)

    async def scan(self, prefix: str) -> AsyncIterator[tuple[str, Entry]]:
        """Yields the entries whose keys start with the prefix, in the order of their keys.

        It reads page by page, so that it may be left at any point, and its
        consumer may write.

        Raises:
            StoreError: the table cannot be read.
        """
        page, start = self._sql.first_page, prefix
        while found := await self._run(f"scan from {start!r}", page, {"key": start}, writes=False):
            for start, entry in map(keyed, found):  # The next page starts at the last key.
                if not start.startswith(prefix):
                    return
                yield start, entry
            page = self._sql.next_page

    async def delete(self, key: str, *, expected: int) -> bool:
        """Removes the key if it is at version ``expected``; returns whether it did.

        Raises:
            StoreError: the removal was refused, or its outcome is unknown, as its
                ``outcome`` says.
        """
        values = {"key": key, "expected": expected}
        return bool(await self._run(f"delete {key!r}", self._sql.delete, values))

    async def _run(
        self,
        act: str,
        statement: bytes,
        values: Mapping[str, object] | None = None,
        *,
        writes: bool = True,
    ) -> list[tuple[Any, ...]]:
        async with self._source.connection(act) as connection:
            cursor = self._cursor(connection)
            try:
                await cursor.execute(statement, values, prepare=self._prepare, binary=True)
                return await cursor.fetchall() if cursor.description else []
            except Exception as error:
                raise store_error(self._table, act, error, writes=writes) from error
