# SPDX-License-Identifier: MIT
"""The words of the house as values: statuses, outcomes, verdicts, rulings.

Everything here is frozen and knows nothing of runs, stores or time; which of
several verdicts counts is part of what the words mean.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import TypeAlias

import attrs

__all__ = ["Done", "GiveUp", "Outcome", "Ruling", "Status", "Trip", "Verdict", "Warn"]


class Status(enum.StrEnum):
    """How a loop stands; all but `OPEN` are terminal and absorb."""

    OPEN = "open"
    SUCCEEDED = "succeeded"
    GAVE_UP = "gave_up"
    TRIPPED = "tripped"
    STOPPED = "stopped"

    @property
    def terminal(self) -> bool:
        """Whether nothing is charged any more until an operator's reset or extension."""
        return self is not Status.OPEN


class Outcome(enum.StrEnum):
    """How one iteration ended."""

    RETURNED = "returned"
    #: An `Exception` left the body.
    FAILED = "failed"
    #: A declared transient exception: feeds the back-off, is no failure.
    TRANSIENT = "transient"
    #: KeyboardInterrupt, SystemExit, GeneratorExit or a cancellation: neither failure nor success.
    INTERRUPTED = "interrupted"
    #: Found at the next start: it began and never ended; counts as a failure.
    CRASHED = "crashed"
    #: Ended by a breaker while the body was running.
    KILLED = "killed"


def _check_reason(verdict: object, attribute: attrs.Attribute[str], value: object) -> None:
    del attribute
    if not isinstance(value, str):
        raise TypeError(f"{type(verdict).__name__}(reason={value!r}): say why in a string")


@attrs.frozen
class Done:
    """The loop has succeeded.

    Args:
        reason: what was seen, in words for the receipt.
    """

    reason: str = attrs.field(default="", validator=_check_reason)


@attrs.frozen
class GiveUp:
    """The loop cannot succeed any more and says so.

    Args:
        reason: why, in words for the receipt.
    """

    reason: str = attrs.field(validator=_check_reason)


@attrs.frozen
class Trip:
    """A breaker opens: the loop ends whatever it thinks of itself.

    Args:
        reason: why, in words for the receipt.
    """

    reason: str = attrs.field(validator=_check_reason)


@attrs.frozen
class Warn:
    """Something the operator should hear; the loop goes on.

    Args:
        reason: what was seen, in words.
    """

    reason: str = attrs.field(validator=_check_reason)


#: What a breaker's hook may return; None means "go on".
Verdict: TypeAlias = Done | GiveUp | Trip | Warn

#: Which verdict of several counts: the first kind that is there.
PRECEDENCE: tuple[type[Verdict], ...] = (Done, GiveUp, Trip, Warn)


def strongest(verdicts: Iterable[Verdict]) -> Verdict | None:
    """Returns the verdict that counts, the first of its kind; None if there is none."""
    return min(verdicts, key=lambda verdict: PRECEDENCE.index(type(verdict)), default=None)


#: Who may end a loop, or warn, beside its breakers, so that none may be called so.
NO_BREAKERS = frozenset({"body", "fatal", "items", "operator", "outer", "run", "store"})


def told(reason: str) -> str:
    """Returns a reason as it is told: one without words is told as that.

    Refused, it would make a warning the end of a loop, as any fault of a breaker is.
    """
    return reason if reason.strip() else "no reason was given"


@attrs.frozen
class Ruling:
    """The verdict that ended a loop: the status, who said it, and why.

    Args:
        status: a terminal status, or `Status.OPEN` when the run ended and the
            key did not (a store fault, a lost lease, an interruption).
        breaker: the name of the breaker that spoke, or of the part of the
            house that did: one of `NO_BREAKERS`.
        reason: why, in words.
    """

    status: Status
    breaker: str
    reason: str = attrs.field(converter=told)
