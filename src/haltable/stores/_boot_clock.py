# SPDX-License-Identifier: MIT
"""Seconds that several processes of one machine share, and the boot they count from.

It knows no store.  The wall clock is no such clock: somebody sets it.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable
from pathlib import Path

import attrs

__all__ = ["BootClock"]

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
# Sixty bits of the kernel's random number: enough to tell two boots apart, and
# a small column in the row.
_HEX_DIGITS = 15


@attrs.frozen
class BootClock:
    """Counts seconds since the machine came up, suspended ones included.

    Args:
        now: returns the seconds.
        boot: tells one boot from another; 0 where the platform has no such number.
    """

    now: Callable[[], float]
    boot: int

    @classmethod
    def of_this_machine(cls, boot_id: Path = _BOOT_ID) -> BootClock:
        """Returns the best clock the platform has.

        Linux has CLOCK_BOOTTIME and a boot id.  Elsewhere it is
        ``time.monotonic`` without a boot: time in suspension may not count, and
        another boot is recognised only by a time that lies in the future.

        Args:
            boot_id: the file that holds the boot's UUID.
        """
        try:
            boot = int(boot_id.read_text("ascii").replace("-", "")[:_HEX_DIGITS], 16)
            now = functools.partial(time.clock_gettime, time.CLOCK_BOOTTIME)
        except (AttributeError, OSError, ValueError):
            return cls(time.monotonic, 0)
        return cls(now, boot)

    def age(self, written: float, boot: int) -> float:
        """Returns the seconds since a time that was read in the given boot.

        Args:
            written: what `now` returned then.
            boot: what `boot` was then.

        Returns:
            Seconds, never negative; ``math.inf`` if that was another boot.
        """
        if boot != self.boot:
            return math.inf
        age = self.now() - written
        if age >= 0.0:
            return age
        # With a boot id it can only be the difference between two processors'
        # clocks; without one, the machine has started again since.
        return 0.0 if boot else math.inf
