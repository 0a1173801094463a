# SPDX-License-Identifier: MIT
"""What happened, as frozen facts in the past tense, for sinks.

An event holds values only: no run, no store, nothing that changes later.  It
is built only when somebody listens.
"""

from __future__ import annotations

from typing import TypeAlias

import attrs

from haltable.model import Outcome, Ruling

__all__ = [
    "BreakerWarned",
    "Event",
    "IterationEnded",
    "IterationStarted",
    "LoopPaused",
    "RunEnded",
    "StartRefused",
    "VerdictFell",
]


@attrs.frozen
class IterationStarted:
    """An iteration was charged and its body is about to get control.

    Args:
        loop: the loop's key or name.
        number: of the iteration in this run.
        starts: of the key in this epoch.
    """

    loop: str
    number: int
    starts: int


@attrs.frozen
class IterationEnded:
    """An iteration ended; ``error`` is in words, None if it returned."""

    loop: str
    number: int
    outcome: Outcome
    error: str | None


@attrs.frozen
class BreakerWarned:
    """A breaker warned; the loop goes on."""

    loop: str
    breaker: str
    reason: str


@attrs.frozen
class LoopPaused:
    """The loop began to wait for this many seconds."""

    loop: str
    seconds: float


@attrs.frozen
class StartRefused:
    """Somebody tried to run a key that had ended before; nothing ran."""

    loop: str
    ruling: Ruling


@attrs.frozen
class VerdictFell:
    """A verdict fell while the body was running, which is now interrupted, if it can be.

    Args:
        loop: the loop's key or name.
        ruling: the verdict.
        starts: of the key in this epoch.
        lasted: seconds that the iteration had taken.
        durable: whether the verdict is stored.
    """

    loop: str
    ruling: Ruling
    starts: int
    lasted: float
    durable: bool


@attrs.frozen
class RunEnded:
    """A run ended.

    Args:
        loop: the loop's key or name.
        ruling: the verdict, status `haltable.Status.OPEN` if the key goes on.
        starts: of the key in this epoch.
        failures: of the key in this epoch.
        elapsed: seconds for which the loop was alive.
        durable: whether the verdict is stored.
        refused: whether that was told before: the key had ended, and nothing was run.
    """

    loop: str
    ruling: Ruling
    starts: int
    failures: int
    elapsed: float
    durable: bool
    refused: bool = False


Event: TypeAlias = (
    IterationStarted
    | IterationEnded
    | BreakerWarned
    | LoopPaused
    | StartRefused
    | VerdictFell
    | RunEnded
)
