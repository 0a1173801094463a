# SPDX-License-Identifier: MIT
"""What an iteration costs on the wire: round trips, counted by a proxy before a real server."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable

import anyio
import attrs
import pytest

from haltable import ExitCondition, IdempotencyGuard, IterationCap, Loop
from haltable.conditions import never

FEW, MANY = 3, 13


@pytest.fixture
def proxy(place):
    """A proxy before the server."""
    with place.proxy() as proxy:
        yield proxy


def loop_on(store, cap, **options):
    """Returns a loop of a fresh key that makes so many starts."""
    guard = [IdempotencyGuard()] if options.pop("effects", False) else []
    parts = (IterationCap(cap), *guard, ExitCondition(success=never))
    return Loop(*parts, key=uuid.uuid4().hex, store=store, **options)


def by_run(loop):
    """Carries a loop to its end."""
    loop.run(lambda: None)


def by_step(loop):
    """Carries a loop to its end by single steps."""
    while not loop.step(lambda: None).status.terminal:
        pass


def by_effects(loop):
    """Carries a loop to its end, with a new effect in each body."""
    loop.run(lambda iteration: iteration.once(f"{iteration.key}/{iteration.starts}", int))


async def by_arun(loop):
    """Carries a loop to its end on an event loop."""
    await loop.arun(nothing)


async def by_astep(loop):
    """Carries a loop to its end by single steps on an event loop."""
    while not (await loop.astep(nothing)).status.terminal:
        pass


async def by_aeffects(loop):
    """Carries a loop to its end on an event loop, with a new effect in each body."""

    async def body(iteration):
        await iteration.aonce(f"{iteration.key}/{iteration.starts}", int)

    await loop.arun(body)


async def nothing():
    """A body that has nothing to do."""


@attrs.frozen
class Cost:
    """A way into a loop and its asynchronous twin, and the round trips of each iteration."""

    way: Callable[[Loop], None]
    away: Callable[[Loop], Awaitable[None]]
    each: int
    options: dict[str, object] = attrs.Factory(dict)


@pytest.mark.parametrize(
    "cost",
    [
        Cost(by_run, by_arun, 1),
        Cost(by_run, by_arun, 2, {"delay": 1e-6}),
        Cost(by_step, by_astep, 3),
        Cost(by_effects, by_aeffects, 4, {"effects": True}),
    ],
    ids=["run", "run with a pause", "step", "run with an effect"],
)
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_round_trips_of_an_iteration(place, proxy, kind, cost):
    """One for an iteration, two with a pause; a step looks before its two, an effect likewise."""
    behind = place.behind(proxy)

    def sync():
        with behind.open() as store:
            store.read("to have a connection")
            for cap in (FEW, MANY):
                before = proxy.requests
                cost.way(loop_on(store, cap, **cost.options))
                yield proxy.requests - before

    async def arun(counts):
        async with behind.aopen() as store:
            await store.read("to have a connection")
            for cap in (FEW, MANY):
                before = proxy.requests
                await cost.away(loop_on(store, cap, **cost.options))
                counts.append(proxy.requests - before)

    counts = []
    if kind == "sync":
        counts += sync()
    else:
        anyio.run(arun, counts, backend="asyncio")
    few, many = counts

    assert many - few == cost.each * (MANY - FEW)


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_round_trips_of_a_first_step(place, proxy, kind):
    """Two: a key that nobody has started is charged without a look at it."""
    behind = place.behind(proxy)

    def sync():
        with behind.open() as store:
            store.read("to have a connection")
            before = proxy.requests
            loop_on(store, 3).step(lambda: None)
            return proxy.requests - before

    async def asynchronous():
        async with behind.aopen() as store:
            await store.read("to have a connection")
            before = proxy.requests
            await loop_on(store, 3).astep(nothing)
            return proxy.requests - before

    made = sync() if kind == "sync" else anyio.run(asynchronous, backend="asyncio")

    assert made == 2
