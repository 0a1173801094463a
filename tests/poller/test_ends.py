# SPDX-License-Identifier: MIT
"""How a poller ends: by its condition, its time, a stop, or a source or store that is broken."""

from __future__ import annotations

import threading

import anyio
import pytest

from haltable import (
    ConfigurationError,
    Deadline,
    ExitCondition,
    IterationCap,
    Loop,
    MemoryStore,
    Poller,
    Status,
    StoreError,
    UnboundedLoopError,
)
from haltable.conditions import file_exists, never, returned
from haltable.testing import FakeClock
from tests.poller.sources import Attempts, in_order, policy, polled


def nothing():
    """A source without work."""


def test_until_holds_from_the_start():
    """A poller that has nothing to do asks nobody."""
    asked = []
    report = polled(lambda: asked.append(1), Attempts(), until=lambda: True).run()

    assert asked == []
    assert (report.status, report.ok) == (Status.SUCCEEDED, True)


def test_until_may_be_a_condition(tmp_path):
    """Conditions of loops that can be asked at any time end pollers too."""
    done = tmp_path / "done"
    report = polled(in_order(("k", done)), lambda path: path.touch(), until=file_exists(done)).run()

    assert report.ok
    assert "file" in report.reason


def test_a_fault_in_until_ends_it():
    """It fails closed, under that name."""

    def until():
        raise LookupError("where is it")

    report = polled(nothing, Attempts(), until=until).run()

    assert (report.status, report.breaker) == (Status.TRIPPED, "until")
    assert isinstance(report.error, LookupError)


@pytest.mark.parametrize(
    ("ready", "words"),
    [
        (lambda queue: None, "missing a required argument: 'queue'"),
        (lambda queue, skip: None, "missing a required argument: 'queue'"),
        (lambda skip, /: None, "'skip'"),
    ],
)
def test_a_source_that_cannot_be_called_is_refused(ready, words):
    """It is no fault of the world's that passes: nobody waits through ten tries for it."""
    with pytest.raises(ConfigurationError, match=f"ready=.*{words}"):
        polled(ready, Attempts())


async def test_until_may_be_async():
    """An async poller awaits its condition, and fails closed likewise."""

    async def holds():
        return True

    async def faulty():
        raise LookupError("where is it")

    good = await polled(nothing, Attempts().awaited, until=holds).arun()
    bad = await polled(nothing, Attempts().awaited, until=faulty).arun()

    assert (good.status, bad.status) == (Status.SUCCEEDED, Status.TRIPPED)


def test_its_time_is_bounded():
    """After so many seconds nothing more is started."""
    clock = FakeClock()
    report = polled(nothing, Attempts(), until=None, seconds=60, every=25, clock=clock).run()

    assert (report.status, report.breaker, clock.now()) == (Status.TRIPPED, "seconds", 60)


def broken_for_an_hour(clock):
    """A source that raises, and the options of a poller that asks it every fifty minutes."""
    asked = []

    def ready():
        asked.append(clock.now())
        raise OSError("gone")

    asking = Loop(IterationCap(5), ExitCondition(success=returned), delay=3000, clock=clock)
    return asked, ready, {"until": None, "seconds": 60, "asking": asking, "clock": clock}


@pytest.mark.parametrize(("start", "seconds"), [(0, 60), (0.7, 0.1), (7.3, 1.3)])
def test_its_time_bounds_the_wait_for_a_source_that_raises(start, seconds):
    """A back-off ends with the poller's time, also where the sum of the two is rounded."""
    clock = FakeClock(start)
    asked, ready, options = broken_for_an_hour(clock)
    report = polled(ready, Attempts(), **options | {"seconds": seconds}).run()

    assert (report.status, report.breaker, report.ready_failures) == (Status.TRIPPED, "seconds", 1)
    assert asked == [start]
    assert clock.now() == pytest.approx(start + seconds, abs=1e-4)


async def test_its_time_bounds_the_wait_for_an_async_source_that_raises():
    """The same on an event loop."""
    clock = FakeClock()
    asked, ready, options = broken_for_an_hour(clock)
    report = await polled(ready, Attempts().awaited, **options).arun()

    assert (report.status, report.breaker, asked) == (Status.TRIPPED, "seconds", [0])
    assert clock.now() == pytest.approx(60)


def test_its_time_bounds_the_wait_inside_a_run():
    """A poller in a body has its own seconds beside those of the run around it."""
    clock = FakeClock()
    asked, ready, options = broken_for_an_hour(clock)
    poller = polled(ready, Attempts(), **options)
    around = Loop(IterationCap(1), Deadline(total=1000), clock=clock).run(poller.run)

    assert (around.result.breaker, asked) == ("seconds", [0])
    assert clock.now() == pytest.approx(60)


@pytest.mark.parametrize("many", [False, True])
def test_nothing_starts_after_its_time(many):
    """What a slow source hands out too late stays where it is."""
    clock, act = FakeClock(), Attempts()

    def ready():
        clock.advance(90)
        return ("k", 1)

    def several():
        yield "early", 0
        yield ready()

    source = several if many else ready
    report = polled(source, act, until=None, seconds=60, clock=clock).run()

    assert report.breaker == "seconds"
    assert act.made == ([0] if many else [])


async def test_nothing_starts_after_its_time_in_tasks():
    """The same on an event loop."""
    clock, act = FakeClock(), Attempts()

    async def ready():
        clock.advance(90)
        return ("k", 1)

    report = await polled(ready, act.awaited, until=None, seconds=60, clock=clock).arun()

    assert (report.breaker, report.attempts, act.made) == ("seconds", 0, [])


def test_nothing_starts_after_a_stop_from_the_source():
    """A stop that comes while the next task is being handed out is in time for it."""
    act = Attempts()

    def ready():
        yield "k1", 1
        poller.stop("enough")
        yield "k2", 2

    poller = polled(ready, act)
    report = poller.run()

    assert (report.reason, act.made) == ("enough", [1])


def test_a_source_that_raises_is_asked_again_later():
    """It backs off, and what it hands out then is done."""
    clock, act = FakeClock(), Attempts()
    faults = [OSError("gone"), OSError("gone")]

    def ready():
        if faults:
            raise faults.pop()
        return ("k", 1)

    report = polled(ready, act, clock=clock).run()

    assert act.made == [1]
    assert (report.ok, report.ready_failures) == (True, 2)
    assert clock.now() > 0


@pytest.mark.parametrize("fault", [OSError("gone"), ["no pair"], "no pair", 7, {"k": 1}, ("k",)])
def test_a_source_that_stays_broken_ends_it(fault):
    """Raising, or handing out what is no task, it is asked ten times and no more."""

    def ready():
        if isinstance(fault, OSError):
            raise fault
        return fault

    report = polled(ready, Attempts()).run()

    assert (report.status, report.breaker, report.ready_failures) == (Status.TRIPPED, "ready", 10)
    assert report.error is fault or isinstance(report.error, TypeError)
    assert "ready: IterationCap: " in str(report)


async def test_an_async_source_that_stays_broken_ends_it():
    """The same on an event loop."""

    async def ready():
        raise OSError("gone")

    report = await polled(ready, Attempts().awaited).arun()

    assert (report.status, report.breaker, report.ready_failures) == (Status.TRIPPED, "ready", 10)


def test_a_cursor_that_breaks_is_asked_anew():
    """An error in the middle of an answer is the source's, and nobody is attempted twice for it."""
    act, faults = Attempts(), [OSError("lost")]

    def ready():
        yield "a", 1
        if faults:
            raise faults.pop()
        yield "b", 2

    report = polled(ready, act).run()

    assert act.made == [1, 2]
    assert report.ready_failures == 1


def test_a_cursor_that_always_breaks_ends_it():
    """Ten answers in a row that break off are enough, and none is followed by another at once."""
    clock, act = FakeClock(), Attempts()

    def ready():
        yield "a", 1
        raise OSError("lost")

    report = polled(ready, act, clock=clock).run()

    assert (report.breaker, report.ready_failures) == ("ready", 10)
    assert act.made == [1]
    assert clock.now() >= 8


async def test_an_async_cursor_that_always_breaks_ends_it():
    """The same on an event loop, and the generator is closed."""
    closed = []

    async def ready():
        try:
            yield "a", 1
            yield "b", 2
            yield "no pair"
        finally:
            closed.append(True)

    report = await polled(ready, Attempts().awaited).arun()

    assert (report.breaker, report.ready_failures) == ("ready", 10)
    assert len(closed) == 10


async def test_an_async_generator_is_closed():
    """Whether its first item is none, or the poller ends in the middle of it."""
    closed = []

    def handing_out(item):
        async def ready():
            try:
                while True:
                    yield item
            finally:
                closed.append(item)

        return ready

    async def act(payload):
        poller.stop()

    for item in ("no pair", ("k", 1)):
        poller = polled(handing_out(item), act)
        await poller.arun()

    assert closed == ["no pair"] * 10 + [("k", 1)]


def test_how_the_source_is_asked_can_be_said():
    """A loop of the caller's bounds the asking."""
    asking = Loop(IterationCap(2), ExitCondition(success=returned))

    def ready():
        raise OSError("gone")

    report = polled(ready, Attempts(), asking=asking).run()

    assert report.ready_failures == 2


class Broken(MemoryStore):
    """A store that fails while it is told to."""

    failing = True

    def read(self, key):
        if self.failing:
            raise StoreError("the disk is on fire")
        return super().read(key)

    def write(self, key, value, *, expected):
        if self.failing:
            raise StoreError("the disk is on fire", outcome="refused")
        return super().write(key, value, expected=expected)


def test_a_store_that_stays_broken_ends_it():
    """Nothing runs without a charge, each round asks one key, and after ten it is over."""
    act, clock = Attempts(), FakeClock()
    tasks = [(f"k{n}", n) for n in range(100)]
    report = polled(lambda: tasks, act, loop=policy(store=Broken()), clock=clock).run()

    assert act.made == []
    assert (report.status, report.breaker, report.store_failures) == (Status.TRIPPED, "store", 10)
    assert clock.now() >= 9


async def test_a_store_that_stays_broken_ends_tasks():
    """The same on an event loop."""
    tasks = [(f"k{n}", n) for n in range(100)]
    loop = policy(store=Broken())
    report = await polled(lambda: tasks, Attempts().awaited, loop=loop).arun()

    assert (report.breaker, report.store_failures) == ("store", 10)


def test_a_store_that_recovers_is_used_again():
    """After a few spoilt rounds the work goes on."""
    act, store = Attempts(), Broken()

    def until(so_far):
        store.failing = so_far.store_failures < 3
        return so_far.idle

    report = polled(in_order(*[[("k", 1)]] * 9), act, loop=policy(store=store), until=until).run()

    assert act.made == [1]
    assert (report.ok, report.store_failures) == (True, 3)


def test_a_store_that_is_away_is_in_the_log(caplog):
    """Who reads a daemon's log at night sees each step that its store has spoilt, and by what."""
    store = Broken()

    def until(so_far):
        store.failing = so_far.store_failures < 3
        return so_far.idle

    polled(in_order(*[[("k", 1)]] * 9), Attempts(), loop=policy(store=store), until=until).run()
    warned = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]

    assert len(warned) == 3
    assert all(line.startswith("task 'k': the store failed: StoreError: ") for line in warned)


def test_a_stop_before_the_run_counts():
    """A stop that comes too early is not lost, and holds for one run."""
    act = Attempts()
    poller = polled(in_order(("k", 1)), act)
    poller.stop("not today")
    first, second = poller.run(), poller.run()

    assert (first.status, first.reason, first.attempts) == (Status.STOPPED, "not today", 0)
    assert (second.ok, act.made) == (True, [1])


@pytest.mark.parametrize("concurrency", [1, 4])
def test_a_stop_from_another_thread_drains(concurrency):
    """What is in the air lands, what is not does not start, and nothing is interrupted."""
    begun, go = threading.Event(), threading.Event()
    landed = []

    def act(payload):
        begun.set()
        go.wait(30)
        landed.append(payload)

    tasks = [(f"k{n}", n) for n in range(50)]
    poller = Poller(lambda: tasks, act, loop=policy(), until=never, concurrency=concurrency)
    reports = []
    thread = threading.Thread(target=lambda: reports.append(poller.run()))
    thread.start()
    begun.wait(30)
    poller.stop("enough")
    go.set()
    thread.join(30)
    (report,) = reports

    assert (report.status, report.reason) == (Status.STOPPED, "enough")
    assert 1 <= len(landed) <= concurrency
    assert report.succeeded == len(landed)
    assert report.in_air == 0


@pytest.mark.parametrize("source", ["idle", "broken"])
def test_a_stop_cuts_a_rest_short(source):
    """A poller that sleeps, for its interval or for its source's back-off, stops at once."""
    asked = threading.Event()

    def ready():
        asked.set()
        if source == "broken":
            raise OSError("gone")

    asking = Loop(IterationCap(5), ExitCondition(success=returned), delay=3000)
    poller = Poller(ready, Attempts(), loop=policy(), until=never, every=3000, asking=asking)
    reports = []
    thread = threading.Thread(target=lambda: reports.append(poller.run()))
    thread.start()
    asked.wait(30)
    poller.stop()
    thread.join(30)

    assert [report.status for report in reports] == [Status.STOPPED]


@pytest.mark.parametrize("concurrency", [1, 4])
async def test_a_stop_drains_tasks(concurrency):
    """The same on an event loop."""
    begun, go, landed = anyio.Event(), anyio.Event(), []

    async def act(payload):
        begun.set()
        await go.wait()
        landed.append(payload)

    tasks = [(f"k{n}", n) for n in range(50)]
    poller = Poller(lambda: tasks, act, loop=policy(), until=never, concurrency=concurrency)
    reports = []
    async with anyio.create_task_group() as group:

        async def run():
            reports.append(await poller.arun())

        group.start_soon(run)
        await begun.wait()
        await anyio.to_thread.run_sync(poller.stop, "enough")
        go.set()
    (report,) = reports

    assert (report.status, report.reason) == (Status.STOPPED, "enough")
    assert 1 <= len(landed) == report.succeeded <= concurrency


async def test_a_stop_cuts_the_rest_of_a_task_short():
    """An async poller that sleeps stops at once, from its own thread and from another."""
    for hop in (False, True):
        asked = anyio.Event()
        poller = Poller(
            lambda asked=asked: asked.set(),
            Attempts().awaited,
            loop=policy(),
            until=never,
            every=3000,
        )
        async with anyio.create_task_group() as group:
            group.start_soon(poller.arun)
            await asked.wait()
            await anyio.lowlevel.checkpoint()
            if hop:
                await anyio.to_thread.run_sync(poller.stop)
            else:
                poller.stop()

        assert poller.snapshot() is None


async def test_a_cancelled_poller_leaves_its_tasks_open():
    """A host's cancellation reaches the attempts, and none of them becomes a failure."""
    loop, begun = policy(), anyio.Event()

    async def act(payload):
        begun.set()
        await anyio.sleep_forever()

    poller = Poller(lambda: [("a", 1), ("b", 2)], act, loop=loop, until=never, concurrency=2)
    async with anyio.create_task_group() as group:
        group.start_soon(poller.arun)
        await begun.wait()
        group.cancel_scope.cancel()
    states = [loop.with_(key=key).step(Attempts(), 1) for key in ("a", "b")]

    assert [(state.ok, state.failures) for state in states] == [(True, 0)] * 2


def test_a_poller_runs_once_at_a_time():
    """A second run beside the first is refused."""
    poller = polled(lambda: ("k", 1), lambda payload: poller.run())
    report = poller.run()

    assert report.dead == 1
    assert "this poller runs already" in poller.dead_letters()[0].last_error


def test_an_outer_loops_stop_ends_it():
    """In the body of another loop it ends with that."""
    outer = Loop(IterationCap(3), name="outer").start()

    def work():
        outer.stop("all out")
        return Poller(nothing, Attempts(), loop=policy(), until=never, every=3000).run()

    report = outer.run(work)

    assert (report.starts, report.result.status) == (1, Status.STOPPED)
    assert str(report.result).startswith("STOPPED  poller   outer: the run around it has ended")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"until": None}, "nothing ends this poller"),
        ({"every": 0}, "every=0"),
        ({"every": True}, "every=True"),
        ({"concurrency": 0}, "concurrency=0"),
        ({"concurrency": True}, "concurrency=True"),
        ({"seconds": -1}, "seconds=-1"),
        ({"until": 5}, "until=5"),
        ({"loop": None}, "loop=None"),
        ({"loop": Loop(IterationCap(1), ExitCondition(success=returned))}, "store="),
        ({"loop": Loop(IterationCap(1), key="k", store=MemoryStore())}, "success=returned"),
        ({"asking": 3}, "asking=3"),
        ({"asking": policy()}, "without a key"),
        ({"asking": Loop(Deadline(total=5))}, "success=returned"),
        ({"clock": 3}, "clock=3"),
        ({"ended": 3}, "ended=3"),
        ({"ready": 3}, "ready=3"),
        ({"act": 3}, "act=3"),
        ({"act": lambda: None}, "act="),
        ({"act": lambda one, two: None}, "act="),
    ],
)
def test_what_cannot_be_right_is_refused(given, words):
    """Nothing is started with a wrong argument, and the message names it."""
    options = {"ready": nothing, "act": Attempts(), "loop": policy(), "until": never, **given}

    with pytest.raises(ConfigurationError, match="^[^\n]*" + words):
        Poller(options.pop("ready"), options.pop("act"), **options)


def test_an_endless_poller_is_declared():
    """Without an end it is refused by the name of what it is, and `never` says it on purpose."""
    with pytest.raises(UnboundedLoopError):
        Poller(nothing, Attempts(), loop=policy())

    assert Poller(nothing, Attempts(), loop=policy(), until=never).snapshot() is None


async def test_each_way_has_its_functions():
    """An async act is refused by run, a blocking one by arun, before anything is asked."""

    async def ready():
        raise AssertionError("it must not be asked")

    for poller in (polled(nothing, Attempts().awaited), polled(ready, Attempts())):
        with pytest.raises(ConfigurationError, match="arun"):
            poller.run()
    with pytest.raises(ConfigurationError, match="block the event loop"):
        await polled(ready, Attempts()).arun()


def test_dead_letters_of_a_function_are_the_operators():
    """Where each task has its own loop, no one store can be listed."""
    poller = polled(nothing, Attempts(), loop=lambda payload: policy())

    with pytest.raises(ConfigurationError, match="Operator"):
        poller.dead_letters()


def test_a_prefix_of_dead_letters_is_a_text():
    """What no key can begin with is told in words."""
    poller = polled(nothing, Attempts())

    with pytest.raises(ConfigurationError, match=r"^dead_letters\(prefix=3\): give a text"):
        poller.dead_letters(prefix=3)
