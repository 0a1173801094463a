# SPDX-License-Identifier: MIT
"""One key's life over a server that spoils a request, by each way in, and what is held of it.

Bodies and effects are counted here, outside of the store.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import attrs
import pytest

from haltable import (
    ExitCondition,
    IdempotencyGuard,
    Iteration,
    IterationCap,
    Loop,
    LoopHalted,
    Operator,
    Report,
    StoreError,
)
from haltable.conditions import never
from haltable.effects import EffectState
from haltable.stores import Store
from tests.fleet.places import Place
from tests.fleet.proxy import Fault, Proxy

__all__ = ["CAP", "WAYS", "Life", "spoiled"]

CAP = 3
#: The most runs that a key may need after a fault.
RUNS = CAP + 2


class Life:
    """A key's life: a run under the fault, then runs without, until the key has ended.

    Args:
        way: which way in.
        place: the server as the runs see it.
        truth: a store on the server itself.
        effects: whether each body has an effect.
    """

    def __init__(self, way: str, place: Place, truth: Store, *, effects: bool = False) -> None:
        self.way, self.place, self.truth = way, place, truth
        self.effects = effects
        self.key = f"job {uuid.uuid4().hex}"
        self.bodies = 0
        #: How often each effect ran.
        self.ran: Counter[str] = Counter()

    def loop_on(self, store: Any) -> Loop:
        """Returns the loop of the key."""
        cap = IterationCap(CAP, max_consecutive_failures=None)
        guard = [IdempotencyGuard()] if self.effects else []
        parts = (cap, *guard, ExitCondition(success=never))
        return Loop(*parts, key=self.key, store=store)

    def run(self) -> Report[Any]:
        """Runs the key by the way in, on a store of its own."""
        return WAYS[self.way](self)

    def body(self, iteration: Iteration) -> None:
        """Counts itself, has its effect, and fails every other time."""
        number = self._begin()
        if self.effects:
            name = self._effect(iteration)
            iteration.once(name, self.ran.update, [name], payload=None)
        self._end(number)

    async def abody(self, iteration: Iteration) -> None:
        """Does the same in a task."""
        number = self._begin()
        await anyio.lowlevel.checkpoint()
        if self.effects:
            name = self._effect(iteration)
            await iteration.aonce(name, self.ran.update, [name], payload=None)
        self._end(number)

    def _begin(self) -> int:
        self.bodies += 1
        return self.bodies

    def _effect(self, iteration: Iteration) -> str:
        return f"{self.key}/{iteration.starts}"

    def _end(self, number: int) -> None:
        if number % 2:
            raise ValueError("every other one fails")

    def check_first(self, report: Report[Any]) -> None:
        """Holds the report of the run under the fault against what is really stored."""
        state = self._state()
        assert self.bodies <= (0 if state is None else state.starts)
        if report.status.terminal:
            assert report.durable
            assert state is not None
            assert state.status is report.status
            return
        assert (report.status, report.breaker, report.durable) == ("open", "store", False), report
        with pytest.raises(LoopHalted) as halted:
            report.unwrap()
        assert isinstance(halted.value.__cause__, StoreError)

    def check_end(self, first: Report[Any]) -> None:
        """Brings the key to its end, and holds it against what was counted here."""
        report = first
        for _ in range(RUNS):
            if report.status.terminal:
                break
            report = self.run()
        state = self._state()
        assert (report.status, report.durable) == ("tripped", True)
        assert state is not None
        assert (state.status, state.running, state.starts) == ("tripped", None, CAP)
        assert CAP - state.crashes <= self.bodies <= CAP
        assert state.crashes <= 1
        assert state.failures - state.crashes <= self.bodies
        again = self.run()
        assert (again.ran, self._state()) == (False, state)
        if self.effects:
            self._check_effects()

    def _check_effects(self) -> None:
        found = {view.key: view for view in Operator(self.truth).effects()}
        mine = {key: view for key, view in found.items() if key.startswith(self.key)}
        assert set(self.ran.values()) <= {1}, self.ran
        # What ran is named, and what is said to be done has run.
        assert set(self.ran) <= set(mine)
        for key, view in mine.items():
            assert view.state in {EffectState.DONE, EffectState.UNKNOWN, EffectState.FREE}, view
            assert view.state is not EffectState.DONE or self.ran[key] == 1
            assert view.state is not EffectState.FREE or self.ran[key] == 0

    def _state(self) -> Any:
        try:
            return attrs.evolve(Operator(self.truth).show(self.key), age=0.0)
        except KeyError:
            return None


def spoiled(proxy: Proxy, fault: Fault, at: int, life: Life) -> Report[Any] | None:
    """Runs a life under a fault; returns its report, None if there was no such request."""
    proxy.break_at(fault, at)
    report = life.run()
    struck = proxy.struck
    proxy.mend()
    return report if struck else None


def _by_run(loop: Loop, life: Life) -> Report[Any]:
    return loop.run(life.body)


def _by_step(loop: Loop, life: Life) -> Report[Any]:
    while True:
        report = loop.step(life.body)
        if report.status.terminal or report.breaker != "run":
            return report


async def _by_arun(loop: Loop, life: Life) -> Report[Any]:
    return await loop.arun(life.abody)


async def _by_astep(loop: Loop, life: Life) -> Report[Any]:
    while True:
        report = await loop.astep(life.abody)
        if report.status.terminal or report.breaker != "run":
            return report


def _on_sync_store(way: Callable[[Loop, Life], Report[Any]]) -> Callable[[Life], Report[Any]]:
    def carried(life: Life) -> Report[Any]:
        with life.place.open() as store:
            return way(life.loop_on(store), life)

    return carried


def _on_async_store(
    way: Callable[[Loop, Life], Awaitable[Report[Any]]],
) -> Callable[[Life], Report[Any]]:
    async def opened(life: Life) -> Report[Any]:
        async with life.place.aopen() as store:
            return await way(life.loop_on(store), life)

    def carried(life: Life) -> Report[Any]:
        report: Report[Any] = anyio.run(opened, life, backend="asyncio")
        return report

    return carried


#: By name, on the synchronous and on the asynchronous store.
WAYS: dict[str, Callable[[Life], Report[Any]]] = {
    "arun": _on_async_store(_by_arun),
    "astep": _on_async_store(_by_astep),
}
#: ... and on either.
WAYS: dict[str, Callable[[Life], Report[Any]]] = {
    "run": _on_sync_store(_by_run),
    "step": _on_sync_store(_by_step),
    "arun": _on_async_store(_by_arun),
    "astep": _on_async_store(_by_astep),
}
