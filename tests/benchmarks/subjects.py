# SPDX-License-Identifier: MIT
"""What all rows measure: the same bodies, the same predicate, the same four breakers.

And the loop that a careful person writes by hand instead: it has a cap, a
deadline and a predicate, and is the fastest correct one that was found.  It has
no record of failures, no stall detector and no report.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterator
from itertools import repeat
from time import monotonic

from haltable import Breaker, Deadline, ExitCondition, IterationCap, StallDetector
from haltable.evidence import Probe

__all__ = ["Late", "UsedUp", "abody", "body", "body_taking", "by_hand", "four", "holds", "quiet"]


class UsedUp(Exception):
    """All starts are used."""


class Late(Exception):
    """The time is up."""


def body():
    """Does nothing, without success."""


def body_taking(iteration):
    """Does the same, and takes the iteration."""


async def abody():
    """Does the same, without giving the event loop a chance."""


async def abody_taking(iteration):
    """Does the same, and takes the iteration."""


def holds(result):
    """The predicate of success."""
    return result is not None


def four(cap: int) -> tuple[Breaker, ...]:
    """Returns one breaker of each kind; the cap is the one that ends the loop."""
    return (
        IterationCap(cap),
        Deadline(total=3600),
        ExitCondition(success=holds),
        StallDetector(after=600, evidence=Probe(lambda: b"as ever")),
    )


def by_hand(work: Callable[[], object], cap: int, seconds: float, holds: Callable[[object], bool]):
    """The six lines."""
    end = monotonic() + seconds
    for _ in repeat(None, cap):
        result = work()
        if holds(result):
            return result
        if monotonic() >= end:
            raise Late
    raise UsedUp


async def by_hand_async(
    work: Callable[[], Awaitable[object]],
    cap: int,
    seconds: float,
    holds: Callable[[object], bool],
):
    """The six lines, awaiting."""
    end = monotonic() + seconds
    for _ in repeat(None, cap):
        result = await work()
        if holds(result):
            return result
        if monotonic() >= end:
            raise Late
    raise UsedUp


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keeps out of the terminal that loops ended at their caps."""
    log = logging.getLogger("haltable")
    before, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = before
