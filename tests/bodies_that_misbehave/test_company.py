# SPDX-License-Identifier: MIT
"""Bodies that begin more than they end: their own key again, loops in loops, threads, promises."""

from __future__ import annotations

import os
import threading

import anyio
import pytest

from haltable import (
    ConfigurationError,
    ExitCondition,
    IterationCap,
    Loop,
    LoopBusy,
    LoopHalted,
    LoopInterrupt,
    MemoryStore,
    Operator,
    SQLiteStore,
    Status,
    bounded_loop,
    current,
)
from haltable.conditions import never, returned

CAP = IterationCap(3)
POLICY = (IterationCap(3), ExitCondition(success=never))


@pytest.fixture(params=["memory", "SQLite"])
def store(request, tmp_path):
    """A store of each kind that is embedded."""
    if request.param == "memory":
        yield MemoryStore()
    else:
        with SQLiteStore(tmp_path / "loops.db") as sqlite:
            yield sqlite


class Promise:
    """Something to be awaited that nobody awaited; it keeps count of who asks."""

    def __init__(self):
        self.awaited = 0

    def __await__(self):
        self.awaited += 1
        return iter(())


# Its own key again ------------------------------------------------------------------

REENTRIES = {
    "run": lambda loop: loop.run(lambda: pytest.fail("it ran")),
    "step": lambda loop: loop.step(lambda: pytest.fail("it ran")),
    "for": lambda loop: next(iter(loop)),
    "over": lambda loop: next(iter(loop.over("abc"))),
    "tick": lambda loop: loop.start().tick(),
    "wrap": lambda loop: loop.start().wrap(lambda: pytest.fail("it ran"))(),
    "block": lambda loop: loop.start().__enter__().__exit__(None, None, None),
    "function": lambda loop: bounded_loop(*POLICY, key=loop._key, store=loop._settings.store)(
        lambda: pytest.fail("it ran")
    )(),
    "generator": lambda loop: next(
        bounded_loop(*POLICY, key=loop._key, store=loop._settings.store)(endless)()
    ),
}


def endless():
    """A generator that must not begin."""
    while True:
        yield pytest.fail("it ran")


@pytest.mark.parametrize("way", REENTRIES)
def test_a_body_that_re_enters_its_own_key_is_busy(way, store):
    """From every way in, before any body starts, and it says who holds the key."""
    loop = Loop(*POLICY, key="mine", store=store)
    heard = []

    def body():
        with pytest.raises(LoopBusy) as busy:
            REENTRIES[way](loop)
        heard.append(busy.value)

    report = loop.run(body)

    assert (report.starts, report.failures, len(heard)) == (3, 0, 3)
    assert {(busy.key, busy.holder) for busy in heard} == {("mine", f"process {os.getpid()}")}
    assert all(0 < busy.lease_left <= 60 for busy in heard)
    assert "'mine' is being run by process" in str(heard[0])


def test_a_body_that_re_enters_and_does_not_catch_it_fails():
    """LoopBusy is an exception like any other of a body's: three of them trip the loop."""
    loop = Loop(IterationCap(9), key="mine", store=MemoryStore())
    report = loop.run(lambda: loop.run(lambda: pytest.fail("it ran")))

    assert (report.status, report.starts, report.failures) == (Status.TRIPPED, 3, 3)
    assert isinstance(report.error, LoopBusy)


async def test_an_async_body_that_re_enters_its_own_key_is_busy(store):
    """The same when it is awaited: arun, astep, `async for`, a tool, a block, a coroutine."""
    loop, heard = Loop(*POLICY, key="mine", store=store), []
    bounded = bounded_loop(*POLICY, key="mine", store=store)

    async def never_begun():
        raise AssertionError

    async def block():
        async with loop.start():
            pass

    async def tool():
        await loop.start().wrap(never_begun)()

    ways = [
        lambda: loop.arun(never_begun),
        lambda: loop.astep(never_begun),
        lambda: anext(aiter(loop)),
        tool,
        lambda: loop.start().atick(),
        block,
        bounded(never_begun),
    ]

    async def body():
        for way in ways:
            with pytest.raises(LoopBusy) as busy:
                await way()
            heard.append(busy.value.key)

    report = await loop.arun(body)

    assert (report.starts, report.failures, heard) == (3, 0, ["mine"] * 21)


def test_a_block_keeps_its_own_exception_while_the_key_is_busy(store):
    """What their loop raises before its first tick is theirs, whoever holds the key."""
    loop, errors = Loop(*POLICY, key="mine", store=store), []

    def theirs():
        with loop.start():
            raise OSError("theirs")

    def body():
        with pytest.raises(OSError, match="theirs") as error:
            theirs()
        errors.append(error.value.__context__)

    assert loop.run(body).failures == 0
    assert errors == [None] * 3


# Loops in loops ---------------------------------------------------------------------


def test_a_loop_in_a_loop_has_counts_of_its_own(store):
    """Both are durable, and neither spends the other's starts."""
    outer, inner = (Loop(CAP, key=name, store=store) for name in ("outer", "inner"))
    reports = []
    report = outer.run(lambda: reports.append(inner.run(lambda: None)))

    assert report.starts == 3
    assert [(each.ran, each.starts) for each in reports] == [(True, 3), (False, 3), (False, 3)]
    assert {s.key for s in Operator(store).list(status="tripped")} == {"outer", "inner"}


def test_a_hundred_loops_in_one_another_unwind():
    """However deep: each ends, and the innermost verdict stays its own."""
    depths = []

    def nest(depth):
        depths.append(depth)
        return Loop(IterationCap(1)).run(nest, depth - 1).starts if depth else 0

    report = Loop(IterationCap(1)).run(nest, 100)

    assert (report.status, report.failures, len(depths)) == (Status.TRIPPED, 0, 101)


def test_a_trip_of_an_inner_loop_is_a_failure_of_the_outer():
    """A raised trip is an exception like any other, and does not end the outer at once."""
    bounded = bounded_loop(*POLICY)(lambda: None)
    report = Loop(IterationCap(9)).run(bounded)

    assert (report.starts, report.failures) == (3, 3)
    assert isinstance(report.error, LoopHalted)


# Threads and promises ---------------------------------------------------------------


def test_a_thread_that_is_left_behind_has_no_verb_any_more():
    """P8: what a body left running is interrupted when it asks after the end."""
    ended, heard, threads = threading.Event(), [], []

    def straggle(iteration):
        ended.wait(60)
        for verb in (iteration.check, iteration.done, lambda: iteration.give_up("late")):
            try:
                verb()
            except BaseException as error:
                heard.append(type(error))

    def body(iteration):
        threads.append(threading.Thread(target=straggle, args=(iteration,)))
        threads[-1].start()

    report = Loop(IterationCap(1)).run(body)
    ended.set()
    for thread in threads:
        thread.join()

    assert (report.status, report.starts) == (Status.TRIPPED, 1)
    assert heard == [LoopInterrupt] * 3


def test_a_thread_of_an_earlier_iteration_does_not_speak_for_a_later_one():
    """A straggler of the first iteration cannot end the loop in the second."""
    begun, spoken, heard = threading.Event(), threading.Event(), []

    def straggle(iteration):
        begun.wait(60)
        try:
            iteration.done("late")
        except ConfigurationError as error:
            heard.append(str(error))
        spoken.set()

    threads = []

    def body(iteration):
        if iteration.number == 1:
            threads.append(threading.Thread(target=straggle, args=(iteration,)))
            threads[0].start()
        else:
            begun.set()
            spoken.wait(60)

    report = Loop(IterationCap(2)).run(body)
    threads[0].join()

    assert (report.status, len(heard)) == (Status.TRIPPED, 1)


async def test_a_task_that_is_left_behind_has_no_verb_any_more():
    """P8: a task that outlives the run is interrupted when it asks."""
    heard, ended = [], anyio.Event()

    async def straggle():
        iteration = current()
        await ended.wait()
        try:
            iteration.check()
        except LoopInterrupt as interrupt:
            heard.append(str(interrupt))

    async with anyio.create_task_group() as group:

        async def body():
            started = anyio.Event()
            group.start_soon(lambda: inherit(started))
            await started.wait()

        async def inherit(started):
            started.set()
            await straggle()

        report = await Loop(IterationCap(1)).arun(body)
        ended.set()

    assert report.starts == 1
    assert len(heard) == 1


def test_a_promise_from_a_sync_body_is_no_success():
    """A coroutine that nobody will await did nothing: it is a failure, and says what to do."""
    made = []

    async def work():
        raise AssertionError

    def body():
        made.append(work())
        return made[-1]

    report = Loop(IterationCap(9), ExitCondition(success=returned)).run(body)

    assert (report.status, report.starts, report.failures) == (Status.TRIPPED, 3, 3)
    assert "arun" in str(report.error)
    assert [coroutine.cr_frame for coroutine in made] == [None] * 3


def test_each_promise_from_a_sync_body_is_a_failure():
    """Also where nobody asks what the body returned: three in a row end the loop."""
    made = []

    async def work():
        raise AssertionError

    def body():
        made.append(work())
        return made[-1]

    report = Loop(IterationCap(9)).run(body)

    assert (report.status, report.starts, report.failures) == (Status.TRIPPED, 3, 3)
    assert "arun" in str(report.error)
    assert [coroutine.cr_frame for coroutine in made] == [None] * 3


def test_a_promise_from_a_step_is_no_success():
    """The same for a single step, and for a decorated function."""

    async def work():
        raise AssertionError

    loop = Loop(CAP, ExitCondition(success=returned), key="key", store=MemoryStore())
    bounded = bounded_loop(CAP, ExitCondition(success=returned))(lambda: work() or None)

    assert loop.step(lambda: work() or None).failures == 1
    assert bounded.report().failures == 3


async def test_a_promise_from_an_async_body_is_no_success():
    """An `await` that was forgotten one level further in is found too."""

    async def work():
        raise AssertionError

    async def body():
        return work()

    report = await Loop(CAP, ExitCondition(success=returned)).arun(body)

    assert (report.status, report.failures) == (Status.TRIPPED, 3)


def test_a_tool_may_hand_its_promise_to_its_caller():
    """Whoever called a wrapped tool may await what it gave, so that is left as it is."""

    async def work():
        return "reply"

    with Loop(CAP).start() as run:
        promise = run.wrap(lambda: work() or None)()
    with pytest.raises(StopIteration) as stop:
        promise.send(None)

    assert (stop.value.value, run.report.failures) == ("reply", 0)


def test_what_can_be_awaited_but_need_not_is_a_result():
    """A future or a handle is a value like any other; nobody awaits it."""
    promise = Promise()
    report = Loop(CAP, ExitCondition(success=returned)).run(lambda: promise)

    assert (report.ok, report.result, promise.awaited) == (True, promise, 0)


async def test_what_an_async_body_gives_is_awaited_once():
    """What it returns is its result, even if that could be awaited again."""
    promise = Promise()

    async def body():
        return promise

    report = await Loop(CAP, ExitCondition(success=returned)).arun(body)

    assert (report.result, promise.awaited) == (promise, 0)


async def test_an_async_body_that_gives_nothing_to_await_fails():
    """An object whose call is not async is told so by Python, as a failure."""

    class Plain:
        def __call__(self):
            return 7

    report = await Loop(IterationCap(9)).arun(Plain())

    assert (report.starts, report.failures) == (3, 3)
    assert isinstance(report.error, TypeError)


@pytest.mark.parametrize("keyed", [False, True])
@pytest.mark.parametrize("takes", [False, True])
def test_an_async_predicate_in_a_sync_run_opens(keyed, takes):
    """P7: it cannot be asked, so it ends the loop under its name and says where it could."""
    options = {"key": "key", "store": MemoryStore()} if keyed else {}

    async def without():
        raise AssertionError

    async def taking(result):
        raise AssertionError

    exit_condition = ExitCondition(success=taking if takes else without)
    report = Loop(CAP, exit_condition, **options).run(lambda: 7)

    assert (report.status, report.breaker) == (Status.TRIPPED, "ExitCondition")
    assert "use arun" in report.reason
    assert report.starts == takes


def test_a_predicate_that_gives_a_future_in_a_sync_run_opens():
    """Not only coroutines: what must be awaited is no answer, and never taken for yes."""
    report = Loop(CAP, ExitCondition(success=lambda result: Promise())).run(lambda: 7)

    assert (report.status, report.breaker, report.starts) == (Status.TRIPPED, "ExitCondition", 1)
