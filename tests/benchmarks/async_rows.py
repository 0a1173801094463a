# SPDX-License-Identifier: MIT
"""Rows: an asynchronous iteration under all four breakers, without a key.

The body never awaits anything that waits, which is the hard case: a loop by
hand would keep the event loop to itself until it ends, ours must let others in.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from time import monotonic
from typing import Any

from haltable import Loop
from tests.benchmarks.measuring import Figures, Goal, Row, Size, paired
from tests.benchmarks.subjects import UsedUp, abody, abody_taking, by_hand_async, four, holds

__all__ = ["ROWS"]

#: Milliseconds for which another task may have to wait.
PATIENCE = 50


def beside_hand(work: Callable[..., Any]) -> Callable[[Size], Figures]:
    """Returns the row's samples for a body."""

    def samples(size: Size) -> Figures:
        loop = Loop(*four(size.iterations))

        async def hand() -> None:
            with contextlib.suppress(UsedUp):
                await by_hand_async(abody, size.iterations, 3600, holds)

        with asyncio.Runner() as runner:
            yield from paired(lambda: runner.run(loop.arun(work)), lambda: runner.run(hand()))

    return samples


async def longest_gap(iterations: int) -> float:
    """Returns for how many milliseconds another task had to wait at most."""
    longest = 0.0

    async def other() -> None:
        nonlocal longest
        last = monotonic()
        while True:
            await asyncio.sleep(0)
            moment = monotonic()
            longest, last = max(longest, moment - last), moment

    task = asyncio.create_task(other())
    await asyncio.sleep(0)
    await Loop(*four(iterations)).arun(abody)
    await asyncio.sleep(0)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    return longest * 1000


def gaps(size: Size) -> Figures:
    """Yields the longest gap of a loop that lasts for many breaths."""
    with asyncio.Runner() as runner:
        while True:
            yield runner.run(longest_gap(10 * size.iterations))


ROWS = (
    Row("async iteration, four breakers", "by hand, six lines", Goal(3.5), beside_hand(abody)),
    Row("the same, taking `iteration`", "by hand, six lines", Goal(4.5), beside_hand(abody_taking)),
    Row("another task's longest wait", "a body that never awaits", Goal(PATIENCE), gaps, " ms"),
)
