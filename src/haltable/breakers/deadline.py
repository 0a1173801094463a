# SPDX-License-Identifier: MIT
"""The end of time: how long a loop may be alive, and how long one iteration may take.

It compares live seconds, which come in with the iteration; it reads no clock,
and who interrupts a body over its verdict it does not know.
"""

from __future__ import annotations

import math

import attrs

from haltable.breaker import Breaker
from haltable.errors import ConfigurationError
from haltable.hooks import Horizon
from haltable.iteration import Iteration
from haltable.model import Trip
from haltable.quantity import check_seconds

__all__ = ["Deadline"]

#: How often a running body is looked at: so many seconds at most, and so many times in a limit.
_PATIENCE, _LOOKS = 0.1, 10


def _check_seconds(
    deadline: object, attribute: attrs.Attribute[float | None], value: object
) -> None:
    del deadline
    if value is not None:
        check_seconds(attribute.name, value, of="Deadline")


@attrs.define(eq=False, on_setattr=attrs.setters.frozen)
class Deadline(Breaker):
    """Ends a loop that has been alive for too long, or an iteration that takes too long.

    "Interrupt the running one" and "start nothing after" are two things:
    ``total`` and ``iteration`` interrupt a running body where its mode allows it,
    ``last_start`` lets it come to its end.  Seconds are the loop's clock's, by
    default the machine's monotonic one, which no change of the wall clock moves
    and which stands still while the machine is suspended; with
    ``clock=haltable.clock.BootClock()`` that time counts too.

    Args:
        total: seconds for which the loop may be alive, pauses included; on a
            keyed loop they are summed over its runs, without the time in which
            nothing ran.  Then nothing starts any more, and the body that is
            running is interrupted.  None: no such limit.
        iteration: seconds that one iteration may take; then it is interrupted,
            and the loop ends.  It bounds no loop by itself.  None: no such limit.
        last_start: seconds of the loop's life after which no iteration starts;
            one that is running goes on.  None: no such limit.
        name: how receipts call it.

    Raises:
        ConfigurationError: if a limit is no finite number above 0, none is
            given, or ``last_start`` is not below ``total``.

    Example:
        >>> from haltable import Deadline
        >>> Deadline(total=3600, iteration=300).bounds
        True
    """

    total: float | None = attrs.field(default=None, kw_only=True, validator=_check_seconds)
    iteration: float | None = attrs.field(default=None, kw_only=True, validator=_check_seconds)
    last_start: float | None = attrs.field(default=None, kw_only=True, validator=_check_seconds)

    def __attrs_post_init__(self) -> None:
        if self.total is None and self.iteration is None and self.last_start is None:
            raise ConfigurationError(
                "Deadline(): give total=, the seconds that the loop may live, iteration=, those "
                "that one iteration may take, or last_start=, after which none starts"
            )
        if self.last_start is not None and self.last_start >= (self.total or math.inf):
            raise ConfigurationError(
                f"Deadline(last_start={self.last_start!r}): it never matters unless it is "
                f"below total={self.total!r}"
            )

    @property
    def stateful(self) -> bool:
        """It has nothing that could change."""
        return False

    @property
    def bounds(self) -> bool:
        """A limit on the loop's time ends every loop whose body returns."""
        return self._end < math.inf

    @property
    def time_limit(self) -> float | None:
        """The limit on live seconds."""
        return self._end if self.bounds else None

    @property
    def patience(self) -> float | None:
        """A tenth of a second, or less for short limits; None if no body is interrupted."""
        limits = [limit for limit in (self.total, self.iteration) if limit is not None]
        return min(_PATIENCE, min(limits) / _LOOKS) if limits else None

    @property
    def _end(self) -> float:
        limits = [limit for limit in (self.total, self.last_start) if limit is not None]
        return min(limits, default=math.inf)

    def horizon(self, extension: int) -> Horizon | None:
        """Says that it is silent until the time is up; with ``iteration=``, that it never is."""
        del extension
        return None if self.iteration is not None else Horizon(elapsed=self._end)

    def before(self, iteration: Iteration) -> Trip | None:
        """Refuses a start after the time is up."""
        return self._judge_loop(iteration, self._end)

    def during(self, iteration: Iteration) -> Trip | None:
        """Opens while the body runs, when the loop's time or the iteration's is up."""
        return self._judge_iteration(iteration) or self._judge_loop(iteration, self.total)

    def after(self, iteration: Iteration) -> Trip | None:
        """Opens at the end of the iteration in which the time ran out."""
        return self._judge_iteration(iteration) or self._judge_loop(iteration, self._end)

    def limits(self) -> tuple[tuple[str, str], ...]:
        """Returns its limits in words."""
        return tuple(
            (unit, f"{limit:g}")
            for unit, limit in (
                ("seconds", self.total),
                ("seconds an iteration", self.iteration),
                ("seconds to the last start", self.last_start),
            )
            if limit is not None
        )

    def _judge_loop(self, iteration: Iteration, limit: float | None) -> Trip | None:
        if limit is None or iteration.elapsed < limit:
            return None
        return Trip(f"alive for {_seconds(iteration.elapsed, limit)} s (limit {limit:g} s)")

    def _judge_iteration(self, iteration: Iteration) -> Trip | None:
        limit, lasted = self.iteration, iteration.lasted
        if limit is None or lasted is None or lasted < limit:
            return None
        return Trip(
            f"iteration {iteration.number} took {_seconds(lasted, limit)} s (limit {limit:g} s)"
        )


def _seconds(seconds: float, limit: float) -> str:
    return f"{seconds:.0f}" if limit >= 10 else f"{seconds:.2g}"
