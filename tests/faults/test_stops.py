# SPDX-License-Identifier: MIT
"""Stops from outside, by the host's handle and by an operator: in a body, in a pause, between."""

from __future__ import annotations

import contextlib
import threading
import time

import anyio
import pytest

from haltable import IterationCap, Loop, LoopHalted, LoopInterrupt, MemoryStore, Operator
from haltable._watch import INTERVAL, shared

KEY = "job"
CAP = 50
#: Seconds that no test waits for; whoever does not wake is found by them.
LONG = 60.0
#: "Within about a second": the watcher's interval, and what a shared machine adds.
SOON = INTERVAL + 2.0


class Ears:
    """A sink that lets others wait for an event, from any thread."""

    def __init__(self):
        self.heard = []
        self.paused = threading.Event()

    def __call__(self, event):
        self.heard.append(type(event).__name__)
        if self.heard[-1] == "LoopPaused":
            self.paused.set()


@pytest.fixture
def store():
    """A store in memory."""
    return MemoryStore()


@pytest.fixture
def ears():
    """A sink."""
    return Ears()


@pytest.fixture
def ops(store):
    """Ana's handle."""
    return Operator(store)


def keyed(store, **options):
    """A loop with a key."""
    return Loop(IterationCap(CAP), key=KEY, store=store, **options)


def unkeyed(store, **options):
    """A loop without."""
    return Loop(IterationCap(CAP), **options)


LOOPS = pytest.mark.parametrize("make", [keyed, unkeyed])


@contextlib.contextmanager
def beside(work, *args):
    """Does something in another thread, and waits for it."""
    failed = []

    def carried():
        try:
            work(*args)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=carried)
    thread.start()
    try:
        yield
    finally:
        thread.join(LONG)
    assert not thread.is_alive()
    assert failed == []


def ana_stops(ops):
    """What an operator does."""
    ops.stop(KEY, by="ana", why="runaway")


def check_by_ana(report, ops, starts):
    """Holds a run that an operator stopped against its record."""
    state = ops.show(KEY)
    assert (report.status, report.breaker, report.durable) == ("stopped", "operator", True)
    assert "ana: runaway" in report.reason
    assert (state.status, state.starts, state.running) == ("stopped", starts, None)
    assert state.failures == report.failures == 0
    assert not shared.tokens()


def check_by_host(report, starts):
    """Holds a run that its host stopped: a key stays open for the next run."""
    assert report.status == ("stopped" if report.key is None else "open")
    assert (report.breaker, report.starts, report.failures) == ("run", starts, 0)
    assert "enough" in report.reason
    assert not shared.tokens()


# An operator ----------------------------------------------------------------------


def test_operator_stops_a_sync_body_at_its_end(store, ops):
    """A thread cannot be interrupted: the stop takes effect when the body returns."""
    bodies = []

    def body():
        bodies.append(1)
        if len(bodies) == 3:
            ana_stops(ops)

    report = keyed(store).run(body)

    assert len(bodies) == 3
    check_by_ana(report, ops, starts=3)


def test_operator_stops_a_sync_body_that_asks(store, ops):
    """A body that asks `iteration.check()` hears of an operator's stop within about a second."""
    heard = []

    def body(iteration):
        ana_stops(ops)
        began, pause = time.monotonic(), threading.Event()
        try:
            while time.monotonic() < began + LONG:
                iteration.check()
                pause.wait(0.01)
        except LoopInterrupt:
            heard.append(time.monotonic() - began)
            raise

    report = keyed(store).run(body)

    assert len(heard) == 1
    assert heard[0] < SOON
    check_by_ana(report, ops, starts=1)


async def test_operator_interrupts_an_async_body(store, ops):
    """Rule 5: a body that awaits is interrupted within about a second."""
    ended = []

    async def body():
        ana_stops(ops)
        began = anyio.current_time()
        try:
            await anyio.sleep(LONG)
        finally:
            ended.append(anyio.current_time() - began)

    report = await keyed(store).arun(body)

    assert len(ended) == 1
    assert ended[0] < SOON
    check_by_ana(report, ops, starts=1)


async def test_what_fails_while_an_operator_interrupts_is_not_lost(store, ops):
    """P9: tasks of the body that fail over it are the report's error, without our cancellation."""

    async def fail_in_the_end():
        try:
            await anyio.sleep(LONG)
        finally:
            raise OSError("while closing")

    async def body():
        ana_stops(ops)
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep, LONG)
            group.start_soon(fail_in_the_end)

    report = await keyed(store).arun(body)

    assert (report.status, report.starts, report.durable) == ("stopped", 1, True)
    assert ops.show(KEY).status == "stopped"
    assert isinstance(report.error, ExceptionGroup)
    assert [str(error) for error in report.error.exceptions] == ["while closing"]


def test_operator_cuts_a_sync_pause_short(store, ops, ears):
    """Rule 5: a stop in a pause ends it within about a second."""

    def stop():
        assert ears.paused.wait(LONG)
        ana_stops(ops)
        since.append(time.monotonic())

    since = []
    with beside(stop):
        report = keyed(store, delay=LONG, sinks=[ears]).run(lambda: None)

    assert time.monotonic() - since[0] < SOON
    check_by_ana(report, ops, starts=1)
    assert ears.heard == ["IterationStarted", "IterationEnded", "LoopPaused", "RunEnded"]


async def test_operator_cuts_an_async_pause_short(store, ops, ears):
    """Rule 5: the same of an async run; what ended before the pause is told once."""

    async def stop():
        await anyio.to_thread.run_sync(ears.paused.wait)
        ana_stops(ops)
        nonlocal since
        since = anyio.current_time()

    since, reports = None, []

    async def run():
        reports.append(await keyed(store, delay=LONG, sinks=[ears]).arun(_nothing))

    async with anyio.create_task_group() as group:
        group.start_soon(run)
        group.start_soon(stop)

    assert anyio.current_time() - since < SOON
    check_by_ana(reports[0], ops, starts=1)
    assert ears.heard == ["IterationStarted", "IterationEnded", "LoopPaused", "RunEnded"]


def test_operator_stops_between_two_steps(store, ops):
    """Between steps nobody holds the key: the stop is terminal at once, the next step refused."""
    loop = keyed(store)
    with contextlib.suppress(LoopHalted):
        for iteration in loop:
            with iteration:
                pass
            break
    ana_stops(ops)

    assert ops.show(KEY).status == "stopped"
    report = loop.run(lambda: None)
    assert (report.status, report.ran, report.starts) == ("stopped", False, 1)


def test_operator_stops_a_key_whose_owner_is_gone(store, ops):
    """Rule 3: where the owner is dead, the successor makes the stop terminal, or the operator."""
    run = keyed(store).start()
    iterator = iter(run)
    next(iterator)
    ana_stops(ops)
    requested = ops.show(KEY)
    iterator.close()

    assert (requested.status, requested.stop_requested) == ("open", "ana")
    assert ops.show(KEY).status == "stopped"
    assert run.report.status == "stopped"


# The host -------------------------------------------------------------------------


@LOOPS
def test_host_stops_in_a_body(make, store):
    """`run.stop()` from another thread lets the body end, and nothing start after it."""
    inside, bodies = threading.Event(), []

    def body():
        bodies.append(1)
        inside.set()
        assert stopped.wait(LONG)

    def stop():
        assert inside.wait(LONG)
        run.stop("enough")
        stopped.set()

    stopped, run = threading.Event(), make(store).start()
    with beside(stop):
        report = run.run(body)

    assert len(bodies) == 1
    check_by_host(report, starts=1)


@LOOPS
def test_host_stops_in_a_pause(make, store, ears):
    """`run.stop()` from another thread cuts a pause short at once."""
    run, since = make(store, delay=LONG, sinks=[ears]).start(), []

    def stop():
        assert ears.paused.wait(LONG)
        since.append(time.monotonic())
        run.stop("enough")

    with beside(stop):
        report = run.run(lambda: None)

    assert time.monotonic() - since[0] < SOON - INTERVAL
    check_by_host(report, starts=1)


@LOOPS
def test_host_stops_between(make, store):
    """`run.stop()` between two iterations of a `for` ends it at the next turn."""
    run = make(store).start()
    iterator, bodies = iter(run), 0
    with next(iterator):
        bodies += 1
    run.stop("enough")
    with pytest.raises(LoopHalted):
        next(iterator)

    assert bodies == 1
    check_by_host(run.report, starts=1)


@LOOPS
async def test_host_stops_an_async_body_from_a_task(make, store):
    """`run.stop()` does not interrupt an async body either: it waits for its end."""
    inside, stopped = anyio.Event(), anyio.Event()
    ended, run = [], make(store).start()

    async def body():
        inside.set()
        await stopped.wait()
        await anyio.lowlevel.checkpoint()
        ended.append(1)

    async with anyio.create_task_group() as group:
        group.start_soon(run.arun, body)
        await inside.wait()
        run.stop("enough")
        stopped.set()

    assert ended == [1]
    check_by_host(run.report, starts=1)


@LOOPS
@pytest.mark.parametrize("from_thread", [False, True], ids=["from a task", "from a thread"])
async def test_host_stops_an_async_pause(make, store, ears, from_thread):
    """`run.stop()` cuts an async pause short at once, from a task and from a thread."""
    run = make(store, delay=LONG, sinks=[ears]).start()
    async with anyio.create_task_group() as group:
        group.start_soon(run.arun, _nothing)
        await anyio.to_thread.run_sync(ears.paused.wait)
        since = anyio.current_time()
        if from_thread:
            await anyio.to_thread.run_sync(run.stop, "enough")
        else:
            run.stop("enough")

    assert anyio.current_time() - since < SOON - INTERVAL
    check_by_host(run.report, starts=1)


@LOOPS
async def test_host_stops_an_async_body_from_a_thread(make, store):
    """`run.stop()` from a thread, in a body: no later body starts."""
    run, bodies = make(store).start(), []

    async def body():
        bodies.append(1)
        await anyio.to_thread.run_sync(run.stop, "enough")

    await run.arun(body)

    assert bodies == [1]
    check_by_host(run.report, starts=1)


@LOOPS
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_host_stops_a_run_whose_event_loop_is_gone(make, store, backend):
    """P8: stopping a run that has ended does nothing, wherever it ended and whoever asks."""
    ears = Ears()
    run = make(store, delay=LONG, sinks=[ears]).start()

    async def cancelled_in_a_pause():
        async with anyio.create_task_group() as group:
            group.start_soon(run.arun, _nothing)
            await anyio.to_thread.run_sync(ears.paused.wait)
            group.cancel_scope.cancel()

    anyio.run(cancelled_in_a_pause, backend=backend)
    before = run.report
    with beside(run.stop):
        run.stop()

    assert run.report is before
    assert "interrupted" in before.reason


async def _nothing():
    pass
