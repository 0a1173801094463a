# SPDX-License-Identifier: MIT
"""One process's connection to one database file: opened, checked, closed, and safe to fork.

It knows the file and its marks, and nothing of keys and versions.  Two rules:

1. No connection is open while the process forks.  A forked copy of one, even if
   it is never used, makes SQLite in the child believe that it holds file locks
   which only the parent has.  The first other process that closes the file then
   removes the write-ahead log under the child, and what the child wrote with it.
2. Before a use the file at the path is compared with the one that is open:
   SQLite would go on for ever, with success, on a file that was deleted; and it
   would play the log of a file that was replaced into the one that replaced it.
   What was seen is trusted for a millisecond: a write that falls into it is as
   lost as one just before the deletion, and the look costs a tenth of a write.
"""

from __future__ import annotations

import contextlib
import functools
import math
import os
import sqlite3
import stat
import threading
from pathlib import Path

from haltable.errors import StoreError
from haltable.stores._directory_lock import directory_lock
from haltable.stores._forks import close_before_fork
from haltable.stores._sqlite_connection import QuietConnection
from haltable.stores._sqlite_faults import is_passing, refusal, store_error
from haltable.stores._sqlite_form import prepare
from haltable.stores._sqlite_queue import WriteQueue

__all__ = ["SQLiteFile"]

_LOG_HEADER = 32
#: Seconds for which the file is taken to be the one that was seen.
_TRUSTED = 0.001
#: More than a call may wait for a lock, so that a fork finds the file at rest.
_SECONDS_TO_FINISH = 1.0


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
        "_log_inode",
        "_lost",
        "_stale",
        "_status",
        "_synchronous",
        "_trusted_until",
        "lock",
        "path",
        "queue",
    )

    def __init__(self, path: str, *, synchronous: str, busy_timeout: float) -> None:
        self.path = path
        # A signal handler of the host may use the store while its thread is in here.
        self.lock = threading.RLock()
        #: The writes that wait for the lock together.
        self.queue = WriteQueue()
        self._synchronous = synchronous
        self._busy_timeout = busy_timeout
        self._status = functools.partial(os.stat, path)
        self._closed = False
        self._connection: sqlite3.Connection | None = None
        self._inherited: sqlite3.Connection | None = None
        self._device = self._inode = self._log_inode = 0
        self._trusted_until = -math.inf
        # The file that was open when there was none at the path any more.
        self._lost: tuple[int, int] | None = None
        # How the log of a file that was replaced begins.
        self._stale: bytes | None = None
        close_before_fork(self)

    def __del__(self) -> None:
        # Not for safety: a connection that is simply dropped waits for the garbage collector.
        self._drop()

    def create(self) -> None:
        """Makes sure that the file is a database of ours, making it if it is not there.

        The connection is closed again: what is made at import time, before a
        server forks its workers, shall not be open then.

        Raises:
            StoreError: it cannot be made, or is something else.
        """
        with self.lock:
            try:
                if self._size() == 0:
                    # In one process after the other, so that none clears another's ground.
                    with directory_lock(str(self._beside("").parent), self._busy_timeout):
                        self._clear_the_ground()
                        self._connect("rwc").close()
                else:
                    self._connect("rwc").close()
            except OSError as error:
                raise refusal(self.path, "cannot be made", error) from error

    def verify(self) -> None:
        """Makes sure that the file is there and is a database of ours.

        Raises:
            StoreError: it is not.
        """
        with self.lock:
            self._open()
            self._drop()

    def connection(self, now: float) -> sqlite3.Connection:
        """Returns the connection to the file that is at the path.

        Args:
            now: seconds of any clock that never goes backwards, always the same one.

        Raises:
            StoreError: there is none, it is another one than at the last call,
                or it cannot be opened; nothing was sent.
        """
        connection = self._connection
        if connection is None:
            return self._open()
        if self.queue.leading is not None:
            self.queue.settle(self.path, connection)
        if now < self._trusted_until:
            return connection
        try:
            found = self._status()
        except OSError as error:
            # The connection stays, so that the file is known again if it comes back.
            self._lost = self._lost or (self._device, self._inode)
            self._inode = -1
            raise refusal(
                self.path, "is gone: it was deleted or moved while in use", error
            ) from error
        if found.st_ino == self._inode and found.st_dev == self._device:
            self._trusted_until = now + _TRUSTED
            return connection
        return self._other(connection, found)

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
        self.queue.empty()
        # Only if a call hung for longer than it may: then kept, and never touched.
        self._inherited, self._connection = self._connection, None

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _open(self) -> sqlite3.Connection:
        if self._closed:
            raise refusal(self.path, "was closed: this store is no longer usable")
        if self._inherited is not None:
            message = (
                "was in use by another thread, for too long, when this process was forked; "
                "SQLite cannot be used safely here: start the process afresh (spawn)"
            )
            raise refusal(self.path, message)
        before = self._look()
        connection = self._connect("rw")
        after = self._look()
        if (before.st_dev, before.st_ino) != (after.st_dev, after.st_ino):
            connection.close()
            raise refusal(self.path, "was replaced while it was being opened")
        self._device, self._inode = after.st_dev, after.st_ino
        with contextlib.suppress(OSError):
            self._log_inode = self._beside("-wal").stat().st_ino
        self._lost = None
        self._connection = connection
        return connection

    def _other(self, connection: sqlite3.Connection, found: os.stat_result) -> sqlite3.Connection:
        """Returns the connection to use when the file at the path is not the one looked for."""
        lost, self._lost = self._lost, None
        if lost is not None and lost == (found.st_dev, found.st_ino):
            self._device, self._inode = lost
            return connection
        with contextlib.suppress(OSError):
            found = self._beside("-wal").stat()
            if found.st_ino == self._log_inode and found.st_size:
                self._stale = self._beginning_of_log()
        self._drop()
        # Whoever was told that the file is gone knows that another one is another one.
        if lost is None:
            raise refusal(self.path, "is another file than before: it was replaced while in use")
        return self._open()

    def _size(self) -> int:
        """Returns the size of the file, 0 if there is none."""
        try:
            return self._status().st_size
        except FileNotFoundError:
            return 0

    def _beside(self, suffix: str) -> Path:
        """Returns where SQLite keeps another file of the database: beside what a link leads to."""
        return Path(f"{Path(self.path).resolve()}{suffix}")

    def _clear_the_ground(self) -> None:
        # A log and an index without their file are those of one that was deleted,
        # perhaps while others use it still.  SQLite would take their index for the
        # new file's, fail, and lose its locks when they close it.
        if not self._beside("").exists():
            for suffix in ("-wal", "-shm"):
                self._beside(suffix).unlink(missing_ok=True)

    def _look(self) -> os.stat_result:
        try:
            return self._status()
        except OSError as error:
            message = "is not there; it is never made anew without a new SQLiteStore(create=True)"
            raise refusal(self.path, message, error) from error

    def _refuse_remains(self) -> None:
        begins = self._beginning_of_log()
        if self._stale is not None and self._stale == begins:
            what = (
                f"was replaced, but {str(self._beside('-wal'))!r} is still the log of the old file"
            )
            raise refusal(self.path, f"{what}; SQLite would mix the two: take the log away")
        self._stale = None
        try:
            found = self._status()
        except FileNotFoundError:
            return
        if not stat.S_ISREG(found.st_mode):
            raise refusal(self.path, "is no regular file")
        # SQLite throws the log of an empty file away, and with it all that a file
        # which was cut to nothing could still be restored from.
        if found.st_size == 0 and begins:
            message = f"is empty, but {str(self._beside('-wal'))!r} is not: it was cut short"
            raise refusal(self.path, message)

    def _beginning_of_log(self) -> bytes:
        """Returns the log's header, whose salt no other log has; nothing if there is no log."""
        try:
            with self._beside("-wal").open("rb") as log:
                return log.read(_LOG_HEADER)
        except FileNotFoundError:
            return b""

    def _connect(self, mode: str) -> sqlite3.Connection:
        with contextlib.ExitStack() as undo:
            try:
                self._refuse_remains()
                connection = QuietConnection.opened(
                    self.path, mode=mode, busy_timeout=self._busy_timeout
                )
                undo.callback(connection.close)
                prepare(
                    connection,
                    self.path,
                    create=mode == "rwc",
                    synchronous=self._synchronous,
                    busy_timeout=self._busy_timeout,
                )
            except StoreError:
                raise
            except Exception as error:
                raise store_error(self.path, "open it", error, writes=False) from error
            undo.pop_all()
            return connection
