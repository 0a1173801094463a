# SPDX-License-Identifier: MIT
"""The contract for time: reading seconds and waiting, wakeably.

A clock knows no loop.  Durations are all that is ever compared, so where its
zero lies is its own business, but it must never go backwards.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol

__all__ = ["Clock", "SystemClock"]


class Clock(Protocol):
    """Where a run reads seconds and how it waits.

    `haltable.testing.FakeClock` is the other implementation: its waits move
    the time instead of passing it.
    """

    @property
    def now(self) -> Callable[[], float]:
        """A function that returns seconds and never goes backwards."""
        ...

    @property
    def virtual(self) -> bool:
        """Whether `wait` moves the time itself, so that an async driver need not sleep."""
        ...

    def wait(self, seconds: float, woken: threading.Event) -> None:
        """Waits until the seconds have passed or the event is set, whichever is first."""
        ...


class SystemClock:
    """The machine's monotonic clock."""

    __slots__ = ()

    # Read from an instance this is the very builtin: the hot path pays one call.
    now = staticmethod(time.monotonic)
    virtual = False

    def wait(self, seconds: float, woken: threading.Event) -> None:
        """Waits until the seconds have passed or the event is set, whichever is first."""
        woken.wait(seconds)
