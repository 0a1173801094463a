# SPDX-License-Identifier: MIT
"""Rows: one call of a decorated function that succeeds at once.

Each decorator allows five attempts, retries one type of exception and would
back off; none of that happens, which is what nearly every call is like.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import repeat

import stamina
import tenacity

from haltable import Backoff, ExitCondition, IterationCap, bounded_loop
from haltable.conditions import returned
from tests.benchmarks.measuring import Figures, Goal, Row, Size, paired

__all__ = ["ROWS"]


def fetch(url):
    """Succeeds at the first attempt."""
    return url


bounded = bounded_loop(
    IterationCap(5, max_consecutive_failures=None),
    ExitCondition(success=returned),
    transient=(TimeoutError,),
    delay=Backoff(),
)(fetch)

retried = tenacity.retry(
    stop=tenacity.stop_after_attempt(5),
    retry=tenacity.retry_if_exception_type(TimeoutError),
    wait=tenacity.wait_exponential_jitter(),
)(fetch)

persevered = stamina.retry(on=TimeoutError, attempts=5)(fetch)


def cheaper_than(peer: Callable[[str], str]) -> Callable[[Size], Figures]:
    """Returns the row's samples: how many of our calls one of the peer's costs."""

    def called(function: Callable[[str], str], times: int) -> Callable[[], None]:
        def side() -> None:
            for _ in repeat(None, times):
                function("https://example.org")

        return side

    def samples(size: Size) -> Figures:
        yield from paired(called(peer, size.calls), called(bounded, size.calls))

    return samples


_FIVE_TIMES = Goal(5, at_least=True)

ROWS = (
    Row("tenacity", "one @bounded_loop call", _FIVE_TIMES, cheaper_than(retried)),
    Row("stamina", "one @bounded_loop call", _FIVE_TIMES, cheaper_than(persevered)),
)
