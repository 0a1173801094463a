# SPDX-License-Identifier: MIT
"""Rows: how long after its limit a body that hangs is judged and let go of.

Seconds from the limit to the moment at which the run has ended, in the main
thread and in a task.  The bodies would go on for as long as one waits.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import anyio

from haltable import Deadline, IterationCap, Loop
from tests.benchmarks.measuring import Figures, Goal, Row, Size

__all__ = ["ROWS"]

LIMIT = 0.2
#: Seconds after which a body lets go that nobody has interrupted.
LONG = 10.0


def spin() -> None:
    """A body that keeps the interpreter busy."""
    end = time.monotonic() + LONG
    while time.monotonic() < end:
        pass


def sleep() -> None:
    """A body that waits in one call."""
    time.sleep(LONG)


async def wait() -> None:
    """A body that awaits what does not come."""
    await anyio.sleep(LONG)


def late(run: Callable[[Loop], object]) -> Callable[[Size], Figures]:
    """Returns the samples: seconds from the limit to the end of the run."""

    def samples(size: Size) -> Figures:
        del size
        loop = Loop(IterationCap(3), Deadline(iteration=LIMIT))
        while True:
            start = time.perf_counter()
            run(loop)
            yield time.perf_counter() - start - LIMIT

    return samples


ROWS = (
    Row(
        "verdict on a hung loop of Python",
        "its limit",
        Goal(0.5),
        late(lambda loop: loop.run(spin)),
        " s",
    ),
    Row("on time.sleep", "its limit", Goal(0.5), late(lambda loop: loop.run(sleep)), " s"),
    Row("on an await", "its limit", Goal(0.5), late(lambda loop: anyio.run(loop.arun, wait)), " s"),
)
