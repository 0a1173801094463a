# SPDX-License-Identifier: MIT
"""What the body and the breakers see of one iteration.

An iteration is a snapshot of numbers with a few verbs.  The verbs are carried
out by whoever runs it, behind the `Verbs` contract: this room knows no run, no
store and no clock, and hands out nothing through which a body could count
itself back.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, Protocol

from typing_extensions import Self

from haltable.errors import ConfigurationError
from haltable.model import Done, GiveUp, Outcome

__all__ = ["Iteration", "Verbs"]


class Verbs(Protocol):
    """What an iteration asks of the run that it belongs to."""

    def claim(self, iteration: Iteration, claim: Done | GiveUp, value: object) -> None:
        """Notes what the body says of itself."""
        ...

    def check(self, iteration: Iteration) -> None:
        """Raises `haltable.LoopInterrupt` if the run has ended or was asked to stop."""
        ...

    def enter(self, iteration: Iteration) -> None:
        """Begins a ``with iteration:`` block."""
        ...

    def leave(self, iteration: Iteration, error: BaseException | None) -> bool:
        """Ends a ``with iteration:`` block; returns whether the exception became an outcome."""
        ...


class Iteration:
    """One pass of the loop, as the body and the breakers' hooks see it.

    Attributes:
        number: 1 for the first iteration of this run.
        starts: starts of the key in this epoch, this one included; equal to
            ``number`` for a loop without a key.
        key: the loop's key, None without one.
        fence: the store's version of the start's record, a number that only
            grows for a key: hand it to an outside system that can refuse an
            older one.  0 without a key.
        warnings: what breakers warned of so far, oldest first.
        elapsed: seconds for which the loop was alive when this was made,
            summed over runs on a keyed loop.
        failures: failed iterations of this epoch, before this one has ended.
        failures_in_row: how many of them are the most recent ones.
        extension: starts that an operator added to the cap.
        outcome: how it ended; None while it runs.
        result: what the body returned, once it has.
        error: the exception that left the body, once one has.
    """

    __slots__ = (
        "_limit",
        "_verbs",
        "elapsed",
        "error",
        "extension",
        "failures",
        "failures_in_row",
        "fence",
        "key",
        "number",
        "outcome",
        "result",
        "starts",
        "warnings",
    )

    number: int
    starts: int
    key: str | None
    fence: int
    warnings: tuple[str, ...]
    elapsed: float
    failures: int
    failures_in_row: int
    extension: int
    outcome: Outcome | None
    result: Any
    error: BaseException | None

    # Positional: this is made in the hot path of bodies that take `iteration`.
    def __init__(
        self,
        verbs: Verbs | None,
        number: int,
        starts: int,
        limit: int | None,
        key: str | None,
        fence: int,
        warnings: tuple[str, ...],
        elapsed: float,
        failures: int,
        failures_in_row: int,
        extension: int,
    ) -> None:
        self._verbs = verbs
        self.number = number
        self.starts = starts
        self._limit = limit
        self.key = key
        self.fence = fence
        self.warnings = warnings
        self.elapsed = elapsed
        self.failures = failures
        self.failures_in_row = failures_in_row
        self.extension = extension
        self.outcome = None
        self.result = None
        self.error = None

    @property
    def remaining(self) -> int | None:
        """How many more iterations may start after this one; None if only time bounds the loop."""
        return None if self._limit is None else max(0, self._limit - self.starts)

    def done(self, value: object = None) -> None:
        """Claims that the loop has succeeded, with ``value`` as its result.

        With an `ExitCondition` that names a success the claim counts only if
        that holds too; without one it decides.  The body is not interrupted.

        Args:
            value: the result of the run; the body's own result is used if None.

        Raises:
            LoopInterrupt: if the run has ended already.
        """
        self._port().claim(self, Done("the body says it is done"), value)

    def give_up(self, why: str) -> None:
        """Ends the loop after this iteration: it cannot succeed any more.

        Args:
            why: the reason, for the receipt.

        Raises:
            LoopInterrupt: if the run has ended already.
        """
        if not isinstance(why, str) or not why:
            raise ConfigurationError(f"give_up(why={why!r}): say why in a non-empty string")
        self._port().claim(self, GiveUp(why), None)

    def check(self) -> None:
        """Asks whether the loop may go on; a long body calls it at its own pace.

        Raises:
            LoopInterrupt: if the run has ended or somebody asked it to stop.
        """
        self._port().check(self)

    def __enter__(self) -> Self:
        self._port().enter(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        return self._port().leave(self, error)

    def __repr__(self) -> str:
        ended = "" if self.outcome is None else f" {self.outcome}"
        return f"<Iteration {self.number}{ended}>"

    def _port(self) -> Verbs:
        if self._verbs is None:
            raise ConfigurationError(f"{self!r} belongs to no run, so it has no verbs")
        return self._verbs
