# SPDX-License-Identifier: MIT
"""The shared watcher: one lazy thread that looks at long-running keyed runs.

It knows the tokens of this process's runs that are alive, and once a second
calls the look of each that has one; what a look does is the driver's business.
The thread starts with the first run that has a key and ends with the last.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection

__all__ = ["INTERVAL", "Watcher", "shared"]

#: Seconds between two looks, and how long a body may run before the first.
INTERVAL = 1.0


class Watcher:
    """Keeps the runs of one process that are alive, and the thread that looks at them."""

    def __init__(self, interval: float = INTERVAL) -> None:
        self._interval = interval
        self._start_over()

    def _start_over(self) -> None:
        self._looks: dict[str, Callable[[], None] | None] = {}
        self._pid = os.getpid()
        # Reentrant, since a garbage collection under it may end a run that was dropped.
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._thread: threading.Thread | None = None

    def add(self, token: str, look: Callable[[], None] | None) -> None:
        """Notes that a run is alive; one that is given is also looked at."""
        with self._mine():
            self._looks[token] = look
            if look is not None and self._thread is None:
                self._thread = threading.Thread(
                    target=self._watch, name="haltable-watcher", daemon=True
                )
                self._thread.start()

    def remove(self, token: str, *, lingering: bool = False) -> None:
        """Notes that a run has ended; the thread ends with the last that was looked at.

        Args:
            token: the run's.
            lingering: whether the thread may stay until its next look, since
                another run may begin soon: starting one costs more than an effect.
        """
        with self._mine():
            self._looks.pop(token, None)
            if not lingering and not self._wanted():
                self._changed.notify_all()

    def tokens(self) -> Collection[str]:
        """Returns the tokens of the runs that are alive in this process."""
        with self._mine():
            return frozenset(self._looks)

    def _mine(self) -> threading.RLock:
        # A fork copies the table without the runs' threads, and the lock in
        # whatever state it was: the child starts with new ones.
        if self._pid != os.getpid():
            self._start_over()
        return self._lock

    def _wanted(self) -> list[Callable[[], None]]:
        # Copied first, for a run may end while they are looked through; see the lock.
        return [look for look in list(self._looks.values()) if look is not None]

    def _watch(self) -> None:
        while True:
            with self._lock:
                if not self._wanted():
                    self._thread = None
                    return
                self._changed.wait(self._interval)
                looks = self._wanted()
            for look in looks:
                look()


#: The one watcher of the process.
shared = Watcher()
