# SPDX-License-Identifier: MIT
"""Who writes for whom, when several threads of one process want to write one file at once.

It knows threads and locks; what a group does with the database is in
``_sqlite_group``.  A commit that survives the machine costs the disk's time, and
one file has one writer; so writes that wait for the same disk share one commit:

1. Who finds nobody writing writes alone, by one statement that commits itself.
2. Who finds somebody writing joins the group that is open.  If there is none he
   opens one, as its leader: he waits for the file's lock, closes the group, does
   all its writes in one transaction, each with a count of its own, and commits.
3. *A group is a lock that its leader holds*, and all the others wait for it.  So
   there is nothing to wake anybody by, and nothing that could be forgotten:
   however a leader ends, an interrupt between any two steps included, the lock is
   let go, the transaction is rolled back, and whoever has no answer writes alone.
   Each of these is a ``with`` over an object of C, whose end cannot be interrupted.
4. What is known is noted by C as well: how many rows each write has changed, and
   that the commit has returned.  An answer is read off these two by the thread
   whose write it is, after the lock: never before the commit, and never lost.
5. Only "it was written" is ever answered for the group.  A write that changed no
   row is done again alone, which reads what is there, and cannot have been done
   twice.  Likewise if any statement of the group fails: each has its own error.
   A group that could not begin (another process has the lock) is refused, and one
   whose commit failed is told to all: they share the transaction and its doubt.
6. A thread that is in here already, or that holds the file's lock, writes alone:
   some finalizer of the host's runs in it, and must not wait for itself.  If the
   thread is leading, what its group has written so far is committed first; each of
   the writes stands for itself, so a group may end early, but never be seen undone.
7. The main thread writes alone.  A signal handler may use the store, fork, or take
   its time; so its thread never has others wait for it with a transaction open
   that keeps the other processes out, and never waits for another's.
8. The order of locks is: a group's, then the file's.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from typing import Protocol, TypeVar

from haltable.errors import StoreError
from haltable.stores._sqlite_faults import store_error
from haltable.stores._sqlite_group import Group
from haltable.stores._sqlite_write import Write

__all__ = ["WriteQueue"]

Answer = TypeVar("Answer")

#: The writes of one group at most, so that a fault or a long commit is few threads' concern.
_MOST = 64


class _Database(Protocol):
    """The database file that is written, as far as it is known here."""

    path: str
    lock: threading.RLock

    def connection(self, now: float) -> sqlite3.Connection:
        """Returns the connection, for whoever holds the lock."""
        ...

    def failure(self, act: str, error: Exception, *, writes: bool) -> StoreError:
        """Makes the error for what the connection raised."""
        ...


class WriteQueue:
    """The writes of this process that wait for one file."""

    __slots__ = ("_inside", "busy", "leading", "open")

    def __init__(self) -> None:
        self.empty()

    def empty(self) -> None:
        """Forgets all who waited: in a forked process they are not there."""
        #: What the last one who came writes, in whatever words; None once he has left.
        #: A hint that somebody writes or waits for it: a wrong one costs time only.
        self.busy: str | None = None
        #: The group that can still be joined.
        self.open: Group | None = None
        #: The one whose writes are in the transaction that is open.
        self.leading: Group | None = None
        # The threads that lead a group or wait for one.
        self._inside: set[int] = set()

    def answer(
        self, file: _Database, write: Write[Answer], now: Callable[[], float]
    ) -> Answer | None:
        """Has a write done together with others, if that can be.

        Args:
            file: the database; the calling thread need not hold its lock.
            write: what is to be done.  If it is done alone, that asks here again.
            now: the time that is written.

        Returns:
            The answer, or None if the caller is the one to write, and by himself.

        Raises:
            StoreError: the write was refused, or its outcome is unknown.
        """
        me = threading.get_ident()
        if me == threading.main_thread().ident or me in self._inside or _holds(file.lock):
            return None
        try:
            self._inside.add(me)
            group = self.open
            # A lock that is free is that of a leader who was interrupted.
            if group is None or not group.lock.locked() or len(group.writes) >= _MOST:
                return self._lead(file, write, now)
            group.writes.append(write)
            with group.lock:
                pass
            return write.written if group.has_written(write, file.path) else write.alone()
        finally:
            self._inside.discard(me)
            if self.busy is write.act:
                self.busy = None

    def settle(self, path: str, connection: sqlite3.Connection) -> None:
        """Ends the transaction of who is leading, for somebody who comes in amidst it.

        Args:
            path: the database file, for what is said about it.
            connection: its connection.

        Raises:
            StoreError: it could not be committed.
        """
        group = self.leading
        if group is None or not connection.in_transaction:
            return
        try:
            group.commit(connection)
        except Exception as error:
            raise store_error(path, "commit the writes under way", error, writes=False) from error

    def _lead(self, file: _Database, write: Write[Answer], now: Callable[[], float]) -> Answer:
        """Does a group's writes, one's own among them."""
        group = Group(write)
        with group.lock:
            self.open = group
            self.busy = write.act
            with file.lock:
                # Who still comes from here on is not taken, and finds that out.
                if self.open is group:
                    self.open = None
                taken = group.writes[:_MOST]
                if len(taken) == 1:
                    return write.alone()
                connection = file.connection(now())
                self.leading = group
                try:
                    group.carry_out(connection, taken, now)
                except Exception as error:
                    if group.has_failed():
                        raise file.failure(write.act, error, writes=group.sent) from error
                    # Else whoever's write is not committed tries alone, and has its own error.
                finally:
                    self.leading = None
        return write.written if group.has_written(write, file.path) else write.alone()


def _holds(lock: threading.RLock) -> bool:
    """Says whether this thread holds a lock."""
    try:
        # Documented to refuse whoever does not.
        threading.Condition(lock).notify(0)
    except RuntimeError:
        return False
    return True
