# SPDX-License-Identifier: MIT
"""What every way in is given, and what it says in the end.

Nothing of a particular way is known here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import attrs

from haltable import Breaker, Loop, LoopHalted, Report, Status, bounded_loop


class Policy:
    """A loop's arguments, for ways that take a loop and for those that decorate."""

    def __init__(self, *breakers: Breaker, **options: Any) -> None:
        self.loop = Loop(*breakers, **options)
        self.decorate: Callable[[Any], Any] = bounded_loop(*breakers, **options)


@attrs.frozen
class End:
    """How a loop ended, as far as every way can tell."""

    status: Status
    breaker: str = ""
    result: Any = None


def ended(report: Report[Any]) -> End:
    """Returns how a loop ended that gives its report."""
    return End(report.status, report.breaker, report.result)


def carried(call: Callable[[], Any]) -> End:
    """Calls what hides the report; only a success returns, and nothing else is raised."""
    try:
        return End(Status.SUCCEEDED, result=call())
    except LoopHalted as halted:
        return ended(halted.report)


async def acarried(awaitable: Awaitable[Any]) -> End:
    """Awaits what hides the report; only a success returns, and nothing else is raised."""
    try:
        return End(Status.SUCCEEDED, result=await awaitable)
    except LoopHalted as halted:
        return ended(halted.report)
