# SPDX-License-Identifier: MIT
"""Taking turns among tasks: a waker, a lock and a turnstile, for asyncio and trio.

They know tasks and threads, and nothing of runs.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from types import TracebackType

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread

__all__ = ["AsyncWaker", "ShieldedLock", "Turnstile"]

#: The passes through turnstiles that this context, or the one it was copied from, is inside of.
_inside: ContextVar[tuple[object, ...]] = ContextVar("haltable.inside", default=())


class AsyncWaker:
    """Wakes a pause of an asynchronous run, from its own or any other thread."""

    __slots__ = ("_thread", "_token", "event")

    def __init__(self) -> None:
        self.event = anyio.Event()
        self._token = anyio.lowlevel.current_token()
        self._thread = threading.get_ident()

    def __call__(self) -> None:
        if threading.get_ident() == self._thread:
            self.event.set()
            return
        # An event loop that has ended has no pause any more.
        with suppress(RuntimeError):
            anyio.from_thread.run_sync(self.event.set, token=self._token)


class ShieldedLock:
    """A thread's lock that a task can take too, a cancelled one to write down how it ended.

    Args:
        lock: the lock, which the watcher thread may hold for a look.
    """

    __slots__ = ("_lock",)

    def __init__(self, lock: threading.Lock) -> None:
        self._lock = lock

    async def __aenter__(self) -> None:
        if not self._lock.acquire(blocking=False):
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(self._lock.acquire)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._lock.release()


class Turnstile:
    """Lets the wrapped calls of several tasks through one after another."""

    __slots__ = ("_holder", "_lock")

    def __init__(self) -> None:
        self._lock = anyio.Lock()
        self._holder: object = None

    @asynccontextmanager
    async def passing(self) -> AsyncGenerator[None, None]:
        """Waits for its turn; who is inside already goes through, to be refused there.

        So do tasks that were begun inside: waiting for one another would never end.
        """
        inside = _inside.get()
        if self._holder in inside:
            yield
            return
        async with self._lock:
            self._holder = holder = object()
            token = _inside.set((*inside, holder))
            try:
                yield
            finally:
                self._holder = None
                _inside.reset(token)
