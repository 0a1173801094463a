# SPDX-License-Identifier: MIT
"""Rows: a synchronous iteration under all four breakers, without a key.

Beside the loop written by hand, and beside one call through the single breaker
of the cheapest peer.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from itertools import repeat

from circuitbreaker import circuit

from haltable import Loop
from tests.benchmarks.measuring import Figures, Goal, Row, Size, paired
from tests.benchmarks.subjects import UsedUp, body, body_taking, by_hand, four, holds

__all__ = ["ROWS"]


def beside_hand(work: Callable[..., object]) -> Callable[[Size], Figures]:
    """Returns the row's samples for a body."""

    def samples(size: Size) -> Figures:
        loop = Loop(*four(size.iterations))

        def hand() -> None:
            with contextlib.suppress(UsedUp):
                by_hand(body, size.iterations, 3600, holds)

        yield from paired(lambda: loop.run(work), hand)

    return samples


def beside_peer(size: Size) -> Figures:
    """Yields our whole iteration over one call through a circuit breaker."""
    loop, guarded = Loop(*four(size.iterations)), circuit(body)

    def peer() -> None:
        for _ in repeat(None, size.iterations):
            guarded()

    yield from paired(lambda: loop.run(body), peer)


ROWS = (
    Row("sync iteration, four breakers", "by hand, six lines", Goal(3.5), beside_hand(body)),
    Row("the same, taking `iteration`", "by hand, six lines", Goal(4.5), beside_hand(body_taking)),
    Row("sync iteration, four breakers", "one call, circuitbreaker", Goal(1), beside_peer),
)
