# SPDX-License-Identifier: MIT
"""Lives of effects that end badly, each in a process of its own, and who comes after.

A batch is one process that forks one process for each life, waits for its
death, and then is the second process: it judges what was left by what was
counted outside, and comes to an end with every key, in two ways.
"""

from __future__ import annotations

import functools
import itertools
import json
import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Literal

import anyio
import anyio.from_thread
import anyio.to_thread
import attrs

from haltable import IdempotencyGuard, _watch
from haltable._owner import new_owner
from haltable.effect_ledger import Request, claimed
from haltable.effect_records import encode_effect
from haltable.effects import DontKnow, Happened, NotHappened, NothingHappened, claim
from haltable.payload import fingerprint
from haltable.records import Owner
from tests.faults.effect_points import (
    ACTED,
    ASKED,
    BEGUN,
    LOOK_BACK,
    LOOKED,
    READ,
    RETURNED,
    AsyncPointedEffects,
    EffectPoints,
    PointedEffects,
    of_write,
)
from tests.faults.places import Place
from tests.faults.tally import Tally

__all__ = [
    "DEATHS",
    "PAYLOAD",
    "PREFIX",
    "SCENARIOS",
    "WAYS",
    "Life",
    "Scenario",
    "batch",
    "calm_guard",
    "happened_outside",
    "ways_on",
]

#: How a process ends at a point; an exception is none at all, once or for good.
DEATHS = {
    "SIGKILL": -signal.SIGKILL,
    "SIGTERM": -signal.SIGTERM,
    "SIGTERM, handled": None,
    "os._exit": 9,
    "exception": 0,
    "exceptions": 0,
}
WAYS = (
    "once",
    "aonce on asyncio",
    "aonce on trio",
    "aonce on asyncio, async store",
    "aonce on trio, async store",
)
PAYLOAD = "7.50 EUR"
#: What the keys of their records begin with.
PREFIX = IdempotencyGuard().policy.prefix
TERMINATED = 143
#: How many processes live side by side in one batch.
AT_ONCE = 2
#: Seconds after which a life that hangs is ended, which no way to die looks like.
LIMIT = 30
_LEASE = 60.0


@attrs.frozen
class Scenario:
    """What happens to an effect while nothing goes wrong.

    Args:
        name: what it is called.
        points: the points that are proved here; others are passed too.
        left: what a process that is dead left behind: nothing, a claim whose
            effect has not happened, or one whose effect has.
        ends: how the effect ends.
        asks: what the reconciler does, None without one.
        interrupted: the point at which the call is interrupted, and goes on from there.
        renews: where in the effect its lease is renewed.
    """

    name: str
    points: tuple[str, ...]
    left: Literal["before", "after"] | None = None
    ends: Literal["returns", "raises", "does nothing", "fails"] = "returns"
    asks: Literal["the truth", "in vain"] | None = None
    interrupted: str | None = None
    renews: Literal["before", "after"] | None = None


_QUESTION = (*of_write("question"), ASKED, LOOKED)
_RUN = (BEGUN, ACTED, *of_write("end"), RETURNED)
SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("first call", (*READ, *of_write("claim"), *_RUN)),
        Scenario("renewed early", of_write("renewal"), renews="before"),
        Scenario("renewed late", of_write("renewal"), renews="after"),
        Scenario("raises", (ACTED, *of_write("own doubt")), ends="raises"),
        Scenario("does nothing", (BEGUN, *of_write("release")), ends="does nothing"),
        Scenario("fails for good", (BEGUN, *of_write("failure")), ends="fails"),
        Scenario(
            "interrupted in the claim",
            (*LOOK_BACK, *of_write("release")),
            interrupted="claim answered",
        ),
        Scenario("found, not happened", (*READ, *of_write("doubt")), left="before"),
        Scenario("found, happened", (*READ, *of_write("doubt")), left="after"),
        Scenario(
            "asked, happened",
            (*READ, *_QUESTION, *of_write("verdict"), RETURNED),
            left="after",
            asks="the truth",
        ),
        Scenario(
            "asked, not happened",
            (*READ, *_QUESTION, *of_write("claim anew"), *_RUN),
            left="before",
            asks="the truth",
        ),
        Scenario(
            "asked in vain, not happened",
            (*_QUESTION, *of_write("undecided")),
            left="before",
            asks="in vain",
        ),
        Scenario(
            "asked in vain, happened",
            (*_QUESTION, *of_write("undecided")),
            left="after",
            asks="in vain",
        ),
        Scenario(
            "interrupted in the question",
            (*LOOK_BACK, *of_write("undecided")),
            left="before",
            asks="the truth",
            interrupted="question answered",
        ),
    )
}


@attrs.frozen
class Life:
    """One call of one effect, in a process that ends at a point.

    Args:
        key: the effect's.
        place: where its record is kept.
        outside: the file in which is noted what happens.
        way: how the effect is called.
        scenario: the name of what would happen.
        point: where it ends; None for nowhere.
        death: how.
    """

    key: str
    place: Place
    outside: str
    way: str
    scenario: str
    point: str | None
    death: str

    def __str__(self) -> str:
        return f"{self.place}, {self.way}, {self.scenario}: {self.death} at {self.point!r}"


def ways_on(kind: str) -> tuple[str, ...]:
    """Returns the ways to call an effect whose record is kept in a place of this kind.

    A server's own asynchronous store is for asyncio; on trio it has the other one, in threads.
    """
    return tuple(way for way in WAYS if kind == "sqlite" or way != "aonce on trio, async store")


class Fault(Exception):
    """What is raised at a point."""


class Leaping:
    """A clock that leaps from reading to reading, so that a lease is due at every look."""

    virtual = True

    def __init__(self) -> None:
        self._now = itertools.count(0, _LEASE)

    def now(self) -> float:
        return float(next(self._now))

    def wait(self, seconds: float, woken: threading.Event) -> None:
        raise AssertionError("nobody waits")


def happened_outside(outside: str) -> Any:
    """Returns what the effect has returned, as far as can be seen outside; None if nothing."""
    values = [word for word in Tally(outside).words() if word.startswith("effect ")]
    return json.loads(values[0].removeprefix("effect ")) if values else None


def calm_guard(store: Any, **options: Any) -> IdempotencyGuard:
    """Returns the guard that all share."""
    return IdempotencyGuard(store=store, lease=_LEASE, final=PermissionError, **options)


class _Living:
    """What a process knows that lives a life."""

    def __init__(self, life: Life) -> None:
        self.life, self.scenario = life, SCENARIOS[life.scenario]
        self.tally = Tally(life.outside)
        self.is_async = life.way != "once"
        self.scope: Any = None
        acts: dict[str, Callable[[], object]] = {}
        if self.scenario.interrupted is not None:
            acts[self.scenario.interrupted] = self.interrupt
        if life.point is not None:
            acts[life.point] = self.die
        self.points = EffectPoints(acts, note=self.note, lasting=life.death == "exceptions")
        kind = AsyncPointedEffects if "async store" in life.way else PointedEffects
        self.store: Any = kind(life.place, self.points)
        clock = None if self.scenario.renews is None else Leaping()
        asks = None if self.scenario.asks is None else self.reconcile
        self.guard = calm_guard(self.store, clock=clock, reconcile=asks)

    def note(self, point: str) -> None:
        self.tally.mark(f"passed {point}")

    def die(self) -> None:
        death = self.life.death
        self.tally.mark(f"died {self.life.point}")
        if death == "os._exit":
            os._exit(9)
        if death.startswith("SIG"):
            os.kill(os.getpid(), signal.Signals[death.partition(",")[0]])
            return
        raise Fault(f"at {self.life.point}")

    def interrupt(self) -> None:
        if self.scope is None:
            raise KeyboardInterrupt
        if "async store" in self.life.way:
            self.scope.cancel()
        else:
            anyio.from_thread.run_sync(self.scope.cancel)

    def call(self) -> Any:
        """Calls the effect, as its way is."""
        if not self.is_async:
            return self.guard.once(self.life.key, self.effect, payload=PAYLOAD)
        backend = self.life.way.removeprefix("aonce on ").partition(",")[0]
        return anyio.run(self.acall, backend=backend)

    async def acall(self) -> Any:
        with anyio.CancelScope() as scope:
            if self.scenario.interrupted is not None:
                self.scope = scope
            return await self.guard.aonce(self.life.key, self.aeffect, payload=PAYLOAD)
        # As if the whole program had been interrupted.
        raise KeyboardInterrupt

    def effect(self) -> Any:
        for waits in self.steps():
            if waits and not self.store.renewed.wait(LIMIT):
                raise TimeoutError("the lease was not renewed")
        return self.value

    async def aeffect(self) -> Any:
        for waits in self.steps():
            await anyio.lowlevel.checkpoint()
            if waits:
                wait = functools.partial(self.store.renewed.wait, LIMIT)
                if not await anyio.to_thread.run_sync(wait, abandon_on_cancel=True):
                    raise TimeoutError("the lease was not renewed")
        return self.value

    @property
    def value(self) -> Any:
        return {"receipt of": os.getpid()}

    def steps(self) -> Iterator[bool]:
        """Goes through the effect; yields where it waits, and whether for a renewal."""
        scenario = self.scenario
        self.tally.mark(f"fence {claim().fence}")
        self.points.at(BEGUN)
        yield scenario.renews == "before"
        if scenario.ends == "does nothing":
            raise NothingHappened("the shop is closed")
        if scenario.ends == "fails":
            raise PermissionError("no funds")
        self.tally.mark(f"effect {json.dumps(self.value)}")
        self.points.at(ACTED)
        yield scenario.renews == "after"
        if scenario.ends == "raises":
            raise ValueError("it broke off")

    def reconcile(self, key: str, record: object) -> Any:
        del key, record
        self.points.at(ASKED)
        value = happened_outside(self.life.outside)
        self.points.at(LOOKED)
        if self.scenario.asks == "in vain":
            return DontKnow("the provider is closed")
        return NotHappened() if value is None else Happened(value)


def _live(life: Life) -> int:
    """Lives a life in this process; returns its exit code if it comes to that."""
    signal.alarm(LIMIT)
    # An event loop that is broken off says so.
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGTERM, _terminated if "handled" in life.death else signal.SIG_DFL)
    logging.getLogger("haltable").setLevel(logging.CRITICAL)
    _watch.shared._interval = _watch.INTERVAL = 0.002
    living = _Living(life)
    try:
        value = living.call()
        living.tally.mark(f"returned {json.dumps(value)}")
        living.points.at(RETURNED)
    except BaseException as error:
        living.tally.mark(f"raised {_innermost(error)}")
        return TERMINATED if isinstance(error, SystemExit) else 0
    return 0


def _innermost(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return type(error).__name__


def _terminated(number: int, frame: FrameType | None) -> None:
    del number, frame
    sys.exit(TERMINATED)


def _fork(work: Callable[[], int]) -> int:
    """Starts a process that does this and nothing after it; returns its number."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    code = 99
    try:
        code = work()
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(code)


def _dead_owner() -> Owner:
    """Returns the owner of a call whose process has ended."""
    reading, writing = os.pipe()

    def tell() -> int:
        owner = new_owner()
        os.write(writing, json.dumps(attrs.astuple(owner)).encode())
        return 0

    os.waitpid(_fork(tell), 0)
    os.close(writing)
    with os.fdopen(reading) as found:
        return Owner(*json.load(found))


def _leave(lives: list[Life]) -> None:
    """Leaves what dead processes left behind."""
    owner = _dead_owner()
    what, checked = fingerprint(PAYLOAD, (), {})
    with lives[0].place.open() as store:
        for life in lives:
            left = SCENARIOS[life.scenario].left
            if left is None:
                continue
            request = Request("", life.key, what, checked, "at_most_once", 3, None, None)
            mine = attrs.evolve(owner, token=f"the dead owner of {life.key}")
            record = claimed(None, request, mine, lease=_LEASE)
            store.write(PREFIX + life.key, encode_effect(record, mine.token, 1), expected=0)
            if left == "after":
                Tally(life.outside).mark(f"effect {json.dumps({'receipt of': 0})}")


@contextmanager
def _kept_open(place: Place) -> Generator[None]:
    """Keeps a file open elsewhere: who opens it alone pays for its recovery."""
    if place.kind != "sqlite":
        yield
        return
    reading, writing = os.pipe()

    def keep() -> int:
        os.close(writing)
        with place.open() as store:
            store.read("any")
            os.read(reading, 1)
        return 0

    keeper = _fork(keep)
    os.close(reading)
    try:
        yield
    finally:
        os.close(writing)
        os.waitpid(keeper, 0)


def batch(lives: list[Life], judge: Callable[[list[Life], list[int]], Any], report: str) -> None:
    """Lives all of these lives, each in a process of its own, and reports what a judge says."""
    place = lives[0].place
    _leave(lives)
    with _kept_open(place):
        codes = _lived(lives)
        place.settle()
        found = judge(lives, codes)
    Path(report).write_text(json.dumps(found))


def _lived(lives: list[Life]) -> list[int]:
    """Returns the exit codes of these lives."""
    codes: dict[int, int] = {}
    running: dict[int, int] = {}
    for number, life in enumerate(lives):
        running[_fork(functools.partial(_live, life))] = number
        while len(running) == AT_ONCE or (running and number == len(lives) - 1):
            child, status = os.wait()
            codes[running.pop(child)] = os.waitstatus_to_exitcode(status)
    return [codes[number] for number in range(len(lives))]
