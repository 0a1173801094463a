# SPDX-License-Identifier: MIT
"""Taking turns among tasks: a waker, a lock and a turnstile, for asyncio and trio.

They know tasks and threads, and nothing of runs; what a store call needs to
outlive a cancellation is here too.
"""

from __future__ import annotations

import asyncio
import functools
import math
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from contextvars import ContextVar
from types import TracebackType
from typing import TypeVar

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread

from haltable.errors import ConfigurationError, StoreError
from haltable.store import AsyncStore

__all__ = ["AsyncWaker", "ShieldedLock", "Turnstile", "at_home", "hop", "protected"]

T = TypeVar("T")

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
        """Waits for its turn; who is inside a call goes through, to be refused there.

        So do tasks that were begun inside: waiting for one another would never end.
        """
        waits = self._holder is None or self._holder not in _inside.get()
        if waits:
            await self._lock.acquire()
        try:
            yield
        finally:
            if waits:
                self._lock.release()

    @contextmanager
    def inside(self) -> Generator[None, None, None]:
        """Notes that a call has begun and not ended: while it does, also its tasks wait."""
        self._holder = holder = object()
        token = _inside.set((*_inside.get(), holder))
        try:
            yield
        finally:
            self._holder = None
            _inside.reset(token)


def at_home(store: AsyncStore) -> None:
    """Refuses a store whose driver knows another event loop than the one that is running.

    Raises:
        ConfigurationError: it would fail at its first call, in its driver's words.
    """
    home = getattr(store, "event_loop", None)
    if home is None:
        return
    here = "asyncio" if anyio.get_cancelled_exc_class() is asyncio.CancelledError else "trio"
    if home != here:
        sync = type(store).__name__.removeprefix("Async")
        raise ConfigurationError(
            f"store={store!r}: it works on {home} only, and this is {here}; give it a "
            f"synchronous store, such as {sync}, which is then called in threads"
        )


def hop(call: Callable[[], T]) -> Callable[[], Awaitable[T]]:
    """Returns a call that a thread makes, and that is left alone when its caller is cancelled."""
    return functools.partial(anyio.to_thread.run_sync, call, abandon_on_cancel=True)


async def protected(call: Callable[[], Awaitable[T]], *, grace: float, end: float = math.inf) -> T:
    """Awaits a store call to its end, or to the end of the grace after a cancellation.

    Args:
        call: the store call.
        grace: seconds that it is waited for once its caller is cancelled.
        end: the moment at which the grace ends in any case.

    Raises:
        StoreError: if the grace passed; the outcome is unknown.
    """
    found: list[T] = []
    failed: list[Exception] = []
    done = anyio.Event()
    shield = anyio.CancelScope(shield=True)

    async def work() -> None:
        with shield:
            try:
                found.append(await call())
            except Exception as error:
                failed.append(error)
        done.set()

    try:
        async with anyio.create_task_group() as group:
            group.start_soon(work)
            try:
                await done.wait()
            except anyio.get_cancelled_exc_class():
                shield.deadline = min(anyio.current_time() + grace, end)
                raise
    except BaseExceptionGroup as group_error:
        # What interrupts the whole program comes out of the child as it went in.
        raise group_error.exceptions[0] from None
    if failed:
        raise failed[0]
    if not found:
        raise StoreError(f"the store did not answer within {grace:g} s of grace")
    return found[0]
