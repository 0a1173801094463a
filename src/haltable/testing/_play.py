# SPDX-License-Identifier: MIT
"""Plays a list of outcomes through a real loop, for tests of breakers.

It uses the public `haltable.Loop` and a clock of its own, so that what a
breaker decides here is what it decides elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeGuard

import attrs

from haltable.backoff import Backoff
from haltable.breaker import Breaker
from haltable.errors import ConfigurationError
from haltable.iteration import Iteration
from haltable.loop import Loop
from haltable.model import Status, Trip
from haltable.report import Report
from haltable.run import Run
from haltable.stores.memory import MemoryStore
from haltable.testing.fake_clock import FakeClock

__all__ = ["play"]

_NAME = "play"


def play(
    breakers: Breaker | Iterable[Breaker],
    outcomes: Iterable[object],
    *restarts: Iterable[object],
    seconds: float = 1.0,
    delay: float | Backoff = 0,
    transient: type[Exception] | tuple[type[Exception], ...] = (),
    fatal: type[Exception] | tuple[type[Exception], ...] = (),
) -> Report[Any]:
    """Plays outcomes through a loop with these breakers, and returns its report.

    Each outcome is one iteration.  An exception, or a type of exception, is
    raised by the body; anything else is what the body returned.  When all are
    played and no breaker has spoken, the report says so: its status is
    `Status.OPEN` and its breaker ``"play"``.  So the breakers under test need
    not bound the loop.

    Args:
        breakers: the breaker under test, or several.
        outcomes: how the iterations end, one after the other.
        restarts: more lists of outcomes; each is played by a new run of the
            same key, as after a restart of the process: what a breaker
            remembers comes back, and nothing else does.
        seconds: how long each body takes, on a clock of the play's own.
        delay: as in `haltable.Loop`; its waits take no time.
        transient: as in `haltable.Loop`.
        fatal: as in `haltable.Loop`.

    Returns:
        The report of the run in which the loop ended.

    Raises:
        ConfigurationError: if the loop is put together wrongly, or an outcome
            is an exception that is no `Exception`.

    Example:
        >>> import attrs
        >>> from haltable import Breaker, Trip, remembered
        >>> from haltable.testing import play
        >>> @attrs.define
        ... class CostCap(Breaker):
        ...     limit: float
        ...     spent: float = remembered(default=0.0)
        ...     def after(self, iteration):
        ...         self.spent += iteration.result or 0.0
        ...         if self.spent > self.limit:
        ...             return Trip(f"spent {self.spent:.2f} of {self.limit:.2f}")
        >>> report = play(CostCap(5.0), [2.0, 4.0, 8.0])
        >>> report.status, report.starts, report.reason
        (<Status.TRIPPED: 'tripped'>, 2, 'spent 6.00 of 5.00')
        >>> play(CostCap(5.0), [2.0, ValueError("no answer")]).breaker
        'play'
        >>> play(CostCap(5.0), [2.0], [4.0]).reason  # restarted after the first
        'spent 6.00 of 5.00'
    """
    runs = [[_checked(outcome) for outcome in played] for played in (outcomes, *restarts)]
    given = (breakers,) if isinstance(breakers, Breaker) else tuple(breakers)
    clock = FakeClock()
    clock.advance(seconds)  # Refuses here what would be a body's failure later.
    loop = Loop(
        *given,
        _AllPlayed(sum(map(len, runs)), name=_NAME),
        key=_NAME if restarts else None,
        store=MemoryStore() if restarts else None,
        name=_NAME,
        delay=delay,
        transient=transient,
        fatal=fatal,
        clock=clock,
    )
    for played in runs[:-1]:
        run = loop.start()
        report = run.run(_Body(played, clock, seconds, restarted=run)) if played else None
        if report is not None and report.status.terminal:
            return report
    report = loop.run(_Body(runs[-1], clock, seconds))
    if report.breaker == _NAME and report.status is Status.TRIPPED:
        return attrs.evolve(report, status=Status.OPEN)
    return report


class _Body:
    """Ends each iteration as the next outcome says.

    Args:
        outcomes: of the run.
        clock: moved on in each iteration.
        seconds: by how much.
        restarted: the run, if it shall leave its key open after the last outcome.
    """

    def __init__(
        self,
        outcomes: list[object],
        clock: FakeClock,
        seconds: float,
        restarted: Run | None = None,
    ) -> None:
        self._left = outcomes[::-1]
        self._clock = clock
        self._seconds = seconds
        self._restarted = restarted

    def __call__(self) -> object:
        self._clock.advance(self._seconds)
        outcome = self._left.pop()
        if self._restarted is not None and not self._left:
            self._restarted.stop("the process is restarted")
        if isinstance(outcome, BaseException) or _is_exception_type(outcome):
            raise outcome
        return outcome


@attrs.define(eq=False)
class _AllPlayed(Breaker):
    """Bounds a play by the number of its outcomes."""

    outcomes: int

    @property
    def bounds(self) -> bool:
        return True

    def before(self, iteration: Iteration) -> Trip | None:
        if iteration.starts <= self.outcomes:
            return None
        return Trip(f"all {self.outcomes} outcomes were played, and no breaker ended the loop")


def _checked(outcome: object) -> object:
    raised = outcome if isinstance(outcome, type) else type(outcome)
    if issubclass(raised, BaseException) and not issubclass(raised, Exception):
        raise ConfigurationError(
            f"play: {outcome!r} is no Exception, so it is never an iteration's outcome"
        )
    return outcome


def _is_exception_type(outcome: object) -> TypeGuard[type[Exception]]:
    return isinstance(outcome, type) and issubclass(outcome, Exception)
