# SPDX-License-Identifier: MIT
"""Rows: does a loop grow old?  Its millionth iteration beside its thousandth.

Time is taken by the body itself, an iterator that looks at the clock on the way
and costs the same at every other place.
"""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable, Iterator
from itertools import chain, repeat

from haltable import Loop, MemoryStore
from tests.benchmarks.measuring import Figures, Goal, Row, Size
from tests.benchmarks.subjects import four

__all__ = ["ROWS"]


def thousandth(iterations: int) -> int:
    """Returns where the loop counts as young: at a thousandth of its life."""
    return iterations // 1000


def seconds_early_and_late(
    run: Callable[[Callable[[], object]], object], iterations: int
) -> tuple[float, float]:
    """Returns the seconds of one stretch of iterations near the start, and of one at the end."""
    marks: list[float] = []

    def look() -> Iterator[None]:
        marks.append(time.perf_counter())
        yield None

    start, stretch = thousandth(iterations), iterations // 50
    between = iterations - 2 * stretch - start - 4
    passing = chain(
        repeat(None, start),
        look(),
        repeat(None, stretch),
        look(),
        repeat(None, between),
        look(),
        repeat(None, stretch),
        look(),
    )
    run(passing.__next__)
    return marks[1] - marks[0], marks[3] - marks[2]


def slower_when_old(size: Size) -> Figures:
    """Yields the time of a late iteration over the time of an early one."""
    loop = Loop(*four(size.endurance))
    while True:
        early, late = seconds_early_and_late(loop.run, size.endurance)
        yield late / early


def slower_when_old_with_key(size: Size) -> Figures:
    """Yields the same of a loop that writes every iteration down, in memory."""
    iterations = size.endurance // 20
    while True:
        loop = Loop(*four(iterations), key="old", store=MemoryStore())
        early, late = seconds_early_and_late(loop.run, iterations)
        yield late / early


def growth(size: Size) -> Figures:
    """Yields once how many KiB more are held at the end than near the start."""
    held: list[int] = []
    marks = (thousandth(size.endurance), size.endurance)

    def body(iteration):
        if iteration.number in marks:
            held.append(tracemalloc.get_traced_memory()[0])

    loop = Loop(*four(size.endurance))
    tracemalloc.start()
    try:
        loop.run(body)
    finally:
        tracemalloc.stop()
    yield (held[1] - held[0]) / 1024


ROWS = (
    Row("millionth iteration", "the thousandth", Goal(1.1), slower_when_old),
    Row("50,000th keyed iteration", "the fiftieth", Goal(1.1), slower_when_old_with_key),
    Row("memory at the millionth", "at the thousandth", Goal(16), growth, " KiB"),
)
