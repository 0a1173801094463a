# SPDX-License-Identifier: MIT
"""What a synchronous driver does to the world: read, write, ask, wait.

Each verb is one act; what it means is the driver's and the kernel's business.
"""

from __future__ import annotations

import functools
import inspect
import os
import threading
import weakref
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from haltable import _owner, _watch
from haltable._book import Book
from haltable._oversight import Oversight
from haltable._state import RunState
from haltable.errors import StoreError, in_words
from haltable.plan import Asked
from haltable.records import Owner, new_record
from haltable.store import Conflict, Entry, Store

__all__ = [
    "adopt",
    "aside",
    "ask",
    "breathe",
    "each_return",
    "forget",
    "is_dead",
    "is_forked",
    "locked",
    "new_book",
    "oversee",
    "read",
    "rest",
    "settle",
    "sheltered",
    "wait_for_answers",
    "write",
]


def each_return(run: RunState) -> tuple[tuple[Callable[[Any], Any], Asked], ...]:
    """Returns the questions that are put after every iteration that returned."""
    return run.kernel.plan.each_return


def ask(asked: Asked, subject: object) -> object:
    """Puts a question to the world."""
    return settle(asked.ask(subject))


def settle(answer: object) -> object:
    """Returns an answer that is there already.

    Raises:
        TypeError: if it is a promise, which only the async drivers can keep.
    """
    if answer is not True and answer is not False and inspect.isawaitable(answer):
        _drop(answer)
        raise TypeError("the question is async; use arun, astep or `async for`")
    return answer


def is_forked(owner: Owner) -> bool:
    """Says whether this process is a copy of the one that made its run's owner."""
    return owner.pid != os.getpid()


def locked(run: RunState) -> AbstractContextManager[object]:
    """Returns the lock over what the run knows of its record."""
    if run.lock is None:
        raise AssertionError("only a run with a key has a lock")
    return run.lock


def breathe(run: RunState) -> None:
    """Lets others have the thread, which a synchronous loop does by itself."""


def sheltered(run: RunState) -> AbstractContextManager[object]:
    """Returns the shelter in which the end of an interrupted run is written down."""
    del run
    return nullcontext()


def read(run: RunState, key: str) -> Entry | None:
    """Reads from the store; whatever goes wrong is a `StoreError`."""
    try:
        return _store(run).read(key)
    except StoreError:
        raise
    except Exception as error:
        raise StoreError(f"reading {key!r} failed: {in_words(error)}") from error


def write(run: RunState, key: str, value: bytes, expected: int) -> Entry | Conflict:
    """Writes to the store; whatever goes wrong is a `StoreError`."""
    try:
        return _store(run).write(key, value, expected=expected)
    except StoreError:
        raise
    except Exception as error:
        raise StoreError(f"writing {key!r} failed: {in_words(error)}") from error


def rest(run: RunState, seconds: float) -> None:
    """Waits, unless the run was asked to stop or is while it waits."""
    waker = SyncWaker()
    run.waker = waker
    try:
        # Looked at after the waker stands, so that no request falls between.
        if run.kernel.stop is None:
            run.clock.wait(seconds, waker.event)
    finally:
        run.waker = None


def wait_for_answers(run: RunState) -> None:
    """Waits for the questions that are being asked beside the run, at most its grace."""
    inquiry = run.overseen().inquiry
    if inquiry is None or run.spawn is not None:
        return  # What a task asks does not go on while this thread waits.
    waker = inquiry.waker = SyncWaker()
    # Looked at after the waker stands, so that no answer falls between.
    if not inquiry.is_over:
        waker.event.wait(run.settings.grace)


def new_book(run: RunState, look: Callable[[RunState], None]) -> Book:
    """Returns the book of a run that begins, under a token of its own, and has it looked at."""
    # Complete before the watcher can look.
    book = run.book = Book(_owner.new_owner(), new_record(run.label, run.settings.plan.limits))
    run.lock = threading.Lock()
    _watch.shared.add(book.owner.token, functools.partial(look, run))
    return book


def adopt(run: RunState) -> None:
    """Lets the sync driver end a run that the async one began."""
    run.lock = threading.Lock()


def oversee(run: RunState, glance: Callable[[RunState], None]) -> None:
    """Has the bodies of a run that begins watched, by the shared thread."""
    oversight = run.oversight = Oversight(run)
    if run.clock.virtual:
        # A clock that a test moves is looked at when it is moved.
        listen = getattr(run.clock, "listen", None)
        end = None if listen is None else listen(functools.partial(glance, run))
    else:
        look = functools.partial(_watch.bodies.attend, _Glance(run, glance), run.patience)
        if run.has_watchers:
            end = look()
        else:
            end, oversight.attend = None, look
    oversight.over = end
    if run.driven:
        oversight.arm()
    elif run.entered or run.generating:
        oversight.arm(exactly=True)


def aside(run: RunState, act: Callable[[], None]) -> None:
    """Does something that may take long beside the run; where time is a test's, at once."""
    if run.clock.virtual:
        act()
    else:
        run.overseen().aside(act)


def forget(run: RunState) -> None:
    """Gives up the run's token: whatever it still holds is held by a dead owner."""
    if run.book is not None:
        # Whoever makes one step soon makes another.
        _watch.shared.remove(run.book.owner.token, lingering=run.single_step)


def is_dead(run: RunState, owner: Owner) -> bool:
    """Says whether the owner of a claim is known to be dead."""
    del run
    return _owner.is_dead(owner, _watch.shared.tokens())


class _Glance:
    """A look at a run that it does not keep alive; a fault in it must not end the watching."""

    __slots__ = ("_glance", "_run")

    def __init__(self, run: RunState, glance: Callable[[RunState], None]) -> None:
        self._run = weakref.ref(run)
        self._glance = glance

    def __call__(self) -> None:
        run = self._run()
        if run is None or run.finished:
            # It was dropped before it had ended, or interrupted as the watching began.
            _watch.bodies.dismiss(self)
            return
        try:
            self._glance(run)
        except Exception as error:
            run.note_blind_watch(error)


class SyncWaker:
    """Wakes a pause of a synchronous run."""

    __slots__ = ("event",)

    def __init__(self) -> None:
        self.event = threading.Event()

    def __call__(self) -> None:
        self.event.set()


def _store(run: RunState) -> Store:
    store = run.settings.store
    if store is None:
        raise AssertionError("a run with a key has a store")
    return store


def _drop(answer: Awaitable[object]) -> None:
    # A coroutine that is never awaited would warn long after the error was read.
    if inspect.iscoroutine(answer):
        answer.close()
