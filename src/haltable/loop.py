# SPDX-License-Identifier: MIT
"""The loop: a frozen policy over breakers, and every way into it.

It is checked once and holds no run's state, so any number of threads and tasks may share it.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from typing import Any, Concatenate, ParamSpec, Self, TypeVar, cast, overload

from haltable._call import Call
from haltable._fields import Effects, Settings
from haltable._over import AsyncOver, Over
from haltable._policy import (
    check_breakers,
    check_clock,
    check_exceptions,
    check_key,
    check_sinks,
    check_store,
)
from haltable.backoff import Backoff, as_delay
from haltable.breaker import Breaker
from haltable.clock import Clock, SystemClock
from haltable.errors import ConfigurationError
from haltable.iteration import Iteration
from haltable.plan import Plan
from haltable.quantity import check_seconds
from haltable.report import Report
from haltable.run import Run
from haltable.sink import Sink
from haltable.store import AnyStore

__all__ = ["Loop"]

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
_SYSTEM_CLOCK = SystemClock()


class Loop:
    """A loop's policy: which breakers bound it, and how it is run.

    Args:
        breakers: what decides; at least one must bound the loop.
        key: names the loop in the store, so that counts survive restarts; or a
            function of the body's arguments that returns the name.
        store: where the counts are kept; a key needs one.
        name: what receipts call a loop without a key.
        delay: seconds between two iterations, or a `Backoff`.
        transient: exception types that are no failures.
        fatal: exception types that end the loop at once, `Status.GAVE_UP`.
        lease: seconds for which a run holds its key without a word.
        max_hold: seconds without a sign of life after which none is renewed.
        grace: seconds that a cancelled run still waits for its store.
        sinks: called with each event, beside the log.
        clock: where seconds are read; the monotonic clock by default.

    Raises:
        UnboundedLoopError: if no breaker guarantees an end.
        ConfigurationError: if anything else is put together wrongly.

    Example:
        >>> from haltable import IterationCap, Loop
        >>> report = Loop(IterationCap(3)).run(lambda iteration: iteration.number)
        >>> report.status, report.starts, report.result
        (<Status.TRIPPED: 'tripped'>, 3, 3)
    """

    __slots__ = ("_key", "_settings")
    _key: str | Callable[..., str] | None
    _settings: Settings

    def __init__(
        self,
        *breakers: Breaker,
        key: str | Callable[..., str] | None = None,
        store: AnyStore | None = None,
        name: str | None = None,
        delay: float | Backoff = 0,
        transient: type[Exception] | tuple[type[Exception], ...] = (),
        fatal: type[Exception] | tuple[type[Exception], ...] = (),
        lease: float = 60,
        max_hold: float | None = None,
        grace: float = 1.0,
        sinks: Iterable[Sink] = (),
        clock: Clock | None = None,
    ) -> None:
        check_breakers(breakers)
        check_key(key, store)
        if name is not None and (not isinstance(name, str) or not name):
            raise ConfigurationError(f"name={name!r}: give a non-empty string, or None")
        plan = Plan.of(
            breakers,
            delay=as_delay(delay),
            transient=check_exceptions("transient", transient),
            fatal=check_exceptions("fatal", fatal),
        )
        sync_store, async_store = check_store(store)
        self._key = key
        self._settings = Settings(
            plan=plan,
            name="loop" if name is None else name,
            store=sync_store,
            async_store=async_store,
            sinks=check_sinks(sinks),
            clock=_SYSTEM_CLOCK if clock is None else check_clock(clock),
            own_clock=clock is not None,
            lease=check_seconds("lease", lease),
            max_hold=None if max_hold is None else check_seconds("max_hold", max_hold),
            grace=check_seconds("grace", grace),
            effects=_guarded(breakers, store),
        )

    def __setattr__(self, name: str, value: object) -> None:
        if name not in self.__slots__ or hasattr(self, name):
            raise AttributeError(f"a Loop is frozen: {name} cannot be set")
        object.__setattr__(self, name, value)

    # Ways in ----------------------------------------------------------------------

    @overload
    def run(
        self, body: Callable[Concatenate[Iteration, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> Report[R]: ...
    @overload
    def run(self, body: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Report[R]: ...
    def run(self, body: Callable[..., Any], *args: Any, **kwargs: Any) -> Report[Any]:
        """Runs the body again and again until a breaker ends the loop.

        Args:
            body: does one iteration; it gets ``iteration`` if it has a
                parameter of that name.
            args: handed to the body each time.
            kwargs: likewise.

        Returns:
            The report; ``report.unwrap()`` is the last result.

        Raises:
            LoopBusy: if another run holds the key; nothing ran.
            ConfigurationError: if the body is async or a generator.
        """
        call = Call.of(body, args, kwargs, awaited=False)
        run = self.start_for(args, kwargs)
        run.carry(call)
        return run.report

    @overload
    async def arun(
        self,
        body: Callable[Concatenate[Iteration, P], Awaitable[R]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Report[R]: ...
    @overload
    async def arun(
        self, body: Callable[P, Awaitable[R]], *args: P.args, **kwargs: P.kwargs
    ) -> Report[R]: ...
    async def arun(self, body: Callable[..., Any], *args: Any, **kwargs: Any) -> Report[Any]:
        """Runs an async body, on asyncio or trio; see `run`."""
        call = Call.of(body, args, kwargs, awaited=True)
        run = self.start_for(args, kwargs)
        await run.acarry(call)
        return run.report

    @overload
    def step(
        self, body: Callable[Concatenate[Iteration, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> Report[R]: ...
    @overload
    def step(self, body: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Report[R]: ...
    def step(self, body: Callable[..., Any], *args: Any, **kwargs: Any) -> Report[Any]:
        """Runs one iteration for a daemon, which loops itself, and gives the key back; no sleep.

        Args:
            body: does the iteration; see `run`.
            args: handed to the body.
            kwargs: likewise.

        Returns:
            The report: open if the loop goes on, with ``retry_after`` if it was too early.

        Raises:
            LoopBusy: if another run holds the key; nothing ran.
            ConfigurationError: without a key or a success condition, or for an async body.
        """
        call = Call.of(body, args, kwargs, awaited=False)
        run = self._start_step(args, kwargs)
        run.carry_once(call)
        return run.report

    @overload
    async def astep(
        self,
        body: Callable[Concatenate[Iteration, P], Awaitable[R]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Report[R]: ...
    @overload
    async def astep(
        self, body: Callable[P, Awaitable[R]], *args: P.args, **kwargs: P.kwargs
    ) -> Report[R]: ...
    async def astep(self, body: Callable[..., Any], *args: Any, **kwargs: Any) -> Report[Any]:
        """Runs one iteration of a keyed loop with an async body; see `step`."""
        call = Call.of(body, args, kwargs, awaited=True)
        run = self._start_step(args, kwargs)
        await run.acarry_once(call)
        return run.report

    def start(self) -> Run:
        """Returns the handle of a new run, which begins at its first use.

        Raises:
            ConfigurationError: if ``key=`` is a function of the body's arguments.
        """
        if callable(self._key):
            raise ConfigurationError(
                "start(): key= is a function of the body's arguments; use with_(key=...) first"
            )
        return Run(self._settings, self._key)

    def __iter__(self) -> Iterator[Iteration]:
        """Iterates a fresh run: ``for iteration in loop``; see `Run.__iter__`."""
        return iter(self.start())

    def __aiter__(self) -> AsyncIterator[Iteration]:
        """Iterates a fresh run: ``async for iteration in loop``; see `Run.__aiter__`."""
        return aiter(self.start())

    @overload
    def over(self, items: Iterable[T]) -> Over[T]: ...
    @overload
    def over(self, items: AsyncIterable[T]) -> AsyncOver[T]: ...
    def over(self, items: Iterable[T] | AsyncIterable[T]) -> Over[T] | AsyncOver[T]:
        """Wraps an existing iterable: ``for iteration, item in loop.over(items)``.

        Its end is success.  One that is refused a start is ``pending``.  No cursor is kept.

        Args:
            items: what is iterated; an async iterable for ``async for``.

        Raises:
            ConfigurationError: if it is no iterable.
            LoopHalted: while iterating, if the loop ends before the items do.
        """
        if isinstance(items, AsyncIterable):
            return AsyncOver(self.start(), items)
        if not isinstance(items, Iterable):
            raise ConfigurationError(f"over(items={items!r}): give an iterable")
        return Over(self.start(), items)

    def with_(self, *, key: str | Callable[..., str]) -> Self:
        """Returns a cheap copy with another key.

        Args:
            key: as for the loop.

        Raises:
            ConfigurationError: if the key is none, or the loop has no store.
        """
        settings = self._settings
        if cast("object", key) is None:
            raise ConfigurationError("with_(key=None): give a non-empty string, or a function")
        check_key(key, settings.store or settings.async_store)
        copy = object.__new__(type(self))
        copy._key, copy._settings = key, settings
        return copy

    # For the house ------------------------------------------------------------------

    def start_for(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Run:
        """Returns the handle of a new run, its key made from the body's arguments."""
        key = self._key
        if key is None or not callable(key):
            return Run(self._settings, key)
        made: object = key(*args, **kwargs)
        if not isinstance(made, str):
            raise ConfigurationError(f"key= returned {made!r}: it must return a non-empty string")
        return self.start_as(made)

    def start_as(self, key: str) -> Run:
        """Returns the handle of a new run of another key; see `with_`."""
        settings = self._settings
        check_key(key, settings.store or settings.async_store)
        return Run(settings, key)

    @property
    def guards_bodies(self) -> bool:
        """Whether a guard takes each whole iteration for an effect."""
        return self._settings.effects is not None and self._settings.effects.key is not None

    def demand_success_condition(self, where: str) -> None:
        """Raises `ConfigurationError` unless a breaker judges success."""
        if not self._settings.plan.judges_success:
            raise ConfigurationError(
                f"{where}: say what success is: ExitCondition(success=returned) to call it until "
                "it returns, success=never to repeat it; both are in haltable.conditions"
            )

    def _start_step(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Run:
        if self._key is None:
            raise ConfigurationError("step(): a step belongs to a key; give key= and store=")
        self.demand_success_condition("step()")
        return self.start_for(args, kwargs)

    def __repr__(self) -> str:
        names = [breaker.name for breaker in self._settings.plan.breakers]
        return f"<Loop {', '.join(names)}{'' if self._key is None else f' key={self._key!r}'}>"


def _guarded(breakers: tuple[Breaker, ...], store: AnyStore | None) -> Effects | None:
    if "haltable.guard" not in sys.modules:
        return None  # Whoever has a guard has loaded it; nobody else waits for that.
    from haltable.guard import effects_of

    return effects_of(breakers, store)
