# SPDX-License-Identifier: MIT
"""How long a loop waits between two iterations, in every way in, and what cuts it short."""

from __future__ import annotations

import threading

import anyio
import pytest

from haltable import (
    Backoff,
    Deadline,
    ExitCondition,
    IterationCap,
    Loop,
    MemoryStore,
    Status,
    bounded_loop,
)
from haltable.conditions import never, returned
from haltable.events import LoopPaused
from haltable.testing import FakeClock
from tests.ways_in.async_ways import ASYNC_WAYS
from tests.ways_in.policy import Policy
from tests.ways_in.sync_ways import WAYS

STEPS = {"step", "astep"}
HOUR = 3600


class Refusing(FakeClock):
    """A clock that nobody may wait on."""

    def wait(self, seconds, woken):
        raise AssertionError(f"somebody waits {seconds} s")


def keyed(**options):
    """Returns a loop with a key, whose steps need never succeed."""
    return Loop(
        IterationCap(9, max_consecutive_failures=None),
        ExitCondition(success=never),
        **{"key": "key", "store": MemoryStore(), "clock": FakeClock(), **options},
    )


def fail():
    """A body that fails."""
    raise OSError("no")


@pytest.mark.parametrize("name", [name for name in WAYS if name not in STEPS])
def test_a_delay_lies_between_two_iterations(name):
    """Three iterations have two pauses, none before the first and none after the last."""
    clock = FakeClock()
    policy = Policy(IterationCap(3), ExitCondition(success=never), delay=5, clock=clock)

    WAYS[name](policy, lambda: None)

    assert clock.waits == (5, 5)


@pytest.mark.parametrize("name", [name for name in ASYNC_WAYS if name not in STEPS])
async def test_a_delay_lies_between_two_async_iterations(name):
    """The same when it is awaited."""
    clock = FakeClock()
    policy = Policy(IterationCap(3), ExitCondition(success=never), delay=5, clock=clock)

    await ASYNC_WAYS[name](policy, lambda: None)

    assert clock.waits == (5, 5)


@pytest.mark.parametrize("delay", [0, 0.0, Backoff()])
@pytest.mark.parametrize("name", WAYS)
def test_a_delay_of_zero_never_sleeps(name, delay):
    """The clock is not asked to wait at all, and a back-off has nothing to back off from."""
    options = {"key": "key", "store": MemoryStore()} if name in STEPS else {}
    policy = Policy(
        IterationCap(3), ExitCondition(success=never), delay=delay, clock=Refusing(), **options
    )

    end = WAYS[name](policy, lambda: None)

    assert end.status is Status.TRIPPED


def test_a_backoff_grows_on_failures_and_starts_over_after_a_good_iteration():
    """Full jitter: each wait lies between nothing and the end that doubles, up to the maximum."""
    clock, results = FakeClock(), iter([1, 1, 1, 1, 0, 1, 1, 0])
    ends = []

    def body():
        ends.append(len(clock.waits))
        if next(results):
            fail()

    Loop(
        IterationCap(8, max_consecutive_failures=None),
        delay=Backoff(initial=10, factor=2, maximum=40),
        clock=clock,
    ).run(body)

    assert ends == [0, 1, 2, 3, 4, 4, 5, 6]
    for wait, end in zip(clock.waits, [10, 20, 40, 40, 10, 20], strict=True):
        assert 0 <= wait <= end


def test_a_backoff_draws_from_the_whole_range():
    """Over many runs the first wait is sometimes near nothing, sometimes near its end."""
    firsts = []
    for _ in range(200):
        clock = FakeClock()
        Loop(IterationCap(2), delay=Backoff(initial=1), clock=clock).run(fail)
        firsts.extend(clock.waits)

    assert len(firsts) == 200
    assert min(firsts) < 0.2
    assert max(firsts) > 0.8


def test_transients_feed_the_backoff_and_are_no_failures():
    """A declared type waits like a failure, and counts as none."""
    clock = FakeClock()
    report = Loop(
        IterationCap(5), transient=OSError, delay=Backoff(initial=1e6, maximum=1e9), clock=clock
    ).run(fail)

    assert (report.starts, report.failures, len(clock.waits)) == (5, 0, 4)
    assert sum(clock.waits) > 1e6


@pytest.mark.parametrize("store", [None, MemoryStore])
def test_waits_are_clipped_to_the_deadline(store):
    """The last pause ends with the loop's time, and nothing starts after it."""
    clock = FakeClock()
    options = {} if store is None else {"key": "key", "store": store()}
    report = Loop(Deadline(total=60), delay=25, clock=clock, **options).run(
        lambda: clock.advance(1)
    )

    assert (report.breaker, report.starts, clock.waits) == ("Deadline", 3, (25, 25, 7))


async def test_async_waits_are_clipped_to_the_deadline():
    """The same when it is awaited."""
    clock = FakeClock()

    async def body():
        clock.advance(1)

    report = await Loop(Deadline(total=60), delay=25, clock=clock).arun(body)

    assert (report.breaker, report.starts, clock.waits) == ("Deadline", 3, (25, 25, 7))


def test_time_before_the_first_use_is_nobody_s():
    """A handle may lie about for long: alive is what lies inside its run."""
    clock = FakeClock()
    run = Loop(IterationCap(3), Deadline(total=60), clock=clock).start()
    clock.advance(HOUR)
    report = run.run(lambda: clock.advance(1))

    assert (report.breaker, report.elapsed) == ("IterationCap", 3)


# Steps --------------------------------------------------------------------------


def test_a_step_never_sleeps():
    """It says when the next may start, and one that comes too early starts nothing."""
    loop, starts = keyed(delay=HOUR, clock=Refusing()), []
    first = loop.step(starts.append, 1)
    early = loop.step(starts.append, 2)

    assert (first.status, first.ran, first.retry_after) == (Status.OPEN, True, HOUR)
    assert (early.status, early.ran, early.starts) == (Status.OPEN, False, 1)
    assert 0 < early.retry_after <= HOUR
    assert starts == [1]


async def test_an_async_step_never_sleeps():
    """The same from the async twin."""
    loop = keyed(delay=HOUR, clock=Refusing())

    async def body():
        await anyio.lowlevel.checkpoint()

    first, early = await loop.astep(body), await loop.astep(body)

    assert (first.ran, first.retry_after, early.ran) == (True, HOUR, False)
    assert 0 < early.retry_after <= HOUR


def test_a_step_without_a_delay_may_be_followed_at_once():
    """There is nothing to wait for, and the report says so."""
    loop = keyed()

    assert [loop.step(lambda: None).retry_after for _ in range(3)] == [None] * 3


def test_steps_back_off():
    """Failures of one step after another make retry_after grow, a good one ends it."""
    loop, results = keyed(delay=Backoff(initial=1e-9, factor=1000, maximum=1e6)), iter("xxx.")
    waits = []
    for _ in range(4):
        report = loop.step(lambda: fail() if next(results) == "x" else None)
        waits.append(report.retry_after or 0)
        while (early := loop.step(lambda: None) if waits[-1] > 1e-3 else None) and not early.ran:
            break

    assert waits[0] <= 1e-9
    assert waits[1] <= 1e-6
    assert waits[2] <= 1e-3


def test_a_run_waits_for_what_a_step_asked_for():
    """The retry_after of a key is kept by whoever runs it next, up to its own deadline."""
    clock, store = FakeClock(), MemoryStore()
    assert keyed(delay=60, store=store).step(lambda: None).retry_after == 60
    report = keyed(store=store, clock=clock).run(lambda: None)

    assert report.starts == 9
    assert clock.waits == (pytest.approx(60, abs=5),)


def test_a_run_whose_deadline_comes_before_its_key_starts_nothing():
    """It waits to the end of its own time and not of the key's."""
    clock, store = FakeClock(), MemoryStore()
    keyed(delay=HOUR, store=store).step(lambda: None)
    report = Loop(Deadline(total=60), key="key", store=store, clock=clock).run(
        lambda: pytest.fail("it ran")
    )

    assert (report.ran, report.breaker) == (False, "Deadline")
    assert sum(clock.waits) <= 60


async def test_an_async_run_waits_for_what_a_step_asked_for():
    """The same when it is awaited."""
    clock, store, starts = FakeClock(), MemoryStore(), []

    async def body(iteration):
        starts.append(iteration.starts)

    await keyed(delay=60, store=store).astep(body)
    report = await keyed(store=store, clock=clock).arun(body)

    assert (report.starts, starts) == (9, list(range(1, 10)))
    assert clock.waits == (pytest.approx(60, abs=5),)


async def test_an_async_run_whose_deadline_comes_before_its_key_starts_nothing():
    """The same when it is awaited."""
    clock, store = FakeClock(), MemoryStore()

    async def body(iteration):
        assert iteration.starts == 1

    await keyed(delay=HOUR, store=store).astep(body)
    report = await Loop(Deadline(total=60), key="key", store=store, clock=clock).arun(body)

    assert (report.ran, report.breaker) == (False, "Deadline")
    assert sum(clock.waits) <= 60


# What cuts a wait short --------------------------------------------------------------


class Waited(FakeClock):
    """A clock that says when somebody waits on it, and waits until that is woken."""

    virtual = False

    def __init__(self):
        super().__init__()
        self.waiting = threading.Event()

    def wait(self, seconds, woken):
        self.waiting.set()
        assert woken.wait(60)


@pytest.mark.parametrize("options", [{}, {"key": "key", "store": MemoryStore()}])
def test_a_stop_from_another_thread_ends_a_pause(options):
    """run.stop() wakes the loop at once, whatever it still had to wait."""
    clock = Waited()
    run = Loop(IterationCap(9), delay=HOUR, clock=clock, **options).start()

    def stop():
        clock.waiting.wait(60)
        run.stop("enough")

    stopper = threading.Thread(target=stop)
    stopper.start()
    report = run.run(lambda: None)
    stopper.join()

    assert (report.starts, report.reason) == (1, "enough")


def test_a_stop_before_the_pause_is_not_slept_through():
    """A stop that came in the body leaves no pause to wait."""
    run = Loop(IterationCap(9), delay=HOUR, clock=Refusing()).start()
    report = run.run(lambda: run.stop("enough"))

    assert (report.starts, report.status) == (1, Status.STOPPED)


class Stopping:
    """A sink that stops its run when it hears that a pause begins."""

    run = None

    def __call__(self, event):
        if isinstance(event, LoopPaused):
            self.run.stop("enough")


def test_a_stop_at_the_last_moment_before_the_pause_is_not_slept_through():
    """One that comes when the pause is decided, and before it is waited, leaves nothing to wait."""
    sink = Stopping()
    sink.run = Loop(IterationCap(9), delay=HOUR, clock=Refusing(), sinks=[sink]).start()
    report = sink.run.run(lambda: None)

    assert (report.starts, report.reason) == (1, "enough")


async def test_a_stop_at_the_last_moment_before_an_async_pause_is_not_slept_through():
    """The same when it is awaited."""
    sink = Stopping()
    sink.run = Loop(IterationCap(9), delay=HOUR, sinks=[sink]).start()
    with anyio.fail_after(60):
        report = await sink.run.arun(anyio.lowlevel.checkpoint)

    assert (report.starts, report.reason) == (1, "enough")


async def test_a_stop_from_another_task_ends_a_pause():
    """The same for an awaited pause."""
    run = Loop(IterationCap(9), delay=HOUR).start()
    begun = anyio.Event()

    async def body():
        begun.set()

    async def stop():
        await begun.wait()
        await anyio.wait_all_tasks_blocked()
        run.stop("enough")

    async with anyio.create_task_group() as group:
        group.start_soon(stop)
        report = await run.arun(body)

    assert (report.starts, report.status) == (1, Status.STOPPED)


def test_decorated_functions_wait_too():
    """Pacing belongs to the policy, so every way in has it."""
    clock = FakeClock()

    @bounded_loop(
        IterationCap(4), ExitCondition(success=returned), transient=OSError, delay=2, clock=clock
    )
    def fetch():
        if len(clock.waits) < 2:
            fail()
        return "page"

    assert fetch() == "page"
    assert clock.waits == (2, 2)


def test_a_pause_of_a_counted_loop_is_measured_from_the_last_end():
    """What their loop spent elsewhere need not be waited for once more."""
    clock = FakeClock()
    tool = Loop(IterationCap(9), delay=10, clock=clock).start().wrap(lambda: None)
    for away in (0, 4, 60):
        clock.advance(away)
        tool()

    assert clock.waits == (6,)
