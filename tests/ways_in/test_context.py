# SPDX-License-Identifier: MIT
"""`current()` answers while an iteration is open, and runs inside a body are children."""

from __future__ import annotations

import contextlib
import threading

import anyio
import pytest

from haltable import (
    ConfigurationError,
    Deadline,
    ExitCondition,
    IterationCap,
    Loop,
    LoopHalted,
    MemoryStore,
    Status,
    bounded_loop,
    current,
)
from haltable._context import here
from haltable.conditions import never, returned
from haltable.testing import FakeClock

THREE = Loop(IterationCap(3))


def nobody():
    """Says whether no iteration is open here."""
    try:
        current()
    except ConfigurationError:
        return True
    return False


def test_outside_of_a_body_nobody_is_current():
    """Before, after, and without any run current() says so."""
    with pytest.raises(ConfigurationError, match="no iteration of a loop is open here"):
        current()
    THREE.run(lambda: None)

    assert nobody()
    assert here.get() is None


def test_the_iteration_handed_over_is_the_current_one():
    """A body that takes its iteration and one that asks for it get the same."""
    same = []
    THREE.run(lambda iteration: same.append(current() is iteration))

    assert same == [True] * 3


def test_the_current_iteration_knows_how_long_the_loop_is_alive():
    """Its seconds go on, also through iterations on which nobody has a word."""
    clock, seen = FakeClock(), []

    def body():
        seen.append(current().elapsed)
        clock.advance(2)

    Loop(IterationCap(4), clock=clock).run(body)

    assert seen == [0, 2, 4, 6]


def test_before_the_first_iteration_nobody_is_current():
    """What is asked before the first body is asked in no iteration."""
    seen = []
    Loop(IterationCap(2), ExitCondition(success=lambda: not seen.append(nobody()))).run(len, "")

    assert seen == [True]


def test_while_the_loop_waits_nobody_is_current():
    """Between two iterations none is open."""
    seen = []

    class Watched(FakeClock):
        def wait(self, seconds, woken):
            seen.append(nobody())
            super().wait(seconds, woken)

    Loop(IterationCap(3), delay=1, clock=Watched()).run(lambda: None)

    assert seen == [True, True]


def test_a_for_is_current_only_while_its_body_has_control():
    """In the body of a `for` its iteration is current, after it nobody's."""
    numbers = []
    for iteration in Loop(IterationCap(3), ExitCondition(success=lambda: len(numbers) == 2)):
        numbers.append(current().number)
        assert current() is iteration

    assert (numbers, here.get()) == ([1, 2], None)


@pytest.mark.parametrize("leave", ["break", "raise"])
def test_a_for_that_is_left_leaves_nothing_behind(leave):
    """P10: `break` and an exception put the context back."""
    with contextlib.suppress(ZeroDivisionError):
        for iteration in THREE:
            if leave == "break":
                break
            assert iteration.number / 0

    assert here.get() is None


def test_two_that_take_turns_leave_nothing_behind():
    """P10: under zip() two loops end in any order, and each body sees the innermost."""
    seen = []

    def take_turns():
        for one, two in zip(THREE, Loop(IterationCap(9)), strict=False):
            seen.append((one.number, two.number, current() is two))

    with pytest.raises(LoopHalted):
        take_turns()

    assert seen == [(n, n, True) for n in (1, 2, 3)]
    assert here.get() is None
    for one, _ in zip(Loop(IterationCap(9)), THREE, strict=False):
        one.done()
    assert here.get() is None


def test_a_generator_is_current_only_while_it_runs():
    """A decorated generator has its iteration inside, and its consumer none."""

    @bounded_loop(IterationCap(3))
    def work():
        yield current().number
        yield current().number

    seen = [(number, nobody()) for number in work()]

    assert seen == [(1, True), (2, True)]


async def test_an_async_generator_is_current_only_while_it_runs():
    """The same when it is awaited."""

    @bounded_loop(IterationCap(3))
    async def work():
        for _ in range(2):
            await anyio.lowlevel.checkpoint()
            yield current().number

    seen = [(number, nobody()) async for number in work()]

    assert seen == [(1, True), (2, True)]


async def test_tasks_have_their_own():
    """Two runs in two tasks at once see their own iterations, and so do their subtasks."""
    seen = {1: [], 2: []}

    async def body(number):
        async with anyio.create_task_group() as group:
            group.start_soon(look, number)

    async def look(number):
        await anyio.lowlevel.checkpoint()
        seen[number].append((current().number, current().key))

    async with anyio.create_task_group() as group:
        for number in seen:
            loop = Loop(IterationCap(3), key=str(number), store=MemoryStore())
            group.start_soon(loop.arun, body, number)

    assert seen == {n: [(1, str(n)), (2, str(n)), (3, str(n))] for n in seen}


def test_threads_have_their_own():
    """One loop shared by eight threads: each has its own run, counts and iteration."""
    seen = [[] for _ in range(8)]
    at_once = threading.Barrier(8)

    def body(mine):
        at_once.wait()
        mine.append(current().number)

    threads = [threading.Thread(target=THREE.run, args=(body, mine)) for mine in seen]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert seen == [[1, 2, 3]] * 8


def test_after_a_nested_run_the_outer_is_current_again():
    """Each way to nest gives the context back: run, decorated, `for`, block, `for` in a block."""
    fetch = bounded_loop(IterationCap(3), ExitCondition(success=returned))(nobody)
    same = []

    def body(iteration):
        THREE.run(lambda: same.append(current() is not iteration))
        same.append(current() is iteration)
        fetch()
        same.append(current() is iteration)
        for inner in THREE:
            same.append(current() is inner)
            break
        same.append(current() is iteration)
        with THREE.start() as run:
            run.tick()
            same.append(current() is not iteration)
        same.append(current() is iteration)
        with THREE.start() as run:
            for inner in run:
                same.append(current() is inner)
                inner.done()
        same.append(current() is iteration)

    report = Loop(IterationCap(1)).run(body)

    assert (report.failures, set(same), len(same)) == (0, {True}, 11)


def test_caps_of_nested_loops_are_independent():
    """An inner run's starts cost the outer none, and begin anew in each of its iterations."""
    starts = []
    outer = THREE.run(lambda: starts.append(THREE.run(lambda: None).starts))

    assert (outer.starts, starts) == (3, [3, 3, 3])


def test_the_outer_stop_reaches_the_inner_run():
    """A child ends when the run around it is stopped, at its next turn, and so does the outer."""
    outer, inner = THREE.start(), []

    def body():
        child = Loop(IterationCap(9)).start()
        inner.append(child.run(lambda: outer.stop("enough") if not inner else None))

    report = outer.run(body)

    assert (report.status, report.starts) == (Status.STOPPED, 1)
    assert (inner[0].status, inner[0].breaker, inner[0].starts) == (Status.STOPPED, "outer", 1)
    assert "enough" in inner[0].reason


def test_the_outer_stop_leaves_an_inner_key_open():
    """The key of a child belongs to its next run: only an operator stops a key."""
    outer, inner = THREE.start(), []
    loop = Loop(IterationCap(9), key="child", store=MemoryStore())
    outer.run(lambda: inner.append(loop.run(lambda: outer.stop("enough"))))

    assert (inner[0].status, inner[0].durable) == (Status.OPEN, True)
    assert loop.run(lambda: None).starts == 9


def test_a_run_begun_inside_a_stopped_one_starts_nothing():
    """A child that comes too late ends before its first body."""
    outer, inner = THREE.start(), []

    def body():
        outer.stop("enough")
        inner.append(THREE.run(lambda: pytest.fail("it ran")))

    outer.run(body)

    assert (inner[0].ran, inner[0].status) == (False, Status.STOPPED)


def test_the_outer_deadline_reaches_the_inner_run():
    """A child starts nothing after the deadline of the run around it."""
    clock, inner = FakeClock(), []
    outer = Loop(Deadline(total=10), clock=clock)
    nested = Loop(IterationCap(99), clock=clock)
    report = outer.run(lambda: inner.append(nested.run(lambda: clock.advance(3))))

    assert report.breaker == "Deadline"
    assert (len(inner), inner[0].starts, inner[0].breaker) == (1, 4, "outer")


def test_the_outermost_deadline_reaches_the_innermost_run():
    """Deadlines go down through as many runs as there are."""
    clock, inner = FakeClock(), []
    nested = Loop(IterationCap(99), clock=clock)

    def between():
        inner.append(nested.run(lambda: clock.advance(3)))

    Loop(Deadline(total=10), clock=clock).run(
        lambda: Loop(IterationCap(1), Deadline(total=99), clock=clock).run(between)
    )

    assert inner[0].starts == 4


def test_a_deadline_is_not_read_on_another_clock():
    """A child with a clock of its own has no seconds in common with the run around it."""
    outer, inner = Loop(Deadline(total=10), clock=FakeClock()), []

    def body(iteration):
        clock = FakeClock()
        nested = Loop(IterationCap(9), clock=clock)
        inner.append(nested.run(lambda: clock.advance(60)))
        iteration.give_up("that is all")

    outer.run(body)

    assert (inner[0].starts, inner[0].breaker) == (9, "IterationCap")


def test_an_inner_wait_is_clipped_to_the_outer_deadline():
    """A child does not sleep past the end of the run around it."""
    clock = FakeClock()
    nested = Loop(IterationCap(99), delay=60, clock=clock)
    Loop(Deadline(total=10), clock=clock).run(nested.run, lambda: None)

    assert clock.waits == (10,)


def test_the_wait_for_an_inner_key_is_clipped_to_the_outer_deadline():
    """Nor does it wait past that for the retry_after of its own key."""
    clock, store = FakeClock(), MemoryStore()
    nested = Loop(
        IterationCap(99), ExitCondition(success=never), delay=60, key="k", store=store, clock=clock
    )
    assert nested.step(lambda: None).retry_after == 60
    Loop(Deadline(total=10), clock=clock).run(nested.run, lambda: pytest.fail("it ran"))

    assert sum(clock.waits) <= 10


async def test_the_outer_stop_reaches_an_async_child():
    """A child of an async run is stopped with it, also in the middle of its pause."""
    outer, inner = THREE.start(), []

    async def nothing():
        await anyio.lowlevel.checkpoint()

    async def body():
        async with anyio.create_task_group() as group:
            group.start_soon(carry)
            while not inner:
                await anyio.lowlevel.checkpoint()
            outer.stop("enough")

    async def carry():
        child = Loop(IterationCap(9), delay=3600).start()
        inner.append(child)
        await child.arun(nothing)

    report = await outer.arun(body)

    assert report.status is Status.STOPPED
    assert (inner[0].report.status, inner[0].report.breaker) == (Status.STOPPED, "outer")
