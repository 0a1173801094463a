# SPDX-License-Identifier: MIT
"""A store over the host's open transaction: records that commit with the host's own rows.

It begins, commits and rolls back nothing of the host's.  It knows keys, bytes
and versions, and nothing of effects.  Its twin is ``postgres_transaction_async``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from haltable.errors import ConfigurationError, StoreError
from haltable.store import Conflict, Durability, Entry
from haltable.stores._postgres_faults import refusal, store_error
from haltable.stores._postgres_place import IDLE, ThreadLock as Lock, driver
from haltable.stores._postgres_rows import (
    Statements,
    done,
    first,
    keyed,
    quoted_table,
    schema_of,
    version_of,
)

if TYPE_CHECKING:
    from psycopg import Connection

__all__ = ["PostgresTransaction"]

_IN_TRANSACTION, _IN_ERROR = 2, 3


class PostgresTransaction:
    """Keeps effects' records in the transaction that the host has open.

    The host's rows and the effect's record are committed together or not at
    all, which is the one case in which an effect on the host's own database
    happens exactly once.  If the host rolls back, the record is gone with the
    rows, as if the effect had never been called: the next call runs it again,
    and what it did outside the database stays done and is done once more.

    Each verb runs behind a savepoint, so that one that is refused leaves the
    host's transaction as it was.  A connection that is not in autocommit begins
    a transaction by itself, as with any statement.  Two hosts that call one
    effect at once wait for each other's commit.

    Give it to ``IdempotencyGuard(store=..., transactional=True)``; a loop refuses
    it, for a rollback would give a charged start back.  It lies in the same
    table as a `PostgresStore` of the same name.

    Args:
        connection: the host's, open; of any row factory or cursor factory.
        table: the table's name.
        schema: the schema that the table lies in; None, the default, leaves it
            to the connection's ``search_path``.

    Raises:
        ConfigurationError: if it is no open connection, or psycopg is missing.

    Example:
        >>> PostgresTransaction("dbname=shop")
        Traceback (most recent call last):
        haltable.errors.ConfigurationError: 'dbname=shop': give an open psycopg.Connection
    """

    #: It lies in the host's own transaction, and serves only guards that say so too.
    transactional = True
    #: A call waits for the network, and may wait for another transaction's end.
    blocks = True
    #: What the host's commit survives at least: each write finds out.
    durability: Durability

    __slots__ = ("_connection", "_cursor", "_lock", "_sql", "_table", "durability")

    def __init__(
        self, connection: Connection[Any], *, table: str = "haltable", schema: str | None = None
    ) -> None:
        psycopg = driver()
        kind = psycopg.Connection
        if not isinstance(connection, kind) or connection.closed:
            raise ConfigurationError(f"{connection!r}: give an open psycopg.{kind.__name__}")
        self._connection = connection
        self._table = quoted_table(table, schema)
        self._sql = Statements.over(self._table, may_roll_back=True)
        # Not the connection's own kinds of cursor and row, which may be anything.
        self._cursor = partial(psycopg.Cursor, row_factory=psycopg.rows.tuple_row)
        self._lock = Lock()
        self.durability = Durability.PROCESS

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: table {self._table}>"

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
        """Creates the table if it is not there: in the open transaction, if there is one.

        Raises:
            StoreError: it cannot be created, or a table of another form is there.
        """
        self._run("create the table", schema_of(self._table).encode(), alone=True)
        self._run("look at the table", self._sql.verify, {}, alone=True)

    def read(self, key: str) -> Entry | None:
        """Returns the key's entry, None if it is absent.

        Raises:
            StoreError: the table cannot be read.
        """
        return first(self._run(f"read {key!r}", self._sql.read, {"key": key}, alone=True))

    def write(self, key: str, value: bytes, *, expected: int) -> Entry | Conflict:
        """Replaces the value if the key is at version ``expected``; 0 means absent.

        Args:
            key: any text without a NUL.
            value: the bytes to keep.
            expected: the version that the key must be at.

        Returns:
            The new `Entry`, or the `Conflict` with what is there.

        Raises:
            StoreError: no transaction is open, or the write was refused.
        """
        statement = self._sql.replace if expected else self._sql.create
        values = {"key": key, "value": value, "expected": expected}
        rows = self._run(f"write {key!r}", statement, values)
        written = done(rows)
        if written is not None:
            version, self.durability = written
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
        while found := self._run(f"scan from {start!r}", page, {"key": start}, alone=True):
            for start, entry in map(keyed, found):  # The next page starts at the last key.
                if not start.startswith(prefix):
                    return
                yield start, entry
            page = self._sql.next_page

    def delete(self, key: str, *, expected: int) -> bool:
        """Removes the key if it is at version ``expected``; returns whether it did.

        Raises:
            StoreError: no transaction is open, or the removal was refused.
        """
        values = {"key": key, "expected": expected}
        return bool(self._run(f"delete {key!r}", self._sql.delete, values))

    def _run(
        self,
        act: str,
        statement: bytes,
        values: Mapping[str, object] | None = None,
        *,
        alone: bool = False,
    ) -> list[tuple[Any, ...]]:
        try:
            with self._lock:
                saved = self._is_begun(act, alone=alone)
                return self._behind_savepoint(statement, values, saved=saved)
        except StoreError:
            raise
        except Exception as error:
            # Nothing is written before the host commits, and a lost connection cannot.
            raise store_error(self._table, act, error, writes=False) from error

    def _behind_savepoint(
        self, statement: bytes, values: Mapping[str, object] | None, *, saved: bool
    ) -> list[tuple[Any, ...]]:
        cursor = self._cursor(self._connection)
        if saved:
            cursor.execute(b"SAVEPOINT haltable", prepare=False)
        try:
            cursor.execute(statement, values, prepare=False, binary=True)
            rows: list[tuple[Any, ...]] = cursor.fetchall() if cursor.description else []
        except Exception:
            if saved:
                # A lost connection has nothing to go back to; the first error says so.
                with suppress(Exception):
                    cursor.execute(b"ROLLBACK TO SAVEPOINT haltable", prepare=False)
                    cursor.execute(b"RELEASE SAVEPOINT haltable", prepare=False)
            raise
        if saved:
            cursor.execute(b"RELEASE SAVEPOINT haltable", prepare=False)
        return rows

    def _is_begun(self, act: str, *, alone: bool) -> bool:
        """Says whether a statement will lie in a transaction of the host's."""
        connection = self._connection
        if connection.closed:
            raise refusal(self._table, "cannot be reached: the connection is closed", act)
        status = connection.pgconn.transaction_status
        if status == _IN_ERROR:
            raise refusal(self._table, "is not used: roll your failed transaction back first", act)
        if status == _IN_TRANSACTION or (status == IDLE and not connection.autocommit):
            return True
        if status != IDLE:
            what = "is not used: the connection is in the middle of a statement, or broken"
            raise refusal(self._table, what, act)
        if not alone:
            what = f"has no open transaction, so nothing may {act}: begin yours first"
            raise refusal(self._table, what, act)
        return False
