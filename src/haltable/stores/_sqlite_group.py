# SPDX-License-Identifier: MIT
"""Writes of several threads that are committed together, and what became of each.

It knows statements and a connection, and neither keys nor versions, nor who waits
for whom: that is in ``_sqlite_queue``, with the theory of both rooms.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

from haltable.stores._sqlite_faults import store_error
from haltable.stores._sqlite_write import Write

__all__ = ["Group"]

_rows = attrgetter("rowcount")


class _Interrupted(Exception):
    """Stands for what a commit would have said, whose thread was interrupted in it."""


class Group:
    """Some threads' writes, which their leader commits as one; used once.

    ``lock`` is held by the leader for as long as anybody has reason to wait for it.
    """

    __slots__ = ("_committed", "_counts", "_fault", "_taken", "lock", "sent", "writes")

    def __init__(self, first: Write[Any]) -> None:
        self.lock = threading.Lock()
        #: All who came, in order; one that comes too late is never taken.
        self.writes: list[Write[Any]] = [first]
        self._taken: Sequence[Write[Any]] = ()
        # How many rows each one that was done has changed.
        self._counts: list[int] = []
        # Not empty as soon as a commit has returned.
        self._committed: list[object] = []
        # What kept the whole group from being begun or committed, ...
        self._fault: Exception | None = None
        #: ... and whether that was the commit.
        self.sent = False

    def carry_out(
        self, connection: sqlite3.Connection, taken: Sequence[Write[Any]], now: Callable[[], float]
    ) -> None:
        """Does the writes in one transaction.

        Whatever is raised, an interrupt too, none is open afterwards.

        Args:
            connection: not in a transaction, and used by nobody else.
            taken: those of the writes that are done.
            now: the time that is written.

        Raises:
            Exception: whatever SQLite raises.
        """
        self._taken = taken
        # The connection itself rolls back, in C, where no interrupt comes in between.
        with connection:
            self._begin(connection)
            time = now()
            statements = [write.statement for write in taken]
            values = [(*write.before, time, *write.after) for write in taken]
            # One call of C, so that no write is done whose count is not kept.
            self._counts.extend(map(_rows, map(connection.execute, statements, values)))
            # Fails, and says nothing, if somebody came in who has committed it.
            self.commit(connection)

    def commit(self, connection: sqlite3.Connection) -> None:
        """Commits what was written so far, each of which may stand for itself.

        Raises:
            Exception: whatever SQLite raises.
        """
        call = map(connection.execute, ("COMMIT",))
        self.sent, self._fault = True, _Interrupted("the committing thread was interrupted")
        try:
            # Likewise: no commit has returned that is not known here.
            self._committed.extend(call)
        except Exception as error:
            self._fault = error
            raise

    def has_failed(self) -> bool:
        """Says whether it was not begun or not committed, so that nobody may go on by himself."""
        return self._fault is not None and not self._committed

    def has_written(self, write: Write[Any], path: str) -> bool:
        """Says whether a write was done and committed; if not, it has left no trace.

        Args:
            write: one that wanted to be in the group.
            path: the database file, for what is said about it.

        Raises:
            StoreError: it was refused with the whole group, or nobody knows.
        """
        if write not in self._taken:
            return False
        if self._committed:
            place = self._taken.index(write)
            return place < len(self._counts) and self._counts[place] == 1
        if self._fault is not None:
            raise store_error(path, write.act, self._fault, writes=self.sent) from self._fault
        return False

    def _begin(self, connection: sqlite3.Connection) -> None:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except Exception as error:
            self._fault = error
            raise
