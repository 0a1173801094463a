# SPDX-License-Identifier: MIT
"""What a row of the table is, and how it is measured: in turns, many times.

It knows time and numbers, and nothing of haltable.  A shared machine is slow for
a while and then fast again, so only ratios of two neighbouring samples are
kept, each is the best of a few short turns, because what interrupts a turn only
ever makes it longer, and each row takes one sample a round: a bad second spoils
one number of every row instead of every number of one.
"""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import TypeAlias

import attrs

__all__ = ["Figures", "Goal", "Row", "Size", "Spread", "measured", "paired", "ratios"]

#: How often both sides have their turn for one figure.
TURNS = 5
#: What a row's samples are: one figure a round, closed when nobody asks any more.
Figures: TypeAlias = Generator[float, None, None]


@attrs.frozen
class Size:
    """How much of everything one sample does.

    Args:
        rounds: samples of each row.
        iterations: of loops that write nothing.
        calls: of decorated functions.
        writes: of keyed loops.
        synced: of keyed loops whose every write waits for the disk, or for a server.
        tasks: through a poller, one attempt each.
        endurance: iterations of the loop that must not grow old.
        files: that evidence looks at.
    """

    rounds: int = 15
    iterations: int = 10_000
    calls: int = 1_000
    writes: int = 1_000
    synced: int = 200
    tasks: int = 1_000
    endurance: int = 1_000_000
    files: int = 10_000


@attrs.frozen
class Goal:
    """What a row's figure shall be.

    Args:
        limit: the figure itself.
        at_least: whether more is better.
    """

    limit: float
    at_least: bool = False

    def is_met(self, figure: float) -> bool:
        """Says whether a figure is as good as the goal, or better."""
        return figure >= self.limit if self.at_least else figure <= self.limit


@attrs.frozen
class Row:
    """One line of the table.

    Args:
        what: what is measured.
        beside: what it is compared with.
        goal: what the figure shall be; None for a row that only informs.
        samples: yields one figure a round, for as long as it is asked; a row
            that ends earlier has nothing more to say.
        unit: what stands behind the figure.
    """

    what: str
    beside: str
    goal: Goal | None
    samples: Callable[[Size], Figures]
    unit: str = "x"


@attrs.frozen
class Spread:
    """Some figures: the one in their middle, and the two at their ends."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, figures: Iterable[float]) -> Spread:
        """Returns the spread of some figures."""
        known = sorted(figures)
        return cls(statistics.median(known), known[0], known[-1])


def paired(
    ours: Callable[[], object],
    theirs: Callable[[], object],
    *,
    now: Callable[[], float] = time.perf_counter,
) -> Figures:
    """Yields how many times as long as theirs ours takes; see `ratios`."""

    def seconds(side: Callable[[], object]) -> Callable[[], float]:
        def timed() -> float:
            start = now()
            side()
            return now() - start

        return timed

    yield from ratios(seconds(ours), seconds(theirs))


def ratios(ours: Callable[[], float], theirs: Callable[[], float]) -> Figures:
    """Yields our figure over theirs, for ever, of sides that measure themselves.

    Each is the best of `TURNS` turns, which both take in turns.  Before the first
    each has one that does not count.
    """
    ours()
    theirs()
    while True:
        pairs = [(ours(), theirs()) for _ in range(TURNS)]
        yield min(mine for mine, _ in pairs) / min(other for _, other in pairs)


def measured(rows: Iterable[Row], size: Size) -> Iterator[tuple[Row, Spread]]:
    """Measures the rows in rounds and yields each with its figures."""
    known = tuple(rows)
    figures: list[list[float]] = [[] for _ in known]
    with contextlib.ExitStack() as stack:
        running = [stack.enter_context(contextlib.closing(row.samples(size))) for row in known]
        for _ in range(size.rounds):
            for samples, found in zip(running, figures, strict=True):
                figure = next(samples, None)
                if figure is not None:
                    found.append(figure)
    for row, found in zip(known, figures, strict=True):
        yield row, Spread.of(found)
