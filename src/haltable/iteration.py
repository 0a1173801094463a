# SPDX-License-Identifier: MIT
"""What the body and the breakers see of one iteration.

An iteration is a snapshot of numbers with a few verbs.  The verbs are carried
out by whoever runs it, behind the `Verbs` contract: this room knows no run, no
store and no clock, and hands out nothing through which a body could count
itself back.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, ParamSpec, Protocol, Self, TypeAlias, TypeVar, overload

from haltable.errors import ConfigurationError, shorten
from haltable.facts import Facts
from haltable.model import Done, GiveUp, Outcome
from haltable.payload import ABSENT

__all__ = ["Given", "Iteration", "Port", "Verbs"]

P = ParamSpec("P")
R = TypeVar("R")


#: An effect's positional arguments, its keyword arguments, and its payload.
Given: TypeAlias = tuple[tuple[Any, ...], dict[str, Any], object]


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

    def once(self, iteration: Iteration, key: str, fn: Callable[..., Any], given: Given) -> Any:
        """Carries out an effect."""
        ...

    async def aonce(
        self, iteration: Iteration, key: str, fn: Callable[..., Any], given: Given
    ) -> Any:
        """Carries out an async effect."""
        ...


class Port:
    """A run's verbs and nothing else: no attribute of it leads to what counts."""

    __slots__ = ("_verbs",)

    def __init__(self, verbs: Verbs) -> None:
        # A function shows nobody by its attributes what it returns.
        self._verbs: Callable[[], Verbs] = lambda: verbs

    def claim(self, iteration: Iteration, claim: Done | GiveUp, value: object) -> None:
        """Notes what the body says of itself."""
        self._verbs().claim(iteration, claim, value)

    def check(self, iteration: Iteration) -> None:
        """Raises if the run has ended or was asked to stop."""
        self._verbs().check(iteration)

    def enter(self, iteration: Iteration) -> None:
        """Begins a block."""
        self._verbs().enter(iteration)

    def leave(self, iteration: Iteration, error: BaseException | None) -> bool:
        """Ends a block; returns whether the exception became an outcome."""
        return self._verbs().leave(iteration, error)

    def once(self, iteration: Iteration, key: str, fn: Callable[..., Any], given: Given) -> Any:
        """Carries out an effect."""
        return self._verbs().once(iteration, key, fn, given)

    async def aonce(
        self, iteration: Iteration, key: str, fn: Callable[..., Any], given: Given
    ) -> Any:
        """Carries out an async effect."""
        return await self._verbs().aonce(iteration, key, fn, given)


class Iteration:
    """One pass of the loop, as the body and the breakers' hooks see it.

    Attributes:
        starts: starts of the key in this epoch, this one included; equal to
            ``number`` for a loop without a key.
    """

    __slots__ = ("_at", "_facts", "_verbs", "starts")

    starts: int

    # Made in a hot path: positional, and what several have in common comes as one.
    def __init__(self, verbs: Verbs | None, facts: Facts, starts: int, at: float) -> None:
        self._verbs = verbs
        self._facts = facts
        self.starts = starts
        self._at = at

    @property
    def outcome(self) -> Outcome | None:
        """How it ended; None while it runs."""
        return self._facts.outcome

    @property
    def result(self) -> Any:
        """What the body returned, once it has."""
        return self._facts.result

    @property
    def error(self) -> BaseException | None:
        """The exception that left the body, once one has."""
        return self._facts.error

    @property
    def number(self) -> int:
        """1 for the first iteration of this run."""
        return self.starts - self._facts.base

    @property
    def key(self) -> str | None:
        """The loop's key, None without one."""
        return self._facts.key

    @property
    def fence(self) -> int:
        """The store's version of this start's record; 0 without a key.

        It only grows: hand it to an outside system that can refuse an older one.
        """
        return self._facts.fence

    @property
    def warnings(self) -> tuple[str, ...]:
        """What breakers warned of so far, oldest first."""
        return self._facts.warnings

    @property
    def elapsed(self) -> float:
        """Seconds for which the loop was alive, summed over runs on a keyed loop."""
        return self._at - self._facts.origin

    @property
    def lasted(self) -> float | None:
        """Seconds that it has taken so far, in `Breaker.during` and `Breaker.after`.

        None where nobody looked at the clock when it began: in a body, and after
        iterations of which the breakers' horizons say that no time need be taken.
        """
        began = self._facts.began
        return None if began is None else self._at - began

    @property
    def failures(self) -> int:
        """Failed iterations of this epoch; this one counts once it has ended."""
        return self._facts.failures

    @property
    def failures_in_row(self) -> int:
        """How many of the failures are the most recent iterations."""
        return self._facts.failures_in_row

    @property
    def effects_ran(self) -> int:
        """How many effects this run has carried out by the end of this iteration."""
        return self._facts.effects_ran

    @property
    def effects_replayed(self) -> int:
        """How many effects this run has replayed, likewise."""
        return self._facts.effects_replayed

    @property
    def extension(self) -> int:
        """Starts that an operator added to the cap."""
        return self._facts.extension

    @property
    def remaining(self) -> int | None:
        """How many more iterations may start after this one; None if only time bounds the loop."""
        limit = self._facts.limit
        return None if limit is None else max(0, limit - self.starts)

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

    @overload
    def once(
        self, key: str, fn: Callable[..., R], *args: Any, payload: object, **kwargs: Any
    ) -> R: ...
    @overload
    def once(self, key: str, fn: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R: ...
    def once(
        self, key: str, fn: Callable[..., Any], *args: Any, payload: object = ABSENT, **kwargs: Any
    ) -> Any:
        """Carries out an effect at most once; see `haltable.IdempotencyGuard.once`.

        Needs an `haltable.IdempotencyGuard` in the loop.

        Raises:
            LoopInterrupt: if the run has ended already.
            ConfigurationError: if the loop has no guard, or there is no store.
        """
        try:
            return self._port().once(self, key, fn, (args, kwargs, payload))
        except BaseException as error:
            shorten(error)
            raise

    @overload
    async def aonce(
        self, key: str, fn: Callable[..., Awaitable[R]], *args: Any, payload: object, **kwargs: Any
    ) -> R: ...
    @overload
    async def aonce(
        self, key: str, fn: Callable[P, Awaitable[R]], *args: P.args, **kwargs: P.kwargs
    ) -> R: ...
    async def aonce(
        self, key: str, fn: Callable[..., Any], *args: Any, payload: object = ABSENT, **kwargs: Any
    ) -> Any:
        """Carries out an async effect at most once; the twin of `once`."""
        try:
            return await self._port().aonce(self, key, fn, (args, kwargs, payload))
        except BaseException as error:
            shorten(error)
            raise

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

    def end(self, facts: Facts, at: float) -> None:
        """Notes how it ended; the kernel's verb, which changes nothing but this view."""
        self._facts = facts
        self._at = at

    def _port(self) -> Verbs:
        if self._verbs is None:
            raise ConfigurationError(f"{self!r} belongs to no run, so it has no verbs")
        return self._verbs
