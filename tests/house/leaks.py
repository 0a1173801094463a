# SPDX-License-Identifier: MIT
"""What a process holds, looked at before and after a test, and the difference in words.

Threads, file descriptors, children, signal handlers, timers, hooks, the log,
context and tasks.  It knows no test and nothing of haltable but that the names of its
context variables begin with the package's, and that its watcher may linger.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import gc
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import attrs
import sniffio
import trio

from haltable import _watch

#: Seconds that threads get to end after their last user has left.
SETTLE = 2.0


@attrs.frozen
class Snapshot:
    """What the process holds at one moment."""

    threads: frozenset[threading.Thread]
    #: Number and target, so that a number used again is another descriptor.
    descriptors: frozenset[tuple[int, str]]
    children: frozenset[int]
    handlers: dict[int, object]
    mask: frozenset[int]
    timers: frozenset[int]
    hooks: dict[str, object]
    context: dict[str, object]


def take() -> Snapshot:
    """Looks at the process as it is now."""
    return Snapshot(
        threads=frozenset(threading.enumerate()) - _idle_threads_of_trio(),
        descriptors=frozenset(_descriptors()),
        children=frozenset(_children()),
        handlers={number: signal.getsignal(number) for number in _SIGNALS},
        mask=frozenset(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
        timers=frozenset(which for which in _TIMERS if signal.getitimer(which)[0]),
        hooks={
            "sys.settrace": sys.gettrace(),
            "sys.setprofile": sys.getprofile(),
            "threading.settrace": threading.gettrace(),
            "sys.excepthook": sys.excepthook,
            "sys.unraisablehook": sys.unraisablehook,
            "threading.excepthook": threading.excepthook,
            "sys.set_asyncgen_hooks": tuple(sys.get_asyncgen_hooks()),
            "level of the log": (log := logging.getLogger("haltable")).level,
            "log is off": log.disabled,
            "level of all logs": logging.getLogger().level,
        },
        context=context(),
    )


def context() -> dict[str, object]:
    """Returns what haltable's context variables hold here."""
    held = contextvars.copy_context().items()
    return {var.name: value for var, value in held if var.name.startswith("haltable")}


def differences(before: Snapshot, after: Snapshot) -> list[str]:
    """Returns in words what is there now and was not, and what is gone."""
    found = [f"thread {thread.name!r}" for thread in after.threads - before.threads]
    found += [
        f"file descriptor {n} -> {target}" for n, target in after.descriptors - before.descriptors
    ]
    found += [
        f"file descriptor {n} -> {target} is closed"
        for n, target in before.descriptors - after.descriptors
    ]
    found += [f"child {pid} {_command(pid)}" for pid in after.children - before.children]
    found += [f"child {pid} is gone" for pid in before.children - after.children]
    found += [
        f"handler of {signal.Signals(number).name}: {handler!r}, was {before.handlers[number]!r}"
        for number, handler in after.handlers.items()
        if handler != before.handlers[number]
    ]
    found += [f"signal {n} blocked or unblocked" for n in after.mask ^ before.mask]
    found += [
        f"timer {_TIMERS[which]} started or stopped" for which in after.timers ^ before.timers
    ]
    found += [
        f"{name}: {hook!r}, was {before.hooks[name]!r}"
        for name, hook in after.hooks.items()
        if hook != before.hooks[name]
    ]
    found += _changed_context(before.context, after.context)
    return sorted(found)


class Watch:
    """Looks before a test and again after it."""

    def __init__(self) -> None:
        self._before = take()

    @contextlib.contextmanager
    def forgiving(self) -> Iterator[None]:
        """Counts what the block starts as having been there before.

        For fixtures of a wider scope that are first asked for in mid-test.
        """
        before = take()
        yield
        after = take()
        held = self._before
        self._before = attrs.evolve(
            held,
            threads=held.threads | (after.threads - before.threads),
            descriptors=held.descriptors | (after.descriptors - before.descriptors),
            children=held.children | (after.children - before.children),
        )

    def leaked(self) -> list[str]:
        """Returns in words what the test left behind or took away."""
        _dismiss_watcher()
        after = take()
        for thread in after.threads - self._before.threads:
            # One that is just ending is no reason for a collection, which costs far more.
            thread.join(0.05)
            after = take()
        if after == self._before:
            return []
        # A traceback that the test itself kept may hold what a run has let go.
        gc.collect()
        deadline = time.monotonic() + SETTLE
        while threads := take().threads - self._before.threads:
            left = deadline - time.monotonic()
            if left <= 0:
                break
            next(iter(threads)).join(min(left, 0.05))
        return differences(self._before, take())


def watched(function: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Returns the coroutine function with a look at its tasks and context around it."""

    @functools.wraps(function)
    async def around(*args: object, **named: object) -> object:
        tasks, held = _tasks(), context()
        result = await function(*args, **named)
        leaked = [f"task {task!r}" for task in _tasks() - tasks]
        leaked += _changed_context(held, context())
        if leaked:
            raise AssertionError(report(leaked))
        return result

    return around


def report(leaked: list[str]) -> str:
    """Returns what a failing test says."""
    return "left behind: " + "; ".join(leaked)


_SIGNALS = sorted(signal.valid_signals())
_TIMERS = {
    signal.ITIMER_REAL: "ITIMER_REAL",
    signal.ITIMER_VIRTUAL: "ITIMER_VIRTUAL",
    signal.ITIMER_PROF: "ITIMER_PROF",
}


def _dismiss_watcher() -> None:
    # They linger for what comes next, up to a second; after a test that is nothing.
    _watch.bodies.remove("", lingering=False)
    _watch.shared.remove("", lingering=False)


def _idle_threads_of_trio() -> frozenset[threading.Thread]:
    # Trio keeps an idle worker for ten seconds in case there is more work; one
    # that is still at work is no idle worker, and counts.
    workers = trio._core._thread_cache.THREAD_CACHE._idle_workers
    return frozenset(worker._thread for worker in tuple(workers))


def _descriptors() -> Iterator[tuple[int, str]]:
    own = _helpers_of_multiprocessing()[1]
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # The listing's own descriptor.
            number, target = int(name), os.readlink(f"/proc/self/fd/{name}")
            if number not in own:
                yield number, target


def _children() -> Iterator[int]:
    own = _helpers_of_multiprocessing()[0]
    for task in os.listdir("/proc/self/task"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # The thread has ended.
            with open(f"/proc/self/task/{task}/children", encoding="ascii") as listing:
                pids = listing.read()
            yield from (int(pid) for pid in pids.split() if int(pid) not in own)


def _helpers_of_multiprocessing() -> tuple[set[object], set[object]]:
    # The standard library starts these two once and keeps them for the process's life.
    tracker = sys.modules.get("multiprocessing.resource_tracker")
    server = sys.modules.get("multiprocessing.forkserver")
    pids: set[object] = set()
    descriptors: set[object] = set()
    if tracker is not None:
        pids.add(tracker._resource_tracker._pid)
        descriptors.add(tracker._resource_tracker._fd)
    if server is not None:
        pids.add(server._forkserver._forkserver_pid)
        descriptors.add(server._forkserver._forkserver_alive_fd)
    return pids, descriptors


def _command(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as line:
            return line.read().replace("\0", " ").strip() or "(a zombie)"
    except OSError:
        return "(gone)"


def _changed_context(before: dict[str, object], after: dict[str, object]) -> list[str]:
    names = sorted(before.keys() | after.keys())
    return [
        f"context variable {name!r}: {after.get(name)!r}, was {before.get(name)!r}"
        for name in names
        if before.get(name) is not after.get(name)
    ]


def _tasks() -> set[object]:
    if sniffio.current_async_library() == "asyncio":
        return set(asyncio.all_tasks())
    found: set[object] = set()
    waiting = [trio.lowlevel.current_root_task()]
    while waiting:
        task = waiting.pop()
        if task is not None:
            found.add(task)
            waiting += [child for nursery in task.child_nurseries for child in nursery.child_tasks]
    return found
