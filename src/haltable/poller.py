# SPDX-License-Identifier: MIT
"""The poller: asks a source for tasks again and again, and makes one attempt at a time of each.

It adds to `Loop.step` what every daemon writes around it: the interval, the
limit on attempts at once, the memory of what need not be asked again, and an
end.  It keeps no queue of its own and knows nothing of what a task is.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from haltable._call import is_async, is_generator
from haltable._policy import check_clock
from haltable._polling import Plan, Polling, no_promise
from haltable._tasks import calling, takes_skip
from haltable.backoff import Backoff
from haltable.breakers.exit_condition import ExitCondition
from haltable.breakers.iteration_cap import IterationCap
from haltable.clock import Clock
from haltable.conditions import never, returned
from haltable.errors import ConfigurationError, UnboundedLoopError
from haltable.key_state import KeyState
from haltable.loop import Loop
from haltable.model import Status
from haltable.operator import Operator
from haltable.poller_report import PollerReport
from haltable.probe import Condition, as_condition
from haltable.quantity import check_count, check_seconds
from haltable.report import Report

__all__ = ["Poller"]

#: How often a source that raises is asked in a row, with a Backoff in between.
_TRIES = 10


class Poller:
    """Asks a source for tasks, and makes attempts at them, each a step of its key's loop.

    A task is a pair ``(key, payload)``.  One attempt of it is
    ``loop.with_(key=key).step(act, payload)``: charged, bounded, and never beside
    another one of the same key, in whichever process.

    Time is cut into rounds of ``every`` seconds.  In each the source is asked,
    and asked again for as long as it brings something to do.  A key that an
    attempt has left open comes again in the next round, or when its
    ``retry_after`` has passed; one that is busy, too early or has ended is
    skipped, whatever the source says of it.  One that has ended is looked at
    again after half a minute, for an operator may have reopened it.

    Args:
        ready: asked for tasks; returns None, one, or an iterable of them, which
            is taken as slots become free.  With a parameter ``skip`` it gets
            the keys that it need not hand out now.
        act: makes an attempt; called with the payload, and with ``iteration`` if
            it has a parameter of that name.
        loop: the policy of every task, with a store; or a function of the
            payload that returns one.
        until: ends the poller when it holds: a condition, or a function without
            parameters, or one that takes the `PollerReport` so far; `never`
            where only `stop` shall end it.
        every: seconds of a round.
        concurrency: attempts at once: in threads for `run`, in tasks for `arun`.
        ended: called with the report of each step after which its key has ended, also
            of one that finds it ended; from the poller's own thread or task.  What
            it raises is logged.
        seconds: after so many seconds nothing more is started.
        asking: a loop without a key that bounds how ``ready`` is asked; by
            default ten tries in a row, with a back-off of up to a minute.
        clock: where seconds are read; by default the loop's.

    Raises:
        UnboundedLoopError: without ``until`` and ``seconds``.
        ConfigurationError: if anything else is put together wrongly.

    Example:
        >>> from haltable import ExitCondition, IterationCap, Loop, MemoryStore, Poller
        >>> from haltable.conditions import idle, returned
        >>> loop = Loop(
        ...     IterationCap(5), ExitCondition(success=returned), key="any", store=MemoryStore()
        ... )
        >>> orders = {"order-1": 30, "order-2": 12}
        >>> poller = Poller(orders.items, print, loop=loop, until=idle)
        >>> report = poller.run()
        30
        12
        >>> report.succeeded, report.reason
        (2, 'idle holds')
    """

    def __init__(
        self,
        ready: Callable[..., Any],
        act: Callable[..., Any],
        *,
        loop: Loop | Callable[[Any], Loop],
        until: Condition | Callable[[], object] | Callable[[PollerReport], object] | None = None,
        every: float = 1.0,
        concurrency: int = 1,
        ended: Callable[[Report[Any]], object] | None = None,
        seconds: float | None = None,
        asking: Loop | None = None,
        clock: Clock | None = None,
    ) -> None:
        if not callable(ready):
            raise ConfigurationError(f"ready={ready!r}: give a function that returns tasks")
        if until is None and seconds is None:
            raise UnboundedLoopError(
                "nothing ends this poller: give it until=idle, say, or "
                "seconds=...; or until=never, from haltable.conditions, if only stop() shall end it"
            )
        check_count("concurrency", concurrency)
        if ended is not None and not callable(ended):
            raise ConfigurationError(f"ended={ended!r}: give a function of a report, or None")
        self._clock = None if clock is None else check_clock(clock)
        self._act = act
        self._store = None
        if isinstance(loop, Loop):
            # A poller without a store, or without an idea of success, is refused here.
            loop.demand_success_condition("loop=")
            run = loop.with_(key="any").start()
            self._store = run.settings.store or run.settings.async_store
            self._clock = self._clock or (run.clock if run.settings.own_clock else None)
        elif not callable(loop):
            raise ConfigurationError(f"loop={loop!r}: give a Loop, or a function that returns one")
        if asking is None:
            asking = Loop(
                IterationCap(_TRIES, max_consecutive_failures=None),
                ExitCondition(success=returned),
                name="ready()",
                delay=Backoff(maximum=60),
                clock=self._clock,
            )
        elif not isinstance(asking, Loop):
            raise ConfigurationError(f"asking={asking!r}: give a Loop without a key")
        else:
            asking.demand_success_condition("asking=")
            if asking.start().key is not None:
                raise ConfigurationError(f"asking={asking!r}: give a Loop without a key")
        self._plan = Plan(
            ready=ready,
            skip=takes_skip(ready),
            calling=calling(act),
            loop=loop,
            until=never if until is None else as_condition(until, "until"),
            every=check_seconds("every", every),
            concurrency=concurrency,
            seconds=math.inf if seconds is None else check_seconds("seconds", seconds),
            asking=asking,
            ended=ended,
        )
        self._lock = threading.Lock()
        self._polling: Polling | None = None
        self._stopped: str | None = None

    def run(self, *, handle_signals: bool = False) -> PollerReport:
        """Polls until something ends it; what is in the air then is waited for.

        Args:
            handle_signals: whether the first SIGINT or SIGTERM shall stop the
                poller, and the second do what it did before.

        Returns:
            What happened, and why it ended.

        Raises:
            ConfigurationError: if ``ready`` or ``act`` is async, or it runs already.
        """
        from haltable._poll_ports_sync import Air
        from haltable._poll_sync import poll

        for name, function in (("ready", self._plan.ready), ("act", self._act)):
            if is_async(function) or (is_generator(function) and name == "act"):
                raise no_promise(f"{name}={function!r}")
        air = Air(self._plan, self._clock_now())
        with self._running(air), self._signals(handle_signals):
            try:
                with air.standby:
                    poll(air)
            finally:
                air.standby.end()
        return air.rounds.report(air.now())

    async def arun(self, *, handle_signals: bool = False) -> PollerReport:
        """Polls on asyncio or trio, with an async ``act``; see `run`.

        ``ready`` may be async, or an async generator function; one that is
        neither is called in the event loop's thread.
        """
        from haltable._poll_async import poll
        from haltable._poll_ports_async import AsyncAir

        if not is_async(self._act):
            raise ConfigurationError(
                f"act={self._act!r}: it is not async and would block the event loop; "
                "make it `async def`, or use poller.run() in a thread of its own"
            )
        air = AsyncAir(self._plan, self._clock_now())
        with self._running(air), self._signals(handle_signals):
            await poll(air)
        return air.rounds.report(air.now())

    def stop(self, why: str = "poller.stop() was called") -> None:
        """Ends the poller when the attempts in the air have ended; callable from any thread.

        Nothing more is started and nothing is interrupted.  One that is not
        running yet ends as soon as it runs.

        Args:
            why: the reason, for the report.
        """
        with self._lock:
            polling = self._polling
            if polling is None:
                self._stopped = why
        if polling is not None:
            polling.stop(why)

    def snapshot(self) -> PollerReport | None:
        """Returns the report as it would read now, None while it does not run; from any thread."""
        with self._lock:
            polling = self._polling
        return None if polling is None else polling.rounds.report(polling.now())

    def dead_letters(self, *, prefix: str = "") -> list[KeyState]:
        """Returns how the keys stand that have ended without success, sorted by key.

        Args:
            prefix: only keys that begin so; the store may have others.

        Raises:
            ConfigurationError: if the prefix is no text, the store is async, or
                ``loop`` is a function: ask an `Operator` of the store.
            StoreError: if the store fails.
        """
        if not isinstance(prefix, str):
            raise ConfigurationError(f"dead_letters(prefix={prefix!r}): give a text")
        if self._store is None:
            raise ConfigurationError(
                "dead_letters(): loop= is a function, so ask Operator(store).list(...) instead"
            )
        dead = (Status.TRIPPED, Status.GAVE_UP, Status.STOPPED)
        states = Operator(self._store).list()
        return [state for state in states if state.status in dead and state.key.startswith(prefix)]

    def _clock_now(self) -> Clock:
        # A test may have put a clock into this context, as for any loop.
        return self._clock or self._plan.asking.start().clock

    def _signals(self, handle_signals: object) -> AbstractContextManager[None]:
        from haltable._stop_signals import stopping_on_signals

        return stopping_on_signals(self.stop) if handle_signals else nullcontext()

    @contextmanager
    def _running(self, polling: Polling) -> Generator[None]:
        try:
            with self._lock:
                if self._polling is not None:
                    raise ConfigurationError("this poller runs already; make another one")
                self._polling = polling
                stopped, self._stopped = self._stopped, None
            if stopped is not None:
                polling.stop(stopped)
            yield
        finally:
            with self._lock:
                if self._polling is polling:
                    self._polling = None
