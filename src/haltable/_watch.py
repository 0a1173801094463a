# SPDX-License-Identifier: MIT
"""The shared watchers: lazy threads that look at long-running runs.

It knows the tokens of this process's keyed runs that are alive, and calls each
look at its own interval; what a look does is the driver's business.  A thread
starts with the first that wants looking at and ends with the last.
"""

from __future__ import annotations

import functools
import os
import threading
import time
from collections.abc import Callable, Collection

import attrs

__all__ = ["INTERVAL", "Watcher", "bodies", "shared"]

#: Seconds between two looks at a record, and how long a body may run before the first.
INTERVAL = 1.0


@attrs.define(eq=False)
class _Duty:
    """Something that is looked at again and again.

    Args:
        look: called each time.
        interval: seconds between two calls.
        due: the moment of the next.
    """

    look: Callable[[], None]
    interval: float
    due: float


class Watcher:
    """Keeps the runs of one process that are alive, and the thread that looks at them."""

    def __init__(self, interval: float = INTERVAL) -> None:
        self._interval = interval
        self._start_over()

    def _start_over(self) -> None:
        self._tokens: set[str] = set()
        #: By token, or by an object of its own.
        self._duties: dict[object, _Duty] = {}
        self._pid = os.getpid()
        # Reentrant, since a garbage collection under it may end a run that was dropped.
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._thread: threading.Thread | None = None
        #: Until when the thread sleeps.
        self._sleeps_until = 0.0

    def add(self, token: str, look: Callable[[], None] | None) -> None:
        """Notes that a run is alive; one that is given is also looked at."""
        with self._mine():
            self._tokens.add(token)
            if look is not None:
                self._take_on(token, look, self._interval)

    def remove(self, token: str, *, lingering: bool = False) -> None:
        """Notes that a run has ended; the thread ends with the last that was looked at.

        Args:
            token: the run's.
            lingering: whether the thread may stay until its next look, since
                another run may begin soon: starting one costs more than an effect.
        """
        with self._mine():
            self._tokens.discard(token)
            self._let_go(token, lingering=lingering)

    def attend(self, look: Callable[[], None], interval: float) -> Callable[[], None]:
        """Looks at something that has no token.

        Args:
            look: called at each interval.
            interval: seconds.

        Returns:
            What ends it.
        """
        with self._mine():
            self._take_on(look, look, interval)
        return functools.partial(self.dismiss, look)

    def dismiss(self, look: Callable[[], None]) -> None:
        """Looks no more at something that has no token, if it still did."""
        with self._mine():
            self._let_go(look, lingering=True)

    def tokens(self) -> Collection[str]:
        """Returns the tokens of the runs that are alive in this process."""
        with self._mine():
            return frozenset(self._tokens)

    def _mine(self) -> threading.RLock:
        # A fork copies the table without the runs' threads, and the lock in
        # whatever state it was: the child starts with new ones.
        if self._pid != os.getpid():
            self._start_over()
        return self._lock

    def _take_on(self, name: object, look: Callable[[], None], interval: float) -> None:
        due = time.monotonic() + interval
        self._duties[name] = _Duty(look, interval, due)
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._watch, name="haltable-watcher", daemon=True
            )
            self._thread.start()
        elif due < self._sleeps_until:
            self._changed.notify_all()

    def _let_go(self, name: object, *, lingering: bool) -> None:
        self._duties.pop(name, None)
        if not lingering and not self._duties:
            self._changed.notify_all()

    def _watch(self) -> None:
        while True:
            with self._lock:
                # Copied, for a run may end while they are looked through; see the lock.
                duties = list(self._duties.values())
                if not duties:
                    self._thread = None
                    return
                now = time.monotonic()
                self._sleeps_until = min(duty.due for duty in duties)
                if self._sleeps_until > now:
                    self._changed.wait(self._sleeps_until - now)
                now = time.monotonic()
                due = [duty for duty in list(self._duties.values()) if duty.due <= now]
            for duty in due:
                duty.look()
                # From here on: a look that takes as long as its interval leaves the others time.
                duty.due = time.monotonic() + duty.interval


#: Looks at records: the one that knows which runs of this process are alive.
shared = Watcher()
#: Looks at running bodies, and waits for no store that hangs.
bodies = Watcher()
