# SPDX-License-Identifier: MIT
"""The loop: a frozen policy over breakers, and every way into it.

It checks how it was put together once, and holds no run's state: one loop may
be shared by any number of threads and tasks.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any, NoReturn, TypeVar

import attrs

from haltable._call import Call
from haltable._policy import check_breakers, check_exceptions, check_key, check_seconds, check_store
from haltable._state import Settings
from haltable.backoff import Backoff, as_delay
from haltable.breaker import Breaker
from haltable.clock import Clock, SystemClock
from haltable.errors import ConfigurationError
from haltable.iteration import Iteration
from haltable.plan import Plan
from haltable.report import Report
from haltable.run import Run
from haltable.sink import Sink
from haltable.store import AnyStore

__all__ = ["Loop"]

T = TypeVar("T")
_SYSTEM_CLOCK = SystemClock()


class Loop:
    """A loop's policy: which breakers bound it, and how it is run.

    Args:
        breakers: what decides; at least one must bound the loop.
        key: names the loop in the store, so that its counts survive restarts;
            or a function of the body's arguments that returns the name.
        store: where the counts are kept; a key needs one.
        name: what receipts call a loop without a key.
        delay: seconds between two iterations, or a `Backoff`.
        transient: exception types that are no failures; they feed the back-off.
        fatal: exception types that end the loop at once, `Status.GAVE_UP`.
        lease: seconds for which a run holds its key without a word.
        max_hold: seconds after which a run that gave no sign of life is no
            longer renewed; None for no such limit.
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

    __slots__ = ("_key", "_options", "_settings")

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
        self._init(
            Settings(
                plan=plan,
                name="loop" if name is None else name,
                store=sync_store,
                async_store=async_store,
                sinks=_check_sinks(sinks),
                clock=_SYSTEM_CLOCK if clock is None else clock,
                own_clock=clock is not None,
                lease=check_seconds("lease", lease),
                max_hold=None if max_hold is None else check_seconds("max_hold", max_hold),
                grace=check_seconds("grace", grace),
            ),
            key,
        )

    def _init(self, settings: Settings, key: str | Callable[..., str] | None) -> None:
        object.__setattr__(self, "_settings", settings)
        object.__setattr__(self, "_key", key)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a Loop is frozen; use with_({name}=...) for a changed copy")

    # Ways in ----------------------------------------------------------------------

    def run(self, body: Callable[..., Any], *args: Any, **kwargs: Any) -> Report[Any]:
        """Runs the body until a breaker ends the loop."""
        return self.start_for(args, kwargs).run(body, *args, **kwargs)

    def step(self, body: Callable[..., Any], *args: Any, **kwargs: Any) -> Report[Any]:
        """Runs one iteration of a keyed loop and gives the key back; never sleeps."""
        return self.start_for(args, kwargs).step_once(Call.of(body, args, kwargs, awaited=False))

    async def arun(self, body: Callable[..., Awaitable[Any]], *args: Any, **kwargs: Any) -> Report[Any]:
        """Runs an async body until a breaker ends the loop, on asyncio or trio."""
        return await self.start_for(args, kwargs).arun(body, *args, **kwargs)

    async def astep(self, body: Callable[..., Awaitable[Any]], *args: Any, **kwargs: Any) -> Report[Any]:
        """Runs one iteration of a keyed loop with an async body; the twin of `step`."""
        call = Call.of(body, args, kwargs, awaited=True)
        return await self.start_for(args, kwargs).astep_once(call)

    def start(self) -> Run:
        """Returns the handle of a new run."""
        if callable(self._key):
            raise ConfigurationError(
                "start(): key= is a function of the body's arguments; use with_(key=...) first"
            )
        return Run(self._settings, self._key)

    def start_for(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Run:
        """Returns the handle of a new run, its key made from the body's arguments."""
        key = self._key
        if callable(key):
            key = key(*args, **kwargs)
            check_key(key, self._settings.store or self._settings.async_store)
        return Run(self._settings, key)

    def __iter__(self) -> Iterator[Iteration]:
        """Iterates a fresh run; see `Run.__iter__`."""
        return iter(self.start())


def _check_sinks(sinks: Iterable[Sink]) -> tuple[Sink, ...]:
    found = tuple(sinks)
    for sink in found:
        if not callable(sink):
            raise ConfigurationError(f"sinks={sink!r}: a sink is a callable that takes an event")
    return found
