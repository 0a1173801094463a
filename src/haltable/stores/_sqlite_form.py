# SPDX-License-Identifier: MIT
"""What a database of ours looks like: its marks, its table, and the way it is written.

It knows a connection that somebody else has opened, and no path to compare.
"""

from __future__ import annotations

import sqlite3
import time

from haltable.stores._sqlite_faults import is_busy, refusal
from haltable.stores._sqlite_rows import SCHEMA

__all__ = ["prepare"]

#: "halt" in ASCII: what SQLite's application_id is in a database of ours.
_APPLICATION = 0x68616C74
#: The number of the table's form, kept as SQLite's user_version.
_FORM = 1
_SECONDS_BETWEEN_TRIES = 0.01


def prepare(
    connection: sqlite3.Connection,
    path: str,
    *,
    create: bool,
    synchronous: str,
    busy_timeout: float,
) -> None:
    """Makes sure that a database is ours, and sets the connection up.

    Args:
        connection: to the file, just opened.
        path: the file, for what is said about it.
        create: whether an empty database becomes one of ours.
        synchronous: SQLite's setting of that name.
        busy_timeout: seconds to wait for another process's lock.

    Raises:
        StoreError: it is not ours, or of a later form.
        Exception: whatever SQLite raises.
    """
    marks = _marks(connection)
    if marks == (0, 0, 0):
        if not create:
            raise refusal(path, "is empty: it holds no table of haltable")
        _write_ahead(connection, path, busy_timeout)
        _initialise(connection)
        marks = _marks(connection)
    application, form, _ = marks
    if application != _APPLICATION:
        raise refusal(path, "belongs to another application: give haltable a file of its own")
    if form != _FORM:
        raise refusal(path, f"has form {form}, this version of haltable reads form {_FORM}")
    _write_ahead(connection, path, busy_timeout)
    connection.execute(f"PRAGMA synchronous={synchronous}")
    # Where a plain fsync leaves data in the drive's cache (macOS); elsewhere nothing.
    connection.execute("PRAGMA fullfsync=1")


def _marks(connection: sqlite3.Connection) -> tuple[int, int, int]:
    """Returns the application's number, the form's, and how many things the schema holds."""
    # In one transaction, for another process may be making the file just now.
    connection.execute("BEGIN")
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (form,) = connection.execute("PRAGMA user_version").fetchone()
    (things,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    connection.execute("COMMIT")
    return application, form, things


def _initialise(connection: sqlite3.Connection) -> None:
    # One transaction, so that a kill leaves an empty database or a whole one.
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(SCHEMA)
    connection.execute(f"PRAGMA application_id={_APPLICATION}")
    connection.execute(f"PRAGMA user_version={_FORM}")
    connection.execute("COMMIT")


def _write_ahead(connection: sqlite3.Connection, path: str, busy_timeout: float) -> None:
    # SQLite does not wait for this switch as it does for a statement.
    until = time.monotonic() + busy_timeout
    mode = None
    while mode is None:
        try:
            (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
        except Exception as error:
            if not is_busy(error) or time.monotonic() > until:
                raise
            time.sleep(_SECONDS_BETWEEN_TRIES)
    if mode != "wal":
        raise refusal(path, f"cannot keep a write-ahead log here (journal mode {mode!r})")
