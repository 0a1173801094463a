# SPDX-License-Identifier: MIT
"""The named points of an iteration, and something that happens at one of them.

Everything is done from outside, through what a host may give a loop: its store,
clock, sinks, breakers, condition and body.  There is no switch in the package.
"""

from __future__ import annotations

import inspect
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import anyio
import attrs

from haltable import (
    Breaker,
    ExitCondition,
    IterationCap,
    Loop,
    Report,
    remembered,
)
from haltable.encoding import decode_loop
from haltable.stores import Conflict, Entry
from tests.faults.places import Awaited, Place
from tests.faults.tally import Tally
from tests.faults.ways import NO_TIME, WAYS

__all__ = [
    "BODY",
    "CAP",
    "EFFECT",
    "KEY",
    "PAUSE_POINTS",
    "POINTS",
    "STEP_POINTS",
    "AsyncPointedStore",
    "Death",
    "PointedStore",
    "Points",
    "bare_loop",
    "carry",
    "finish",
    "pointed_loop",
]

KEY = "job"
CAP = 3
BODY, EFFECT = "body begins", "body: effect"

#: What every way in passes in one life of a key, from its first start to its verdict.
POINTS = frozenset(
    {
        *("read sent", "read answered"),
        *("charge sent", "charge answered", "apart sent", "apart answered"),
        *("told IterationStarted", BODY, EFFECT, "body ends", "told IterationEnded"),
        *("condition asked", "breaker: before", "breaker: after", "clock read"),
        *("verdict sent", "verdict answered", "told RunEnded"),
    }
)
#: What only a run passes that waits between two iterations and keeps its key ...
PAUSE_POINTS = frozenset(
    {
        *("pause sent", "pause answered", "told LoopPaused", "pause begins", "pause ends"),
    }
)
#: ... and only one that gives it back.
STEP_POINTS = frozenset({"release sent", "release answered"})


class Points:
    """Counts the points that are passed, and lets something happen at one of them.

    Args:
        number: the pass at which it happens, 1 for the first; 0 for none.
        name: counts only passes of this point, if it is given.
        act: what happens.
        note: is told the name of each point that is passed.
    """

    def __init__(
        self,
        number: int = 0,
        name: str | None = None,
        *,
        act: Callable[[], object],
        note: Callable[[str], object],
    ) -> None:
        self._number, self._name = number, name
        self._act, self._note = act, note
        self._passed = 0

    def at(self, name: str) -> None:
        """Passes a point; one that the watcher passes is no point of the iteration."""
        if threading.current_thread().name == "haltable-watcher":
            return
        self._note(name)
        if self._name in (None, name):
            self._passed += 1
            if self._passed == self._number:
                self._act()

    def told(self, event: object) -> None:
        """A sink: each kind of event is a point."""
        self.at(f"told {type(event).__name__}")

    def asked(self, result: object) -> bool:
        """A condition that never holds."""
        self.at("condition asked")
        return False


class PointedStore:
    """A store whose every call has a point before it and one after it."""

    def __init__(self, inner: Any, points: Points) -> None:
        self._inner, self._points = inner, points
        self.blocks = inner.blocks
        self.durability = inner.durability

    def read(self, key: str) -> Entry | None:
        self._points.at("read sent")
        entry = self._inner.read(key)
        self._points.at("read answered")
        return entry

    def write(self, key: str, value: bytes, *, expected: int) -> Entry | Conflict:
        kind = _kind(key, value)
        self._points.at(f"{kind} sent")
        reply = self._inner.write(key, value, expected=expected)
        self._points.at(f"{kind} answered")
        return reply

    def scan(self, prefix: str) -> Iterator[tuple[str, Entry]]:
        return self._inner.scan(prefix)

    def delete(self, key: str, *, expected: int) -> bool:
        return self._inner.delete(key, expected=expected)


class AsyncPointedStore:
    """Its async twin; other tasks run before each call and before its reply is there.

    A store that is not asynchronous itself is called here all the same.
    """

    def __init__(self, inner: Any, points: Points) -> None:
        self._inner = inner if inspect.iscoroutinefunction(inner.read) else Awaited(inner)
        self._points = points
        self.durability = inner.durability

    async def read(self, key: str) -> Entry | None:
        self._points.at("read sent")
        await anyio.lowlevel.checkpoint()
        entry: Entry | None = await self._inner.read(key)
        await anyio.lowlevel.checkpoint()
        self._points.at("read answered")
        return entry

    async def write(self, key: str, value: bytes, *, expected: int) -> Entry | Conflict:
        kind = _kind(key, value)
        self._points.at(f"{kind} sent")
        await anyio.lowlevel.checkpoint()
        reply: Entry | Conflict = await self._inner.write(key, value, expected=expected)
        await anyio.lowlevel.checkpoint()
        self._points.at(f"{kind} answered")
        return reply

    async def scan(self, prefix: str) -> AsyncIterator[tuple[str, Entry]]:
        async for found in self._inner.scan(prefix):
            yield found

    async def delete(self, key: str, *, expected: int) -> bool:
        done: bool = await self._inner.delete(key, expected=expected)
        return done


class PointedClock:
    """A clock whose reading is a point, and whose waits are two."""

    virtual = True

    def __init__(self, points: Points) -> None:
        self._points = points
        self._now = 0.0

    def now(self) -> float:
        self._points.at("clock read")
        return self._now

    def wait(self, seconds: float, woken: threading.Event) -> None:
        self._points.at("pause begins")
        self._now += seconds
        self._points.at("pause ends")


@attrs.define
class Remembering(Breaker):
    """A breaker whose memory changes at every iteration, along and apart."""

    points: Points | None = attrs.field(default=None, kw_only=True)
    ended: int = remembered(default=0)
    seen: list[int] = remembered(factory=list, apart=True)

    def before(self, iteration: Any) -> None:
        if self.points is not None:
            self.points.at("breaker: before")

    def after(self, iteration: Any) -> None:
        self.ended += 1
        self.seen = [*self.seen, iteration.starts]
        if self.points is not None:
            self.points.at("breaker: after")


def bare_loop(store: Any, *, row: int | None = None) -> Loop:
    """Returns the loop that all share: N starts, and nothing else ends it."""
    never = ExitCondition(success=lambda _: False)
    cap = IterationCap(CAP, max_consecutive_failures=row)
    return Loop(cap, Remembering(), never, key=KEY, store=store)


def pointed_loop(points: Points, store: Any, *, row: int | None = None) -> Loop:
    """Returns the same loop with points wherever a host can put one."""
    return Loop(
        IterationCap(CAP, max_consecutive_failures=row),
        Remembering(points=points),
        ExitCondition(success=points.asked),
        key=KEY,
        store=store,
        # So short that nobody who comes after this run has to wait for it.
        delay=NO_TIME,
        sinks=[points.told],
        clock=PointedClock(points),
    )


@attrs.frozen
class Death:
    """Where a process that runs a key dies, and what it needs for that.

    Args:
        place: where the key's record is kept.
        outside: the file in which the points are noted.
        way: the way into the loop.
        number: the pass at which it dies, 0 for none.
        name: counts only passes of this point, if it is given.
        row: failures in a row that are allowed, None for no such limit.
    """

    place: Place
    outside: str
    way: str
    number: int = 0
    name: str | None = None
    row: int | None = None


def carry(death: Death) -> None:
    """Runs the key in this process, until it is at its end or this process at its point."""
    points = Points(death.number, death.name, act=_die, note=Tally(death.outside).mark)

    def body() -> None:
        points.at(BODY)
        points.at(EFFECT)
        points.at("body ends")

    # A server's own asynchronous store is for asyncio; the others are called in threads.
    its_own = death.place.kind != "sqlite" and death.way.endswith("asyncio")
    store: Any = (
        AsyncPointedStore(death.place.open_async(), points)
        if its_own
        else PointedStore(death.place.open(), points)
    )
    finish(pointed_loop(points, store, row=death.row), death.way, body)


def finish(loop: Loop, way: str, body: Any) -> Report[Any]:
    """Goes on until the key has ended."""
    while True:
        report = WAYS[way](loop, body)
        if report.status.terminal:
            return report


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _kind(key: str, value: bytes) -> str:
    if key.startswith("haltable/apart/"):
        return "apart"
    record = decode_loop(value)
    if record.past.ruling is not None:
        return "verdict"
    if record.running is None:
        return "release"
    return "pause" if record.running.pausing else "charge"
