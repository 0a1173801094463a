# SPDX-License-Identifier: MIT
"""One iteration by itself, for unit tests of a breaker's hooks.

It belongs to no run: it has numbers and no verbs.
"""

from __future__ import annotations

from collections.abc import Iterable

from haltable.errors import ConfigurationError
from haltable.facts import Facts
from haltable.iteration import Iteration
from haltable.model import Outcome
from haltable.quantity import is_number, shown

__all__ = ["iteration"]

_FAILURES = (Outcome.FAILED, Outcome.CRASHED)


def iteration(
    *,
    number: int = 1,
    starts: int | None = None,
    key: str | None = None,
    fence: int = 0,
    warnings: Iterable[str] = (),
    elapsed: float = 0.0,
    failures: int | None = None,
    failures_in_row: int | None = None,
    extension: int = 0,
    limit: int | None = None,
    outcome: Outcome | None = None,
    result: object = None,
    error: BaseException | None = None,
) -> Iteration:
    """Returns an iteration with these numbers, to call a breaker's hooks with.

    Args:
        number: of the iteration in its run, from 1.
        starts: of the key in this epoch, this one included; ``number`` by default.
        key: the loop's key.
        fence: the version of the start's record.
        warnings: what breakers warned of so far.
        elapsed: seconds for which the loop was alive.
        failures: failed iterations, this one included once it has ended; as
            many as in a row by default.
        failures_in_row: how many of them are the most recent ones; 1 by default
            if this one failed, 0 if not.
        extension: starts that an operator added to the cap.
        limit: how many starts are allowed in all, for ``remaining``.
        outcome: how it ended; by default failed with an ``error``, returned
            with a ``result``, and still running (None) without both.
        result: what the body returned.
        error: the exception that left the body.

    Raises:
        ConfigurationError: if no iteration of any loop has such numbers.

    Example:
        >>> from haltable import IterationCap
        >>> from haltable.testing import iteration
        >>> IterationCap(5).before(iteration(number=5))
        >>> IterationCap(5).before(iteration(number=6))
        Trip(reason='all 5 starts are used')
    """
    starts = number if starts is None else starts
    outcome = _outcome(outcome, result, error)
    if failures_in_row is None:
        failures_in_row = 1 if outcome in _FAILURES else 0
    if failures is None:
        failures = failures_in_row
    if not 1 <= number <= starts:
        raise ConfigurationError(
            f"iteration(number={number!r}, starts={starts!r}): numbers begin at 1, "
            "and a key never has fewer starts than one run of it"
        )
    if not 0 <= failures_in_row <= failures <= starts:
        raise ConfigurationError(
            f"iteration(failures={failures!r}, failures_in_row={failures_in_row!r}, "
            f"starts={starts!r}): failures are some of the starts, those in a row some of them"
        )
    if not is_number(elapsed) or elapsed < 0:
        raise ConfigurationError(
            f"iteration(elapsed={shown(elapsed)}): give 0 or more seconds, finite"
        )
    facts = Facts(
        base=starts - number,
        limit=limit,
        key=key,
        fence=fence,
        warnings=tuple(warnings),
        origin=0.0,
        failures=failures,
        failures_in_row=failures_in_row,
        extension=extension,
        outcome=outcome,
        result=None if outcome is None else result,
        error=None if outcome is None else error,
    )
    return Iteration(None, facts, starts, elapsed)


def _outcome(
    outcome: Outcome | None, result: object, error: BaseException | None
) -> Outcome | None:
    if error is not None and result is not None:
        raise ConfigurationError("iteration(result=..., error=...): a body does one or the other")
    if outcome is not None:
        return outcome
    if error is not None:
        return Outcome.FAILED
    return None if result is None else Outcome.RETURNED
