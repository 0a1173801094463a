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

from haltable.errors import ConfigurationError

__all__ = ["BootClock", "Clock", "SystemClock"]

#: How long a wait goes on before it looks at the clock again, in seconds.
_SLICE = 1.0


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
    """The machine's monotonic clock, which stands still while the machine is suspended."""

    __slots__ = ()

    # Read from an instance this is the very builtin: the hot path pays one call.
    now = staticmethod(time.monotonic)
    virtual = False

    def wait(self, seconds: float, woken: threading.Event) -> None:
        """Waits until the seconds have passed or the event is set, whichever is first."""
        woken.wait(seconds)


class BootClock:
    """Seconds since the machine was booted: what it was suspended for counts too.

    Give it to ``Loop(..., clock=BootClock())`` where the time in which a laptop
    slept shall count against deadlines and stall windows.  The default, the
    monotonic clock, stands still meanwhile.

    Raises:
        ConfigurationError: if the system has no such clock; Linux has.
    """

    __slots__ = ()

    virtual = False

    def __init__(self) -> None:
        if not hasattr(time, "CLOCK_BOOTTIME"):
            raise ConfigurationError("BootClock(): this system has no CLOCK_BOOTTIME; Linux has")

    @staticmethod
    def now() -> float:
        """Returns the seconds since the machine was booted."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def wait(self, seconds: float, woken: threading.Event) -> None:
        """Waits until the seconds have passed or the event is set, whichever is first."""
        end = self.now() + seconds
        # An event's own clock stands still while the machine does.
        while (left := end - self.now()) > 0 and not woken.wait(min(left, _SLICE)):
            pass
