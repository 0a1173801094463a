# SPDX-License-Identifier: MIT
"""The end of time: how long a loop may be alive.

It compares the loop's live seconds, which come in with the iteration; it reads
no clock.  Interrupting a running body is not decided here yet: the limit is
looked at between iterations, and waits are clipped to it.
"""

from __future__ import annotations

import math

import attrs

from haltable.breaker import Breaker
from haltable.errors import ConfigurationError
from haltable.hooks import Horizon
from haltable.iteration import Iteration
from haltable.model import Trip

__all__ = ["Deadline"]


def _check_seconds(deadline: object, attribute: attrs.Attribute[float], value: object) -> None:
    del deadline
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, float))
        or not math.isfinite(value)
        or value <= 0
    ):
        raise ConfigurationError(
            f"Deadline({attribute.name}={value!r}): give seconds, a finite number above 0"
        )


@attrs.define(eq=False, on_setattr=attrs.setters.frozen)
class Deadline(Breaker):
    """Ends a loop that has been alive for too long.

    Args:
        total: seconds for which the loop may be alive, pauses included; on a
            keyed loop they are summed over its runs, without the time in which
            nothing ran.  No iteration starts after it.
        name: how receipts call it.

    Raises:
        ConfigurationError: if ``total`` is no finite number above 0.

    Example:
        >>> from haltable import Deadline
        >>> Deadline(total=3600).bounds
        True
    """

    total: float = attrs.field(kw_only=True, validator=_check_seconds)

    @property
    def stateful(self) -> bool:
        """It has nothing that could change."""
        return False

    @property
    def bounds(self) -> bool:
        """A limit on time ends every loop whose body returns."""
        return True

    @property
    def time_limit(self) -> float | None:
        """The limit on live seconds."""
        return self.total

    def horizon(self, extension: int) -> Horizon | None:
        """Says that it is silent until the time is up."""
        del extension
        return Horizon(elapsed=self.total)

    def before(self, iteration: Iteration) -> Trip | None:
        """Refuses a start after the time is up."""
        return self._judge(iteration)

    def after(self, iteration: Iteration) -> Trip | None:
        """Opens at the end of the iteration in which the time ran out."""
        return self._judge(iteration)

    def limits(self) -> tuple[tuple[str, str], ...]:
        """Returns its limit in words."""
        return (("seconds", f"{self.total:g}"),)

    def _judge(self, iteration: Iteration) -> Trip | None:
        if iteration.elapsed < self.total:
            return None
        alive = f"{iteration.elapsed:.0f}" if self.total >= 10 else f"{iteration.elapsed:.2g}"
        return Trip(f"alive for {alive} s (limit {self.total:g} s)")
