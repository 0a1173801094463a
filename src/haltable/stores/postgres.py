# SPDX-License-Identifier: MIT
"""The store on a PostgreSQL server: one table, shared by every process that reaches it.

It knows keys, bytes and versions.  Where its connections come from is in
``_postgres_source``, what it sends in ``_postgres_rows``.  Its twin for asyncio
is ``postgres_async``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
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
from haltable.stores._postgres_source import Source

if TYPE_CHECKING:
    from psycopg import Connection
    from psycopg_pool import ConnectionPool

__all__ = ["PostgresStore"]


class PostgresStore:
    """Keeps records in one table of a PostgreSQL database, for the processes of any machines.

    Each verb is one statement in autocommit, of one round trip; a write that has
    lost a race may read what is there by another.  It leaves nothing behind in
    the session, so that it works behind a pooler such as PgBouncer in
    transaction mode, unless it is to ``prepare``.  Ages are measured by the server's clock.

    The table is made by an explicit call of `create_schema`, or by a migration
    of the host's with what `schema` returns; nothing else creates anything.

    It is safe to share between threads.  A factory's connections are kept for
    the next call, at most eight at a time; broken ones are replaced, also after
    a fork.  A pool is the host's to open in each process.  A connection is for
    one thread at a time, and for this store alone while the store is used; once
    broken it is refused.  Nothing here limits how long the server may take: set
    ``connect_timeout``, ``tcp_user_timeout`` and ``statement_timeout`` where
    the connection is opened.

    Args:
        source: a ``psycopg.Connection`` in autocommit, a pool with
            ``connection()`` such as ``psycopg_pool.ConnectionPool``, or a
            function that opens a connection.
        table: the table's name.
        schema: the schema that the table lies in; None, the default, leaves it
            to the connection's ``search_path``.
        durability: what the host wants a write to survive: ``"process"``,
            ``"machine"`` (the default) or ``"replicated"``.  Each write finds
            out what the server's settings give it, and if that is less a
            warning is logged, once; ``durability`` then says what they give.
        prepare: whether the server prepares each statement once for a connection
            instead of planning it each time.  False, the default, leaves nothing
            behind in the session, as a pooler in transaction mode needs it; True
            is faster, where nobody else is ever given the same session.

    Raises:
        ConfigurationError: an argument cannot be right, or psycopg is missing.

    Example:
        >>> print(PostgresStore.schema("loops", "shop"))
        CREATE TABLE IF NOT EXISTS "shop"."loops" (
            key text COLLATE "C" PRIMARY KEY,
            version bigint NOT NULL,
            written timestamptz NOT NULL,
            value bytea
        )
    """

    #: A call waits for the network.
    blocks = True

    __slots__ = ("_cursor", "_level", "_prepare", "_source", "_sql", "_table")

    def __init__(
        self,
        source: Connection[Any] | ConnectionPool[Any] | Callable[[], Connection[Any]],
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
        self._source = Source(source, self._table)
        # Not the connection's own kinds of cursor and row, which may be anything.
        psycopg = driver()
        self._cursor = partial(psycopg.Cursor, row_factory=psycopg.rows.tuple_row)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: table {self._table}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

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

    def create_schema(self) -> None:
        """Creates the table if it is not there, and makes sure that it is of this form.

        Raises:
            StoreError: it cannot be created, or a table of another form is there.
        """
        try:
            self._run("create the table", schema_of(self._table).encode())
        except StoreError as error:
            if not is_taken(error):
                raise
        self._run("look at the table", self._sql.verify, {}, writes=False)

    def close(self) -> None:
        """Closes the factory's connections, and none of the host's; every later call raises."""
        self._source.close()

    def read(self, key: str) -> Entry | None:
        """Returns the key's entry, None if it is absent.

        Raises:
            StoreError: the table cannot be read.
        """
        return first(self._run(f"read {key!r}", self._sql.read, {"key": key}, writes=False))

    def write(self, key: str, value: bytes, *, expected: int) -> Entry | Conflict:
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
            rows = self._run(f"write {key!r}", statement, values)
        except StoreError as error:
            # Isolation stricter than read committed tells of a lost race by an error.
            current = self.read(key) if lost_race(error) else None
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
            current = self.read(key)
        return Conflict(current)

    def scan(self, prefix: str) -> Iterator[tuple[str, Entry]]:
        """Yields the entries whose keys start with the prefix, in the order of their keys.

        It reads page by page, so that it may be left at any point, and its
        consumer may write.

        Raises:
            StoreError: the table cannot be read.
        """
        page, start = self._sql.first_page, prefix
        while found := self._run(f"scan from {start!r}", page, {"key": start}, writes=False):
            for start, entry in map(keyed, found):  # The next page starts at the last key.
                if not start.startswith(prefix):
                    return
                yield start, entry
            page = self._sql.next_page

    def delete(self, key: str, *, expected: int) -> bool:
        """Removes the key if it is at version ``expected``; returns whether it did.

        Raises:
            StoreError: the removal was refused, or its outcome is unknown, as its
                ``outcome`` says.
        """
        values = {"key": key, "expected": expected}
        return bool(self._run(f"delete {key!r}", self._sql.delete, values))

    def _run(
        self,
        act: str,
        statement: bytes,
        values: Mapping[str, object] | None = None,
        *,
        writes: bool = True,
    ) -> list[tuple[Any, ...]]:
        with self._source.connection(act) as connection:
            cursor = self._cursor(connection)
            try:
                cursor.execute(statement, values, prepare=self._prepare, binary=True)
                return cursor.fetchall() if cursor.description else []
            except Exception as error:
                raise store_error(self._table, act, error, writes=writes) from error
