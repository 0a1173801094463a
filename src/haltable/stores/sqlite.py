# SPDX-License-Identifier: MIT
"""The embedded store: one SQLite file, shared by the threads and processes of one machine.

It knows keys, bytes and versions.  How the file is opened, and noticed to be
gone, is in ``_sqlite_file``; what time it is, in ``_boot_clock``.
"""

from __future__ import annotations

import functools
import math
import os
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, cast

from haltable.errors import ConfigurationError
from haltable.store import Conflict, Durability, Entry
from haltable.stores._boot_clock import BootClock
from haltable.stores._sqlite_file import SQLiteFile
from haltable.stores._sqlite_rows import DELETE, READ, entry_of, keyed_entry, paged
from haltable.stores._sqlite_write import Write

__all__ = ["SQLiteStore"]

_SYNCHRONOUS = {
    "process": (Durability.PROCESS, "NORMAL"),
    "machine": (Durability.MACHINE, "FULL"),
}

_REPLACE = (
    "UPDATE haltable SET value = ?, version = version + 1, boot = ?, written = ?"
    " WHERE key = ? AND version = ? AND value IS NOT NULL"
)
_CREATE = (
    "INSERT INTO haltable (value, version, boot, written, key) VALUES (?, 1, ?, ?, ?)"
    " ON CONFLICT (key) DO NOTHING"
)
_REVIVE = (
    "UPDATE haltable SET value = ?, version = version + 1, boot = ?, written = ?"
    " WHERE key = ? AND version = ? AND value IS NULL"
)


class SQLiteStore:
    """Keeps records in one SQLite file, in write-ahead mode.

    Threads and processes of one machine may share the file, and one store may be
    used by many threads and after a fork.  Do not put it on a network disk, and
    do not open the file itself in a process that uses the store: closing it
    again would drop SQLite's locks.

    Writes that wait while another thread of the process is writing are committed
    together, so that with ``"machine"`` they share the disk's time; a thread by
    itself, and the main thread always, commits each write alone.

    A file that was deleted or replaced is noticed within a millisecond, at the
    next call, which raises; the calls after it use what is at the path then.  A
    missing file is never made anew silently: only a new store with
    ``create=True`` does.

    Args:
        path: the file; a relative path counts from the present directory, once.
        durability: what a write survives: ``"process"``, the death of the process
            (about 15 microseconds a write), or ``"machine"``, power loss too
            (the disk's own time, often 200 microseconds and more).
        create: make the file if there is none.
        busy_timeout: seconds to wait for another process's lock.

    Raises:
        ConfigurationError: an argument cannot be right.
        StoreError: the file cannot be used: missing with ``create=False``, damaged,
            another application's, read-only, locked.

    Example:
        >>> import tempfile
        >>> directory = tempfile.TemporaryDirectory()
        >>> with SQLiteStore(directory.name + "/loops.db") as store:
        ...     store.write("greeting", b"hello", expected=0).version
        ...     store.write("greeting", b"again", expected=1).version
        1
        2
        >>> directory.cleanup()
    """

    #: A call may wait for the disk or another process's lock.
    blocks = True
    durability: Durability

    __slots__ = ("_boot", "_clock", "_file", "_now", "_queue", "durability", "path")

    def __init__(
        self,
        path: str | os.PathLike[str],
        durability: Literal["process", "machine"] = "process",
        *,
        create: bool = True,
        busy_timeout: float = 5.0,
    ) -> None:
        #: Where the file is, absolute.
        self.path = _checked_path(path)
        if durability not in _SYNCHRONOUS:
            message = f"durability={durability!r}: it must be 'process' or 'machine'"
            raise ConfigurationError(message)
        if not _is_timeout(busy_timeout):
            message = f"busy_timeout={busy_timeout!r}: it must be a number of seconds above 0"
            raise ConfigurationError(message)
        self.durability, synchronous = _SYNCHRONOUS[durability]
        self._clock = BootClock.of_this_machine()
        self._now, self._boot = self._clock.now, self._clock.boot
        self._file = SQLiteFile(self.path, synchronous=synchronous, busy_timeout=busy_timeout)
        self._queue = self._file.queue
        if create:
            self._file.create()
        else:
            self._file.verify()

    def __repr__(self) -> str:
        return f"<SQLiteStore: {self.path!r}, survives the {self.durability.name.lower()}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file; every later call raises.  Closing twice does nothing."""
        self._file.close()

    def read(self, key: str) -> Entry | None:
        """Returns the key's entry, None if it is absent.

        Raises:
            StoreError: the file cannot be read.
        """
        file = self._file
        with file.lock:
            return self._current(file.connection(self._now()), key)

    def write(self, key: str, value: bytes, *, expected: int) -> Entry | Conflict:
        """Replaces the value if the key is at version ``expected``; 0 means absent.

        Args:
            key: any text.
            value: the bytes to keep.
            expected: the version that the key must be at.

        Returns:
            The new `Entry`, or the `Conflict` with what is there.

        Raises:
            StoreError: the write was refused, or its outcome is unknown, as its
                ``outcome`` says.
        """
        file, queue = self._file, self._queue
        if queue.busy is not None:
            together = Write[Entry | Conflict](
                act=f"write {key!r}",
                statement=_REPLACE if expected else _CREATE,
                before=(value, self._boot),
                after=(key, expected) if expected else (key,),
                written=Entry(value, expected + 1),
                alone=functools.partial(self.write, key, value, expected=expected),
            )
            answer = queue.answer(file, together, self._now)
            if answer is not None:
                return answer
        queue.busy = key
        try:
            with file.lock:
                now = self._now()
                connection = file.connection(now)
                try:
                    if not expected:
                        version = self._create(connection, key, value)
                        if version:
                            return Entry(value, version)
                    elif connection.execute(
                        _REPLACE, (value, self._boot, now, key, expected)
                    ).rowcount:
                        return Entry(value, expected + 1)
                except Exception as error:
                    raise file.failure(f"write {key!r}", error, writes=True) from error
                return Conflict(self._current(connection, key))
        finally:
            if queue.busy is key:
                queue.busy = None

    def scan(self, prefix: str) -> Iterator[tuple[str, Entry]]:
        """Yields the entries whose keys start with the prefix, in the order of their keys.

        It reads page by page, so that it may be left at any point, and its
        consumer may write.

        Raises:
            StoreError: the file cannot be read.
        """
        return paged(self._rows, self._keyed, prefix)

    def delete(self, key: str, *, expected: int) -> bool:
        """Removes the key if it is at version ``expected``; returns whether it did.

        Raises:
            StoreError: the removal was refused, or its outcome is unknown, as its
                ``outcome`` says.
        """
        file, queue = self._file, self._queue
        if queue.busy is not None:
            together = Write(
                act=f"delete {key!r}",
                statement=DELETE,
                before=(self._boot,),
                after=(key, expected),
                written=True,
                alone=functools.partial(self.delete, key, expected=expected),
            )
            answer = queue.answer(file, together, self._now)
            if answer is not None:
                return answer
        queue.busy = key
        try:
            with file.lock:
                now = self._now()
                connection = file.connection(now)
                try:
                    found = connection.execute(DELETE, (self._boot, now, key, expected))
                except Exception as error:
                    raise file.failure(f"delete {key!r}", error, writes=True) from error
                return bool(found.rowcount)
        finally:
            if queue.busy is key:
                queue.busy = None

    def _create(self, connection: sqlite3.Connection, key: str, value: bytes) -> int:
        """Returns the version under which an absent key was written, 0 if it is there."""
        written = self._now()
        if connection.execute(_CREATE, (value, self._boot, written, key)).rowcount:
            return 1
        row = connection.execute(READ, (key,)).fetchone()
        if row is None or row[0] is not None:
            return 0
        # It was deleted.  Whoever writes it first from here on wins, and only one can.
        version: int = row[1]
        revived = connection.execute(_REVIVE, (value, self._boot, written, key, version))
        return version + 1 if revived.rowcount else 0

    def _current(self, connection: sqlite3.Connection, key: str) -> Entry | None:
        try:
            row = connection.execute(READ, (key,)).fetchone()
        except Exception as error:
            raise self._file.failure(f"read {key!r}", error, writes=False) from error
        return None if row is None or row[0] is None else entry_of(self.path, key, row, self._clock)

    def _rows(self, page: str, start: str) -> list[tuple[Any, ...]]:
        file = self._file
        with file.lock:
            connection = file.connection(self._now())
            try:
                return connection.execute(page, (start,)).fetchall()
            except Exception as error:
                raise file.failure(f"scan from {start!r}", error, writes=False) from error

    def _keyed(self, row: Sequence[Any]) -> tuple[str, Entry]:
        return keyed_entry(self.path, row, self._clock)


def _checked_path(path: object) -> str:
    """Returns the absolute path, or raises `ConfigurationError`."""
    is_like = isinstance(path, os.PathLike)
    given: object = os.fspath(cast("os.PathLike[Any]", path)) if is_like else path
    if not isinstance(given, str) or not given or "\0" in given:
        message = f"path={path!r}: it must be the path of a file, as text"
        raise ConfigurationError(message)
    if given == ":memory:":
        message = "path=':memory:': for a store that ends with its process use MemoryStore"
        raise ConfigurationError(message)
    file = Path(given).absolute()
    if file.is_dir():
        message = f"path={path!r}: it is a directory; name a file in it"
        raise ConfigurationError(message)
    return str(file)


def _is_timeout(seconds: object) -> bool:
    return (
        isinstance(seconds, int | float)
        and not isinstance(seconds, bool)
        and math.isfinite(seconds)
        and seconds > 0
    )
