# SPDX-License-Identifier: MIT
"""The hard cap: so many starts, ever, and so many failures.

It compares counts that the ledger keeps; it counts nothing itself, so nothing
that a body can reach makes it forget.
"""

from __future__ import annotations

from typing import Any

import attrs

from haltable.breaker import Breaker
from haltable.hooks import Horizon
from haltable.iteration import Iteration
from haltable.model import Trip
from haltable.quantity import check_count

__all__ = ["IterationCap"]


def _check_count(cap: object, attribute: attrs.Attribute[Any], value: object) -> None:
    del cap
    if value is None and attribute.default is not attrs.NOTHING:
        return
    off = "" if attribute.default is attrs.NOTHING else ", or None to switch this limit off"
    check_count(attribute.name, value, of="IterationCap", otherwise=off)


@attrs.define(eq=False, on_setattr=attrs.setters.frozen)
class IterationCap(Breaker):
    """Bounds how often the body starts, and how often it may fail.

    On a keyed loop the counts are durable and belong to the key: restarts,
    other processes and crashes do not refill them.

    Args:
        limit: how many starts, 1 or more; N means that exactly N bodies start.
        max_failures: how many iterations may fail in all; None (the default)
            for no such limit.
        max_consecutive_failures: how many may fail in a row, 3 by default;
            None for no such limit.  Transient and interrupted iterations leave
            the row as it is, a crash counts as a failure.
        name: how receipts call it.

    Raises:
        ConfigurationError: if a limit is no whole number of at least 1.

    Example:
        >>> from haltable import IterationCap
        >>> IterationCap(50).start_limit
        50
    """

    limit: int = attrs.field(validator=_check_count)
    max_failures: int | None = attrs.field(default=None, kw_only=True, validator=_check_count)
    max_consecutive_failures: int | None = attrs.field(
        default=3, kw_only=True, validator=_check_count
    )

    @property
    def stateful(self) -> bool:
        """It has nothing that could change: the counts are the ledger's."""
        return False

    @property
    def bounds(self) -> bool:
        """A cap on starts ends every loop."""
        return True

    @property
    def start_limit(self) -> int | None:
        """The cap on starts."""
        return self.limit

    def horizon(self, extension: int) -> Horizon | None:
        """Says that a count below the cap is no matter to speak of."""
        return Horizon(starts=self.limit + extension)

    def before(self, iteration: Iteration) -> Trip | None:
        """Refuses the start that would be one too many."""
        allowed = self.limit + iteration.extension
        if iteration.starts > allowed:
            return Trip(f"all {allowed} starts are used")
        return self._failed_too_often(iteration.failures, iteration.failures_in_row)

    def after(self, iteration: Iteration) -> Trip | None:
        """Opens at the failure that reaches a limit."""
        return self._failed_too_often(iteration.failures, iteration.failures_in_row)

    def limits(self) -> tuple[tuple[str, str], ...]:
        """Returns its limits in words."""
        failures = "" if self.max_failures is None else str(self.max_failures)
        row = "" if self.max_consecutive_failures is None else str(self.max_consecutive_failures)
        return (("starts", str(self.limit)), ("failures", failures), ("row", row))

    def _failed_too_often(self, failures: int, row: int) -> Trip | None:
        if self.max_consecutive_failures is not None and row >= self.max_consecutive_failures:
            return Trip(f"{row} failures in a row (limit {self.max_consecutive_failures})")
        if self.max_failures is not None and failures >= self.max_failures:
            return Trip(f"{failures} failures (limit {self.max_failures})")
        return None
