# SPDX-License-Identifier: MIT
"""A store over the host's open connection: records that commit with the host's own rows.

It begins, commits and rolls back nothing: that is the host's alone.  It knows
keys, bytes and versions, and nothing of effects.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from haltable.errors import ConfigurationError, StoreError
from haltable.store import Conflict, Durability, Entry
from haltable.stores._boot_clock import BootClock
from haltable.stores._sqlite_faults import refusal, store_error
from haltable.stores._sqlite_rows import DELETE, READ, SCHEMA, entry_of, keyed_entry, paged

__all__ = ["SQLiteTransaction"]

_VERSION = "SELECT version FROM haltable WHERE key = ?"
_REPLACE = (
    "UPDATE haltable SET value = ?, version = ?, boot = ?, written = ?"
    " WHERE key = ? AND version = ? AND value IS NOT NULL"
)
_ENTER = (
    "INSERT INTO haltable (value, version, boot, written, key) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT (key) DO UPDATE SET value = excluded.value, version = excluded.version,"
    " boot = excluded.boot, written = excluded.written WHERE haltable.value IS NULL"
)
_TICKS_A_SECOND = 1e9


class SQLiteTransaction:
    """Keeps effects' records in the transaction that the host has open.

    The host's rows and the effect's record are committed together or not at
    all, which is the one case in which an effect on the host's own database
    happens exactly once.  If the host rolls back, the record is gone with the
    rows, as if the effect had never been called: the next call runs it again,
    and what it did outside the database stays done and is done once more.

    Use it where the connection is used, and begin with ``BEGIN IMMEDIATE``, so
    that two hosts wait for each other instead of failing.  Give it to
    ``IdempotencyGuard(store=..., transactional=True)``; a loop refuses it, for
    a rollback would give a charged start back.

    Args:
        connection: the host's, open; of any isolation level or row factory.

    Raises:
        ConfigurationError: if it is no open connection.

    Example:
        >>> import sqlite3
        >>> from haltable import IdempotencyGuard
        >>> connection = sqlite3.connect(":memory:", isolation_level=None)
        >>> store = SQLiteTransaction(connection)
        >>> store.create()
        >>> guard = IdempotencyGuard(store=store, transactional=True)
        >>> cursor = connection.execute("BEGIN IMMEDIATE")
        >>> [guard.once("order:7", lambda: "made") for _ in range(2)]
        ['made', 'made']
        >>> connection.rollback()
        >>> guard.claimed("order:7")
        False
        >>> connection.close()
    """

    #: What creates the table, for the host's own migrations.
    schema = SCHEMA
    #: It lies in the host's own transaction, and serves only guards that say so too.
    transactional = True
    #: A call may wait for another connection's lock.
    blocks = True

    __slots__ = ("_clock", "_connection", "_lock", "durability", "path")

    def __init__(self, connection: sqlite3.Connection) -> None:
        if not isinstance(connection, sqlite3.Connection):
            raise ConfigurationError(
                f"SQLiteTransaction({connection!r}): give an open sqlite3.Connection"
            )
        self._connection = connection
        self._clock = BootClock.of_this_machine()
        # A host's task or signal handler may come in while another call is in here.
        self._lock = threading.RLock()
        try:
            (_, _, file), *_ = self._cursor().execute("PRAGMA database_list").fetchall()
        except sqlite3.Error as error:
            raise ConfigurationError(
                f"SQLiteTransaction({connection!r}): it cannot be used here: {error}"
            ) from error
        #: The database's file.
        self.path: str = file or ":memory:"
        #: What the host's commit survives at least.
        self.durability = Durability.PROCESS if file else Durability.NOTHING

    def __repr__(self) -> str:
        return f"<SQLiteTransaction: {self.path!r}>"

    def create(self) -> None:
        """Creates the table if it is not there: in the open transaction, if there is one.

        Raises:
            StoreError: if it cannot be created.
        """
        with self._lock:
            try:
                self._cursor().execute(SCHEMA)
            except Exception as error:
                raise self._failure("create the table", error) from error

    def read(self, key: str) -> Entry | None:
        """Returns the key's entry, None if it is absent.

        Raises:
            StoreError: the table cannot be read.
        """
        with self._lock:
            try:
                row = self._cursor().execute(READ, (key,)).fetchone()
            except Exception as error:
                raise self._failure(f"read {key!r}", error) from error
        if row is None or row[0] is None:
            return None
        return entry_of(self.path, key, row, self._clock)

    def write(self, key: str, value: bytes, *, expected: int) -> Entry | Conflict:
        """Replaces the value if the key is at version ``expected``; 0 means absent.

        Args:
            key: any text.
            value: the bytes to keep.
            expected: the version that the key must be at.

        Returns:
            The new `Entry`, or the `Conflict` with what is there.

        Raises:
            StoreError: no transaction is open, or the write was refused.
        """
        act = f"write {key!r}"
        with self._lock:
            now = self._clock.now()
            cursor = self._begun(act)
            try:
                least = expected or self._last(cursor, key)
                # A version that was rolled back is not given out again: time goes on.
                version = max(least + 1, int(now * _TICKS_A_SECOND))
                given = (value, version, self._clock.boot, now, key)
                if expected:
                    done = cursor.execute(_REPLACE, (*given, expected)).rowcount
                else:
                    done = cursor.execute(_ENTER, given).rowcount
            except Exception as error:
                raise self._failure(act, error) from error
            return Entry(value, version) if done else Conflict(self.read(key))

    def scan(self, prefix: str) -> Iterator[tuple[str, Entry]]:
        """Yields the entries whose keys start with the prefix, in the order of their keys.

        It reads page by page, so that it may be left at any point, and its
        consumer may write.

        Raises:
            StoreError: the table cannot be read.
        """
        return paged(self._rows, self._keyed, prefix)

    def delete(self, key: str, *, expected: int) -> bool:
        """Removes the key if it is at version ``expected``; returns whether it did.

        Raises:
            StoreError: no transaction is open, or the removal was refused.
        """
        act = f"delete {key!r}"
        with self._lock:
            cursor = self._begun(act)
            given = (self._clock.boot, self._clock.now(), key, expected)
            try:
                return bool(cursor.execute(DELETE, given).rowcount)
            except Exception as error:
                raise self._failure(act, error) from error

    def _begun(self, act: str) -> sqlite3.Cursor:
        """Returns a cursor in the host's transaction."""
        try:
            begun = self._connection.in_transaction
        except Exception as error:
            raise self._failure(act, error) from error
        if not begun:
            what = f"has no open transaction, so nothing may {act}: begin yours first"
            raise refusal(self.path, f"{what} (BEGIN IMMEDIATE)")
        return self._cursor()

    def _cursor(self) -> sqlite3.Cursor:
        cursor = self._connection.cursor()
        cursor.row_factory = None  # The host's may make anything of a row.
        return cursor

    def _last(self, cursor: sqlite3.Cursor, key: str) -> int:
        """Returns the version at which a key was deleted; 0 if it never was there."""
        row = cursor.execute(_VERSION, (key,)).fetchone()
        return 0 if row is None else int(row[0])

    def _rows(self, page: str, start: str) -> list[tuple[Any, ...]]:
        with self._lock:
            try:
                return self._cursor().execute(page, (start,)).fetchall()
            except Exception as error:
                raise self._failure(f"scan from {start!r}", error) from error

    def _keyed(self, row: Sequence[Any]) -> tuple[str, Entry]:
        key, *rest = row
        if isinstance(key, bytes):  # The host's text factory.
            key = key.decode()
        return keyed_entry(self.path, (key, *rest), self._clock)

    def _failure(self, act: str, error: Exception) -> StoreError:
        if "no such table: haltable" in str(error):
            what = "has no table of haltable's: call create() once, or run SQLiteTransaction.schema"
            return refusal(self.path, f"{what} (tried to {act})")
        # Whatever SQLite refuses in a transaction, it has undone; only a commit can be in doubt.
        return store_error(self.path, act, error, writes=False)
