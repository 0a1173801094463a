# SPDX-License-Identifier: MIT
"""One process's connection to one database file: opened, checked, closed, and safe to fork.

It knows the file and its marks, and nothing of keys and versions.  Two rules:

1. No connection is open while the process forks.  A forked copy of one, even if
   it is never used, makes SQLite in the child believe that it holds file locks
   which only the parent has.  The first other process that closes the file then
   removes the write-ahead log under the child, and what the child wrote with it.
2. Before each use the file at the path is compared with the one that is open:
   SQLite would go on for ever, with success, on a file that was deleted.
"""

from __future__ import annotations

import functools
import os
import sqlite3
import stat
import threading
import time
from pathlib import Path

from haltable.errors import StoreError
from haltable.stores._forks import close_before_fork
from haltable.stores._sqlite_faults import is_busy, is_passing, store_error

__all__ = ["SQLiteFile"]

#: "halt" in ASCII: what SQLite's application_id is in a database of ours.
_APPLICATION = 0x68616C74
#: The number of the table's form, kept as SQLite's user_version.
_FORM = 1
_SECONDS_BETWEEN_TRIES = 0.01
#: More than a call may wait for a lock, so that a fork finds the file at rest.
_SECONDS_TO_FINISH = 1.0

_TABLE = """
CREATE TABLE IF NOT EXISTS haltable (
    key TEXT PRIMARY KEY NOT NULL,
    version INTEGER NOT NULL,
    boot INTEGER NOT NULL,
    written REAL NOT NULL,
    value BLOB
)
"""


class SQLiteFile:
    """A database file, and this process's connection to it.

    Hold ``lock`` for each use of what `connection` returns, until its last row
    is read.

    Args:
        path: where the file is, absolute.
        synchronous: SQLite's setting of that name.
        busy_timeout: seconds to wait for another process's lock.
    """

    __slots__ = (
        "__weakref__",
        "_busy_timeout",
        "_closed",
        "_connection",
        "_device",
        "_inherited",
        "_inode",
        "_status",
        "_synchronous",
        "lock",
        "path",
    )

    def __init__(self, path: str, *, synchronous: str, busy_timeout: float) -> None:
        self.path = path
        # A signal handler of the host may use the store while its thread is in here.
        self.lock = threading.RLock()
        self._synchronous = synchronous
        self._busy_timeout = busy_timeout
        self._status = functools.partial(os.stat, path)
        self._closed = False
        self._connection: sqlite3.Connection | None = None
        self._inherited: sqlite3.Connection | None = None
        self._device = self._inode = 0
        close_before_fork(self)

    def __del__(self) -> None:
        # Not for safety: only so that a store that is simply dropped leaves no warning.
        self._drop()

    def create(self) -> None:
        """Makes sure that the file is a database of ours, making it if it is not there.

        The connection is closed again: what is made at import time, before a
        server forks its workers, shall not be open then.

        Raises:
            StoreError: it cannot be made, or is something else.
        """
        with self.lock:
            self._connect("rwc").close()

    def verify(self) -> None:
        """Makes sure that the file is there and is a database of ours.

        Raises:
            StoreError: it is not.
        """
        with self.lock:
            self.connection()
            self._drop()

    def connection(self) -> sqlite3.Connection:
        """Returns the connection to the file that is at the path now.

        Raises:
            StoreError: there is none, it is another one than at the last call,
                or it cannot be opened; nothing was sent.
        """
        connection = self._connection
        if connection is None:
            return self._open()
        try:
            found = self._status()
        except OSError as error:
            self._drop()
            raise self._refusal("is gone: it was deleted or moved while in use", error) from error
        if found.st_ino != self._inode or found.st_dev != self._device:
            self._drop()
            message = "is another file than before: it was replaced while in use"
            raise self._refusal(message)
        return connection

    def failure(self, act: str, error: Exception, *, writes: bool) -> StoreError:
        """Makes the `StoreError` for what the connection raised, and drops what may be broken.

        Args:
            act: what was tried, as ``"read 'key'"``.
            error: what was raised.
            writes: whether the statement changes something.
        """
        if not is_passing(error):
            self._drop()
        return store_error(self.path, act, error, writes=writes)

    def close(self) -> None:
        """Closes the connection, for good."""
        with self.lock:
            self._closed = True
            self._drop()

    def pause(self) -> bool:
        """Closes the connection and keeps every thread out, until `resume`."""
        if not self.lock.acquire(timeout=self._busy_timeout + _SECONDS_TO_FINISH):
            return False
        self._drop()
        return True

    def resume(self) -> None:
        """Lets the threads in again."""
        self.lock.release()

    def enter_child(self) -> None:
        """Starts anew in a forked process, where nobody would ever release the lock."""
        self.lock = threading.RLock()
        # Only if a call hung for longer than it may: then kept, and never touched.
        self._inherited, self._connection = self._connection, None

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _open(self) -> sqlite3.Connection:
        if self._closed:
            raise self._refusal("was closed: this store is no longer usable")
        if self._inherited is not None:
            message = (
                "was in use by another thread, for too long, when this process was forked; "
                "SQLite cannot be used safely here: start the process afresh (spawn)"
            )
            raise self._refusal(message)
        before = self._look()
        connection = self._connect("rw")
        after = self._look()
        if (before.st_dev, before.st_ino) != (after.st_dev, after.st_ino):
            connection.close()
            raise self._refusal("was replaced while it was being opened")
        self._device, self._inode = after.st_dev, after.st_ino
        self._connection = connection
        return connection

    def _look(self) -> os.stat_result:
        try:
            return self._status()
        except OSError as error:
            message = "is not there; it is never made anew without a new SQLiteStore(create=True)"
            raise self._refusal(message, error) from error

    def _refuse_remains(self) -> None:
        # SQLite throws the write-ahead log of an empty file away, and with it all
        # that a file which was cut to nothing could still be restored from.
        log = Path(self.path + "-wal")
        try:
            found = self._status()
            cut = found.st_size == 0 and log.stat().st_size > 0
        except OSError:
            return
        if not stat.S_ISREG(found.st_mode):
            raise self._refusal("is no regular file")
        if cut:
            raise self._refusal(f"is empty, but {str(log)!r} is not: it was cut short")

    def _connect(self, mode: str) -> sqlite3.Connection:
        self._refuse_remains()
        try:
            connection = sqlite3.connect(
                f"{Path(self.path).as_uri()}?mode={mode}",
                uri=True,
                timeout=self._busy_timeout,
                isolation_level=None,
                check_same_thread=False,
            )
        except Exception as error:
            raise store_error(self.path, "open it", error, writes=False) from error
        try:
            self._prepare(connection, create=mode == "rwc")
        except StoreError:
            connection.close()
            raise
        except Exception as error:
            connection.close()
            raise store_error(self.path, "open it", error, writes=False) from error
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: sqlite3.Connection, *, create: bool) -> None:
        marks = self._marks(connection)
        if marks == (0, 0, 0):
            if not create:
                raise self._refusal("is empty: it holds no table of haltable")
            self._write_ahead(connection)
            self._initialise(connection)
            marks = self._marks(connection)
        application, form, _ = marks
        if application != _APPLICATION:
            raise self._refusal("belongs to another application: give haltable a file of its own")
        if form != _FORM:
            raise self._refusal(f"has form {form}, this version of haltable reads form {_FORM}")
        self._write_ahead(connection)
        connection.execute(f"PRAGMA synchronous={self._synchronous}")
        # Where a plain fsync leaves data in the drive's cache (macOS); elsewhere nothing.
        connection.execute("PRAGMA fullfsync=1")

    @staticmethod
    def _marks(connection: sqlite3.Connection) -> tuple[int, int, int]:
        """Returns the application's number, the form's, and how many things the schema holds."""
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (form,) = connection.execute("PRAGMA user_version").fetchone()
        (things,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        return application, form, things

    def _initialise(self, connection: sqlite3.Connection) -> None:
        # One transaction, so that a kill leaves an empty database or a whole one.
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(_TABLE)
        connection.execute(f"PRAGMA application_id={_APPLICATION}")
        connection.execute(f"PRAGMA user_version={_FORM}")
        connection.execute("COMMIT")

    def _write_ahead(self, connection: sqlite3.Connection) -> None:
        # SQLite does not wait for this switch as it does for a statement.
        until = time.monotonic() + self._busy_timeout
        mode = None
        while mode is None:
            try:
                (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
            except Exception as error:
                if not is_busy(error) or time.monotonic() > until:
                    raise
                time.sleep(_SECONDS_BETWEEN_TRIES)
        if mode != "wal":
            raise self._refusal(f"cannot keep a write-ahead log here (journal mode {mode!r})")

    def _refusal(self, what: str, error: OSError | None = None) -> StoreError:
        cause = "" if error is None else f" ({error.strerror})"
        return StoreError(f"SQLite database {self.path!r} {what}{cause}", outcome="refused")
