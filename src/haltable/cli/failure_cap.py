# SPDX-License-Identifier: MIT
"""The command's own breaker against failures, which stands without a cap on starts too.

The counts are the ledger's; it only compares.
"""

from __future__ import annotations

import attrs

from haltable import Breaker, Iteration, Trip
from haltable.hooks import Horizon

__all__ = ["FailureCap"]


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
