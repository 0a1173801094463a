# SPDX-License-Identifier: MIT
"""Numbers that somebody gives: which are seconds, which are counts, and how a wrong one is shown.

Whose argument it is comes in as words; this room knows neither breakers nor stores.
"""

from __future__ import annotations

import math
from typing import TypeGuard

from haltable.errors import ConfigurationError

__all__ = ["check_count", "check_seconds", "is_number", "is_seconds", "shown"]

#: Nothing happens more often; beyond it, receipts and databases have no room for a count.
_LARGEST_COUNT = 2**63 - 1
#: Longer whole numbers are told by their length.
_SHOWN_BITS = 128
_SHOWN_CHARACTERS = 80


def is_number(value: object) -> TypeGuard[float]:
    """Says whether a value is a finite number, and no bool.

    A whole number beyond all floats, such as 10**400, is none: no clock can be compared with it.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def is_seconds(value: object) -> TypeGuard[float]:
    """Says whether a value is a duration: a finite number above 0."""
    return is_number(value) and value > 0


def check_seconds(argument: str, value: object, *, of: str = "") -> float:
    """Returns a duration in seconds.

    Args:
        argument: its name.
        value: what was given.
        of: whose argument it is, if its name alone does not say so.

    Raises:
        ConfigurationError: unless it is a finite number above 0.
    """
    if not is_seconds(value):
        raise ConfigurationError(
            f"{_given(argument, value, of)}: give seconds, a finite number above 0"
        )
    return float(value)


def check_count(argument: str, value: object, *, of: str = "", otherwise: str = "") -> int:
    """Returns a count.

    Args:
        argument: its name.
        value: what was given.
        of: whose argument it is, if its name alone does not say so.
        otherwise: what else would be right, in words.

    Raises:
        ConfigurationError: unless it is a whole number from 1 to 2**63 - 1.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        wanted = "a whole number of at least 1"
    elif value > _LARGEST_COUNT:
        wanted = "a whole number below 2**63"
    else:
        return value
    raise ConfigurationError(f"{_given(argument, value, of)}: give {wanted}{otherwise}")


def shown(value: object) -> str:
    """Returns a value as a message shows it: in one line that ends."""
    if isinstance(value, int) and value.bit_length() > _SHOWN_BITS:
        # Of more than some thousand digits Python makes no text at all.
        digits = int(value.bit_length() * math.log10(2)) + 1
        return f"<a {'negative ' if value < 0 else ''}whole number of about {digits:,} digits>"
    text = repr(value)
    if len(text) > _SHOWN_CHARACTERS:
        return f"{text[:_SHOWN_CHARACTERS]}..."
    return text


def _given(argument: str, value: object, of: str) -> str:
    return f"{of}({argument}={shown(value)})" if of else f"{argument}={shown(value)}"
