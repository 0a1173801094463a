# SPDX-License-Identifier: MIT
"""How long a loop waits between two iterations.

A pace is a value; it knows no clock and rolls no dice: the chance comes in.
"""

from __future__ import annotations

import math

import attrs

from haltable.errors import ConfigurationError
from haltable.quantity import check_seconds, is_number, shown

__all__ = ["Backoff", "Delay", "as_delay"]


def _check_seconds(backoff: object, attribute: attrs.Attribute[float], value: object) -> None:
    del backoff
    check_seconds(attribute.name, value, of="Backoff")


def _check_factor(backoff: object, attribute: attrs.Attribute[float], value: object) -> None:
    del backoff
    if not is_number(value) or value < 1:
        raise ConfigurationError(
            f"Backoff({attribute.name}={shown(value)}): give a finite number of at least 1"
        )


@attrs.frozen
class Backoff:
    """Waits longer after each failure or transient in a row, with full jitter.

    The n-th wait is drawn evenly from 0 to ``min(maximum, initial * factor **
    (n - 1))`` seconds; a good iteration resets n, and after it there is no
    wait.  Full jitter as in "Exponential Backoff And Jitter", AWS Architecture
    Blog, 2015.

    Args:
        initial: seconds, the upper end of the first wait.
        factor: by which the upper end grows, at least 1.
        maximum: seconds, which the upper end never passes.

    Raises:
        ConfigurationError: if a number is out of its range.

    Example:
        >>> from haltable import Backoff
        >>> Backoff(initial=2).seconds(slips=3, chance=0.5)
        4.0
    """

    initial: float = attrs.field(default=1.0, kw_only=True, validator=_check_seconds)
    factor: float = attrs.field(default=2.0, kw_only=True, validator=_check_factor)
    maximum: float = attrs.field(default=300.0, kw_only=True, validator=_check_seconds)

    def __attrs_post_init__(self) -> None:
        if self.maximum < self.initial:
            raise ConfigurationError(
                f"Backoff(maximum={self.maximum!r}): give at least initial={self.initial!r}"
            )

    def seconds(self, *, slips: int, chance: float) -> float:
        """Returns the wait after ``slips`` failures or transients in a row.

        Args:
            slips: 0 after a good iteration.
            chance: a random number from 0 to 1.
        """
        if slips < 1:
            return 0.0
        # Compared as logarithms, for the power itself would overflow in the end.
        if (slips - 1) * math.log(self.factor) >= math.log(self.maximum / self.initial):
            return self.maximum * chance
        return self.initial * self.factor ** (slips - 1) * chance


@attrs.frozen
class Delay:
    """Waits the same time after every iteration."""

    after_each: float

    def seconds(self, *, slips: int, chance: float) -> float:
        """Returns the wait, whatever happened."""
        del slips, chance
        return self.after_each


def as_delay(value: object) -> Backoff | Delay | None:
    """Returns what ``delay=`` means; None for no wait at all.

    Raises:
        ConfigurationError: if it is neither seconds nor a `Backoff`.
    """
    if isinstance(value, Backoff):
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ConfigurationError(f"delay={value!r}: give seconds or a Backoff()")
    if not is_number(value) or value < 0:
        raise ConfigurationError(f"delay={shown(value)}: give 0 or more seconds, finite")
    return Delay(float(value)) if value > 0 else None
