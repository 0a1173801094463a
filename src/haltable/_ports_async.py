# SPDX-License-Identifier: MIT
"""What an asynchronous driver does to the world: read, write, ask, wait.

The twin of ``_ports_sync``, on asyncio and on trio.  A synchronous store that
may block is called in a worker thread.  A store call is shielded from
cancellation, for at most the run's grace once that has come: what was sent
shall be known, and then the cancellation goes on.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import os
import threading
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, TypeVar

import anyio
import anyio.lowlevel

from haltable import _claim_sync, _owner, _watch
from haltable._async_turns import AsyncWaker, ShieldedLock, at_home, hop, protected
from haltable._book import Book
from haltable._oversight import Oversight
from haltable._state import RunState
from haltable.errors import ConfigurationError, StoreError, in_words
from haltable.plan import Asked
from haltable.records import Owner, new_record
from haltable.store import Conflict, Entry

__all__ = [
    "aside",
    "ask",
    "breathe",
    "each_return",
    "forget",
    "is_dead",
    "is_forked",
    "locked",
    "new_book",
    "note_task",
    "oversee",
    "read",
    "rest",
    "settle",
    "sheltered",
    "wait_for_answers",
    "write",
]

T = TypeVar("T")
#: Seconds for which a loop whose body never awaits keeps the event loop to itself.
BREATH = 0.01


def each_return(run: RunState) -> tuple[tuple[Callable[[Any], Any], Asked], ...]:
    """Returns the questions that are put after every iteration that returned."""
    return tuple(
        (_in_thread(asked) if asked.blocks else ask, asked)
        for ask, asked in run.kernel.plan.each_return
    )


async def ask(asked: Asked, subject: object) -> object:
    """Puts a question to the world."""
    return await settle(_in_thread(asked)(subject) if asked.blocks else asked.ask(subject))


async def settle(answer: object) -> object:
    """Returns an answer, awaited if it is a promise."""
    return await answer if inspect.isawaitable(answer) else answer


def is_forked(owner: Owner) -> bool:
    """Says whether this process is a copy of the one that made its run's owner."""
    return owner.pid != os.getpid()


def locked(run: RunState) -> AbstractAsyncContextManager[object]:
    """Returns the lock over what the run knows of its record."""
    if run.async_lock is None:
        raise AssertionError("only a run with a key has a lock")
    return run.async_lock


def note_task(run: RunState) -> None:
    """Notes how often the task that carries a run was asked to end before it did.

    Trio, and anyio's scopes, ask at every checkpoint; asyncio itself asks once,
    and would not know that a body swallowed it.
    """
    if anyio.get_cancelled_exc_class() is asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None:
            run.cancellations, run.cancelled_before = task.cancelling, task.cancelling()


async def breathe(run: RunState) -> None:
    """Lets other tasks run, if this one has had the event loop for long enough.

    A cancellation that the body swallowed goes on here.
    """
    if run.cancellations is not None and run.cancellations() > run.cancelled_before:
        await anyio.lowlevel.checkpoint()
        raise asyncio.CancelledError("the body of the loop swallowed its task's cancellation")
    now = run.now()
    if now >= run.breath_at:
        run.breath_at = now + BREATH
        await anyio.lowlevel.checkpoint()


def sheltered(run: RunState) -> AbstractContextManager[object]:
    """Returns the shelter in which the end of an interrupted run is written down."""
    run.shelter_end = anyio.current_time() + run.settings.grace
    return anyio.move_on_after(run.settings.grace, shield=True)


async def read(run: RunState, key: str) -> Entry | None:
    """Reads from the store; whatever goes wrong is a `StoreError`."""
    if run.settings.async_store is not None:
        at_home(run.settings.async_store)
    try:
        return await _read(run, key)
    except StoreError:
        raise
    except Exception as error:
        raise StoreError(f"reading {key!r} failed: {in_words(error)}") from error


async def write(run: RunState, key: str, value: bytes, expected: int) -> Entry | Conflict:
    """Writes to the store; whatever goes wrong is a `StoreError`."""
    try:
        return await _write(run, key, value, expected)
    except StoreError:
        raise
    except Exception as error:
        raise StoreError(f"writing {key!r} failed: {in_words(error)}") from error


async def rest(run: RunState, seconds: float) -> None:
    """Waits, unless the run was asked to stop or is while it waits."""
    if run.clock.virtual:
        run.clock.wait(seconds, threading.Event())
        await anyio.lowlevel.checkpoint()
        return
    waker = AsyncWaker()
    run.waker = waker
    try:
        # Looked at after the waker stands, so that no request falls between.
        if run.kernel.stop is None:
            with anyio.move_on_after(seconds):
                await waker.event.wait()
    finally:
        run.waker = None


async def wait_for_answers(run: RunState) -> None:
    """Waits for the questions that are being asked beside the run, at most its grace."""
    inquiry = run.overseen().inquiry
    if inquiry is None:
        return
    waker = inquiry.waker = AsyncWaker()
    # Looked at after the waker stands, so that no answer falls between.
    if not inquiry.is_over:
        with anyio.move_on_after(run.settings.grace):
            await waker.event.wait()


def new_book(run: RunState, look: Callable[[RunState], Awaitable[None]]) -> Book:
    """Returns the book of a run that begins, under a token of its own.

    A run that no task attends is looked at by the watcher thread, which only a
    synchronous store allows.

    Raises:
        ConfigurationError: if nobody could look at it.
    """
    del look
    if not run.attended and run.settings.store is None:
        raise ConfigurationError(
            f"{run.label}: with an async store nobody can renew the key's lease here; "
            "put `async with loop.start() as run:` around it"
        )
    book = Book(_owner.new_owner(), new_record(run.label, run.settings.plan.limits))
    run.lock = threading.Lock()
    run.async_lock = ShieldedLock(run.lock)
    watched = None if run.attended else functools.partial(_claim_sync.watch, run)
    _watch.shared.add(book.owner.token, watched)
    return book


def oversee(run: RunState, glance: Callable[[RunState], Awaitable[None]]) -> None:
    """Has the bodies of a run that begins watched, by the task that attends it."""
    del glance
    if run.spawn is not None:
        run.oversight = Oversight(run)


def aside(run: RunState, act: Callable[[], Awaitable[None]]) -> None:
    """Does something that may take long in a task beside the run."""
    if run.spawn is not None:
        run.spawn(act)


def forget(run: RunState) -> None:
    """Gives up the run's token: whatever it still holds is held by a dead owner."""
    if run.book is not None:
        _watch.shared.remove(run.book.owner.token)


def is_dead(run: RunState, owner: Owner) -> bool:
    """Says whether the owner of a claim is known to be dead."""
    del run
    return _owner.is_dead(owner, _watch.shared.tokens())


async def _read(run: RunState, key: str) -> Entry | None:
    store, twin = run.settings.store, run.settings.async_store
    if twin is not None:
        return await _protected(run, functools.partial(twin.read, key))
    if store is None:
        raise AssertionError("a run with a key has a store")
    if getattr(store, "blocks", True):
        return await _protected(run, hop(functools.partial(store.read, key)))
    return store.read(key)


async def _write(run: RunState, key: str, value: bytes, expected: int) -> Entry | Conflict:
    store, twin = run.settings.store, run.settings.async_store
    if twin is not None:
        return await _protected(run, functools.partial(twin.write, key, value, expected=expected))
    if store is None:
        raise AssertionError("a run with a key has a store")
    call = functools.partial(store.write, key, value, expected=expected)
    return await _protected(run, hop(call)) if getattr(store, "blocks", True) else call()


def _in_thread(asked: Asked) -> Callable[[Any], Awaitable[object]]:
    async def ask_in_thread(subject: object) -> object:
        # It may turn out to be a promise, and trio lets none out of a thread by itself;
        # and one that never answers must not keep a run from its end.
        (answer,) = await hop(lambda: (asked.ask(subject),))()
        return await settle(answer)

    return ask_in_thread


async def _protected(run: RunState, call: Callable[[], Awaitable[T]]) -> T:
    return await protected(call, grace=run.settings.grace, end=run.shelter_end)
