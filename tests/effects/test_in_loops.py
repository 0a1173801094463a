# SPDX-License-Identifier: MIT
"""Effects inside of loops: which guard and store serve them, and what a verdict does to them."""

from __future__ import annotations

import functools
import threading

import anyio
import pytest

from haltable import (
    ConfigurationError,
    Deadline,
    ExitCondition,
    IdempotencyGuard,
    IterationCap,
    Loop,
    OutcomeUnknown,
    bounded_loop,
    current,
)
from haltable.conditions import never, returned
from haltable.errors import LoopInterrupt
from haltable.stores import MemoryStore
from haltable.testing import FakeClock
from tests.effects.sites import STRANGER, Site, awaited

CAP = 3
KEY = "charge:7"
#: The ways to hand a loop a body.
BODIES = (
    "run",
    "step",
    "arun on asyncio",
    "arun on trio",
    "astep on asyncio",
    "astep on trio",
)


def carry(way, loop, body):
    """Hands a body to a loop until it is at its end; async ways await it."""
    verb, _, backend = way.partition(" on ")
    while True:
        if backend:
            report = anyio.run(
                functools.partial(getattr(loop, verb), awaited(body)), backend=backend
            )
        else:
            report = getattr(loop, verb)(body)
        if report.status.terminal or report.breaker != "run":
            return report


def loop_on(site_store, *breakers, key="job", **options):
    """Returns a loop of a few starts that nothing else ends."""
    cap = IterationCap(CAP, max_consecutive_failures=None)
    return Loop(cap, ExitCondition(success=never), *breakers, key=key, store=site_store, **options)


# Effects of an iteration --------------------------------------------------------


@pytest.mark.parametrize("way", ["once", "aonce on asyncio", "aonce on trio"])
def test_an_iteration_does_an_effect_once(way):
    """Whichever iteration runs it, every other one gets its result; arguments are handed on."""
    store, charged, found = MemoryStore(), [], []

    def charge(order, *, currency):
        charged.append((order, currency))
        return f"receipt {len(charged)}"

    def body(iteration):
        found.append(iteration.once(KEY, charge, 7, currency="EUR"))

    async def abody(iteration):
        found.append(await iteration.aonce(KEY, awaited(charge), 7, currency="EUR"))

    loop = loop_on(store, IdempotencyGuard())
    if way == "once":
        loop.run(body)
    else:
        anyio.run(loop.arun, abody, backend=way.rpartition(" ")[2])

    assert found == ["receipt 1"] * CAP
    assert charged == [(7, "EUR")]


def test_a_guard_uses_its_own_store_before_its_loops():
    """A guard's store is for all of its loops; without one the loop's serves."""
    own, loops = MemoryStore(), MemoryStore()
    for store in (None, own):
        loop = loop_on(loops, IdempotencyGuard(store=store), key=f"job {store is own}")
        loop.run(lambda iteration: iteration.once(KEY, lambda: 7))

    assert IdempotencyGuard(store=own).claimed(KEY)
    assert IdempotencyGuard(store=loops).claimed(KEY)


def test_loops_share_their_effects():
    """An effect is named by its key, not by the loop that it runs in."""
    store, charged = MemoryStore(), []
    for key in ("one", "other", None):
        loop = loop_on(store if key else None, IdempotencyGuard(store=store), key=key)
        loop.run(lambda iteration: iteration.once(KEY, charged.append, 7))

    assert charged == [7]


@pytest.mark.parametrize(
    ("breakers", "why"),
    [
        ([], r"once\(\): give the loop an IdempotencyGuard\(\)"),
        ([IdempotencyGuard()], r"once\(\): there is no store to record effects in"),
    ],
    ids=["no guard", "no store"],
)
def test_what_an_effect_needs(breakers, why):
    """Without a guard, or without any store, the body is told what to add."""
    loop = Loop(IterationCap(1), *breakers)
    raised = []

    def body(iteration):
        with pytest.raises(ConfigurationError, match=why) as error:
            iteration.once(KEY, raised.append, 7)
        raised.append(error.type)

    loop.run(body)

    assert raised == [ConfigurationError]


def test_an_unknown_effect_fails_its_iteration():
    """What nobody knows is an exception like any other: the loop goes on, the effect does not."""
    store, ran = MemoryStore(), []

    def body(iteration):
        iteration.once(KEY, charge)

    def charge():
        ran.append(1)
        raise TimeoutError("no answer")

    report = loop_on(store, IdempotencyGuard()).run(body)

    assert (report.starts, report.failures) == (CAP, CAP)
    assert type(report.error).__name__ == "OutcomeUnknown"
    assert ran == [1]


# After a verdict ------------------------------------------------------------------


def test_after_a_verdict_no_effect_begins():
    """P8: whatever the body swallows, each further effect of a run that has ended raises."""
    store, ran, raised = MemoryStore(), [], []
    run = loop_on(store, IdempotencyGuard()).start()

    def body(iteration):
        iteration.once("before", ran.append, "before")
        run.stop()
        for key in ("before", "after", "later"):
            try:
                iteration.once(key, ran.append, key)
            except BaseException as interrupt:
                raised.append(type(interrupt))
        iteration.once("last", ran.append, "last")

    report = run.run(body)

    assert ran == ["before"]
    assert raised == [LoopInterrupt] * 3
    assert report.starts == 1
    assert not IdempotencyGuard(store=store).claimed("after")


async def test_after_a_verdict_no_awaited_effect_begins():
    """P8: the same, awaited."""
    store, ran, raised = MemoryStore(), [], []
    run = loop_on(store, IdempotencyGuard()).start()

    async def charge(key):
        ran.append(key)

    async def body(iteration):
        await iteration.aonce("before", charge, "before")
        run.stop()
        for key in ("before", "after"):
            try:
                await iteration.aonce(key, charge, key)
            except BaseException as interrupt:
                raised.append(type(interrupt))
        await iteration.aonce("last", charge, "last")

    report = await run.arun(body)

    assert ran == ["before"]
    assert raised == [LoopInterrupt] * 2
    assert report.starts == 1


@pytest.mark.parametrize("way", ["run", "arun on asyncio", "arun on trio"])
def test_a_verdict_ends_a_wait(way):
    """P5: a body that waits for somebody else's effect is interrupted like any other."""
    store, ran = MemoryStore(), []
    leave_claim(store)
    run = loop_on(store, IdempotencyGuard(on_held="wait")).start()

    def charge():
        ran.append(1)

    def body(iteration):
        # Mostly while it waits; if earlier, it would be as right.
        threading.Timer(0.02, run.stop).start()
        return iteration.once(KEY, charge)

    async def abody(iteration):
        threading.Timer(0.02, run.stop).start()
        return await iteration.aonce(KEY, charge)

    if way == "run":
        report = run.run(body)
    else:
        report = anyio.run(run.arun, abody, backend=way.rpartition(" ")[2])

    assert ran == []
    assert (report.status, report.breaker, report.starts) == ("open", "run", 1)


def test_an_iterations_verbs_belong_to_its_own_time():
    """An iteration that is over begins no effect in the time of the next one."""
    store, ran, kept = MemoryStore(), [], []

    def body(iteration):
        kept.append(iteration)
        kept[0].once(f"effect {iteration.number}", ran.append, iteration.number)

    report = loop_on(store, IdempotencyGuard()).run(body)

    assert ran == [1]
    assert report.failures == CAP - 1


# Whole iterations -----------------------------------------------------------------


@pytest.mark.parametrize("way", BODIES)
def test_a_whole_iteration_is_an_effect(way):
    """A body that was done before does not run, and its stored result is the iteration's."""
    store, ran = MemoryStore(), []

    def body():
        ran.append(current().number)
        return {"page": current().starts}

    seen = []
    success = ExitCondition(success=lambda result: seen.append(result) or len(seen) == CAP)
    guard = IdempotencyGuard(key=lambda iteration: f"page {iteration.starts % 2}")
    report = carry(way, Loop(IterationCap(10), success, guard, key="job", store=store), body)

    assert report.ok
    assert seen == [{"page": 1}, {"page": 2}, {"page": 1}]
    assert len(ran) == 2


@pytest.mark.parametrize("way", BODIES)
def test_a_body_that_takes_its_iteration_is_an_effect_too(way):
    """It is handed on, and no part of the payload."""
    store, ran = MemoryStore(), []

    def body(iteration):
        ran.append(iteration.starts)

    guard = IdempotencyGuard(key=lambda iteration: "the page")
    loop = loop_on(store, guard)
    report = carry(way, loop, body)

    assert ran == [1]
    assert (report.starts, report.failures) == (CAP, 0)


@pytest.mark.parametrize("key", [lambda iteration: "", lambda iteration: 7])
def test_an_iteration_without_a_name(key):
    """A key that cannot be right is a failure of the iteration, and its body does not run."""
    ran = []
    loop = loop_on(MemoryStore(), IdempotencyGuard(key=key))
    report = loop.run(lambda: ran.append(1))

    assert ran == []
    assert (report.failures, type(report.error)) == (CAP, ConfigurationError)


@pytest.mark.parametrize("way", ["for", "with", "tick", "wrap"])
def test_what_has_no_body_cannot_be_guarded_whole(way):
    """Where somebody else's code runs, there is nothing to skip."""
    run = loop_on(MemoryStore(), IdempotencyGuard(key=lambda iteration: "page")).start()

    def use():
        if way == "for":
            next(iter(run))
        elif way == "with":
            run.__enter__()
        elif way == "tick":
            run.tick()
        else:
            run.wrap(print)()

    with pytest.raises(
        ConfigurationError, match=r"IdempotencyGuard\(key=...\) guards whole bodies"
    ):
        use()


def test_a_decorated_function_is_guarded_whole():
    """Its calls share the effect that its iterations name."""
    ran = []

    @bounded_loop(
        IterationCap(CAP),
        ExitCondition(success=returned),
        IdempotencyGuard(key=lambda iteration: "page", store=MemoryStore()),
    )
    def page(number):
        ran.append(number)
        return f"page {number}"

    assert [page(1), page(1)] == ["page 1", "page 1"]
    assert ran == [1]


# Replays ----------------------------------------------------------------------------


@pytest.mark.parametrize("way", BODIES)
def test_a_loop_that_only_replays_trips(way):
    """Its guard opens after so many iterations in a row that did nothing but replay."""
    store, ran = MemoryStore(), []
    guard = IdempotencyGuard(key=lambda iteration: "page", max_replays=2)
    loop = Loop(IterationCap(10), ExitCondition(success=never), guard, key="job", store=store)
    report = carry(way, loop, lambda: ran.append(1))

    assert (report.status, report.breaker) == ("tripped", "IdempotencyGuard")
    assert "2 iterations in a row only replayed" in report.reason
    assert ran == [1]
    assert report.starts == 3


def test_a_loop_that_does_something_new_does_not_trip():
    """One effect that ran, or an iteration without any, is no replay."""
    store, ran = MemoryStore(), []

    def body(iteration):
        if iteration.starts % 3 == 0:
            return
        iteration.once("first", ran.append, "first")
        if iteration.starts % 3 == 2:
            iteration.once(f"page {iteration.starts}", ran.append, iteration.starts)

    guard = IdempotencyGuard(max_replays=2)
    report = Loop(IterationCap(9), guard, key="job", store=store).run(body)

    assert report.breaker == "IterationCap"
    assert ran == ["first", 2, 5, 8]


def test_each_run_without_a_key_counts_its_own_replays():
    """The guard in the loop is policy: what one run replayed does not trip the next."""
    store = MemoryStore()
    guard = IdempotencyGuard(store=store, max_replays=3)
    loop = Loop(IterationCap(2), guard)
    reports = [loop.run(lambda i: i.once(KEY, lambda: 7)) for _ in range(4)]

    assert [report.breaker for report in reports] == ["IterationCap"] * 4


def test_runs_of_a_key_count_their_replays_together():
    """A daemon that is restarted for each of them has replayed so often all the same."""
    store = MemoryStore()
    for number in range(1, 5):
        guard = IdempotencyGuard(max_replays=3)
        success = ExitCondition(success=never)
        loop = Loop(IterationCap(9), success, guard, key="job", store=store)
        report = loop.step(lambda iteration: iteration.once(KEY, lambda: 7))
        assert report.status == ("open" if number < 4 else "tripped")

    assert report.breaker == "IdempotencyGuard"


# Time --------------------------------------------------------------------------------


def test_a_wait_uses_the_loops_clock():
    """In virtual time a wait for somebody else's effect takes none."""
    clock = FakeClock()
    store, raised = MemoryStore(clock=clock.now), []
    leave_claim(store, lease=600.0)

    def body(iteration):
        with pytest.raises(OutcomeUnknown) as error:
            iteration.once(KEY, lambda: raised.append("ran"))
        raised.append(error.type)

    guard = IdempotencyGuard(store=store, on_held="wait")
    Loop(IterationCap(1), Deadline(total=3600), guard, clock=clock).run(body)

    assert raised == [OutcomeUnknown]
    assert clock.now() >= 600


def leave_claim(store, lease=60.0):
    """Leaves the claim of somebody on another host."""
    Site("once", store, store, lambda _: None).leave(KEY, STRANGER, lease=lease)
