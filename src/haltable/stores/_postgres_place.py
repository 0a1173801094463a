# SPDX-License-Identifier: MIT
"""Where a connection may be used: in one process and, if it is asynchronous, on one event loop.

Here is also where the driver is loaded from, so that a missing one is named in
one place, and what the sources of both kinds need to wait.  It knows no store.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import os
import select
import threading
from collections.abc import Sequence
from typing import Any

from haltable.errors import ConfigurationError

__all__ = [
    "IDLE",
    "ThreadLock",
    "async_place",
    "async_settled",
    "driver",
    "is_quiet",
    "leave",
    "sync_place",
    "sync_settled",
]

#: libpq's number for a connection that is in no transaction.
IDLE = 0
# Connections of the process that this one is a copy of.  To close one would end
# it there, and to forget one would warn that it is open.
_inherited: list[Any] = []


def driver() -> Any:
    """Returns psycopg.

    Raises:
        ConfigurationError: it is not installed.
    """
    try:
        return importlib.import_module("psycopg")
    except ImportError as error:
        raise ConfigurationError(
            f"the PostgreSQL stores need psycopg 3: pip install 'haltable[postgres]' ({error})"
        ) from error


def sync_place() -> tuple[object, ...]:
    """Returns what tells one process from another, its number first."""
    return (os.getpid(),)


def async_place() -> tuple[object, ...]:
    """Returns what tells one process, and an event loop of it, from another."""
    return os.getpid(), asyncio.get_running_loop()


def leave(place: tuple[object, ...], connections: Sequence[Any]) -> None:
    """Lets go of connections that were opened at another place."""
    if place[0] != os.getpid():
        _inherited.extend(connections)
        return
    for connection in connections:
        connection.pgconn.finish()  # Its event loop may have ended.


def is_quiet(connection: Any) -> bool:
    """Whether a connection that nobody uses is open, in no transaction, and was told nothing.

    An idle connection to which the server has something to say was ended by it.
    """
    if connection.closed or connection.pgconn.transaction_status != IDLE:
        return False
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return not poll.poll(0)


def sync_settled(made: Any) -> Any:
    """Returns what a factory made, if it is a connection.

    Raises:
        TypeError: it is something else.
    """
    if not isinstance(made, driver().Connection):
        if inspect.iscoroutine(made):
            made.close()
        raise TypeError(f"the factory returned {made!r}, which is no psycopg.Connection")
    return made


async def async_settled(made: Any) -> Any:
    """Returns what a factory made or promised, likewise."""
    connection = await made if inspect.isawaitable(made) else made
    if not isinstance(connection, driver().AsyncConnection):
        raise TypeError(f"the factory returned {connection!r}, which is no psycopg.AsyncConnection")
    return connection


class ThreadLock:
    """A lock that refuses the thread which holds it, instead of waiting for ever.

    A garbage collection within a call may end a run that was dropped, which
    then calls the same store.
    """

    __slots__ = ("_holder", "_lock")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holder: int | None = None

    def __enter__(self) -> None:
        if self._holder == threading.get_ident():
            raise RuntimeError("this thread is in the middle of another call on it")
        self._lock.acquire()
        self._holder = threading.get_ident()

    def __exit__(self, *_: object) -> None:
        self._holder = None
        self._lock.release()
