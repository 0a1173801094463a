# SPDX-License-Identifier: MIT
"""The command's own breaker against silence: too long without a word.

The moment of the newest output is told by whoever hears the command.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import attrs

from haltable import Breaker, Iteration, Trip
from haltable.hooks import Horizon

__all__ = ["IdleTimeout"]

#: How often a running command is looked at: so many seconds at most, and so many times in a limit.
_PATIENCE, _LOOKS = 0.25, 10


@attrs.define(eq=False, on_setattr=attrs.setters.frozen)
class IdleTimeout(Breaker):
    """Opens when a running command has printed nothing for too long.

    Args:
        seconds: how long it may be silent.
        heard_at: returns the moment of its newest output, of the monotonic clock.
        name: how receipts call it.
    """

    seconds: float
    heard_at: Callable[[], float]

    @property
    def stateful(self) -> bool:
        """It has nothing that could change."""
        return False

    @property
    def patience(self) -> float:
        """A quarter of a second, or less for a short limit."""
        return min(_PATIENCE, self.seconds / _LOOKS)

    def horizon(self, extension: int) -> Horizon | None:
        """Says that it is silent but in mid-iteration."""
        del extension
        return Horizon()

    def during(self, iteration: Iteration) -> Trip | None:
        """Opens when the silence, within this iteration, was too long."""
        silence = min(iteration.lasted or 0.0, time.monotonic() - self.heard_at())
        if silence < self.seconds:
            return None
        return Trip(
            f"the command printed nothing for {silence:.3g} s (limit {self.seconds:g} s), "
            f"iteration {iteration.number}"
        )

    def limits(self) -> tuple[tuple[str, str], ...]:
        """Returns its limit in words."""
        return (("seconds of silence", f"{self.seconds:g}"),)
