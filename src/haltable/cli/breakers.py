# SPDX-License-Identifier: MIT
"""The command's own breakers: too many failures, and too long without a word.

The counts are the ledger's, and the moment of the newest output is told by
whoever hears the command; neither is known better here.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import attrs

from haltable import Breaker, Iteration, Trip
from haltable.hooks import Horizon

__all__ = ["FailureCap", "IdleTimeout"]

#: How often a running command is looked at: so many seconds at most, and so many times in a limit.
_PATIENCE, _LOOKS = 0.25, 10


@attrs.define(eq=False, on_setattr=attrs.setters.frozen)
class FailureCap(Breaker):
    """Opens after too many failures, in all or in a row.

    Args:
        in_all: how many; None for no such limit.
        in_row: how many in a row; None for no such limit.
        name: how receipts call it.
    """

    in_all: int | None = attrs.field(kw_only=True)
    in_row: int | None = attrs.field(kw_only=True)

    @property
    def stateful(self) -> bool:
        """It has nothing that could change."""
        return False

    def horizon(self, extension: int) -> Horizon | None:
        """Says that it is silent while iterations return."""
        del extension
        return Horizon()

    def before(self, iteration: Iteration) -> Trip | None:
        """Refuses a start when a limit was reached, by crashes too."""
        return self.after(iteration)

    def after(self, iteration: Iteration) -> Trip | None:
        """Opens at the failure that reaches a limit."""
        row, failures = iteration.failures_in_row, iteration.failures
        if self.in_row is not None and row >= self.in_row:
            return Trip(f"{row} failures in a row (limit {self.in_row})")
        if self.in_all is not None and failures >= self.in_all:
            return Trip(f"{failures} failures (limit {self.in_all})")
        return None

    def limits(self) -> tuple[tuple[str, str], ...]:
        """Returns its limits in words."""
        named = (("failures", self.in_all), ("row", self.in_row))
        return tuple((name, "" if limit is None else str(limit)) for name, limit in named)


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
