# SPDX-License-Identifier: MIT
"""A clock for tests: its waits move the time instead of passing it.

It fulfils the contract in ``haltable.clock`` and knows no loop.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from haltable.errors import ConfigurationError
from haltable.quantity import is_number, shown

__all__ = ["FakeClock"]


class FakeClock:
    """A clock that moves only when it is told to, or waited on.

    Give it to ``Loop(..., clock=)``: pauses take no time, and a test says how
    long a body took by calling `advance` in it.  It may be shared by threads.

    Args:
        start: the seconds that it shows at first.

    Raises:
        ConfigurationError: if ``start`` is no finite number.

    Example:
        >>> from haltable import Deadline, Loop
        >>> from haltable.testing import FakeClock
        >>> clock = FakeClock()
        >>> loop = Loop(Deadline(total=60), delay=25, clock=clock)
        >>> loop.run(lambda: clock.advance(1)).starts
        3
        >>> clock.waits
        (25.0, 25.0, 7.0)
    """

    __slots__ = ("_listeners", "_lock", "_now", "_waits")

    #: Its waits move the time themselves, so an async driver need not sleep.
    virtual = True

    def __init__(self, start: float = 0.0) -> None:
        if not is_number(start):
            raise ConfigurationError(
                f"FakeClock(start={shown(start)}): give seconds, a finite number"
            )
        self._now = float(start)
        self._waits: list[float] = []
        self._listeners: list[Callable[[], None]] = []
        self._lock = threading.Lock()

    def now(self) -> float:
        """Returns the seconds that it shows."""
        return self._now

    @property
    def waits(self) -> tuple[float, ...]:
        """The waits so far, in seconds, without those that somebody had already cut short."""
        with self._lock:
            return tuple(self._waits)

    def advance(self, seconds: float, *, watched: bool = False) -> None:
        """Moves the time on.

        Args:
            seconds: by how much, 0 or more.
            watched: whether those look who watch a running body, at the end of
                it: a breaker may then speak in mid-body, and the body of a
                synchronous loop is interrupted here.

        Raises:
            ConfigurationError: if it is no finite number of at least 0, for a
                clock never goes backwards.
        """
        if not is_number(seconds) or seconds < 0:
            raise ConfigurationError(f"advance({shown(seconds)}): give 0 or more seconds, finite")
        with self._lock:
            self._now += seconds
            listeners = tuple(self._listeners) if watched else ()
        for listener in listeners:
            listener()

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Has somebody called whenever `advance` moved the time on under his eyes.

        Args:
            listener: called without arguments, in the thread that calls `advance`.

        Returns:
            What ends it.
        """
        with self._lock:
            self._listeners.append(listener)

        def end() -> None:
            with self._lock:
                if listener in self._listeners:
                    self._listeners.remove(listener)

        return end

    def wait(self, seconds: float, woken: threading.Event) -> None:
        """Moves the time on by a wait; not at all if the event is set already."""
        if woken.is_set():
            return
        with self._lock:
            self._waits.append(float(seconds))
            self._now += max(0.0, seconds)

    def __repr__(self) -> str:
        return f"<FakeClock {self._now:g} s>"
