# SPDX-License-Identifier: MIT
"""An interrupt stays inside, also out of exception groups, and a verdict is sticky."""

from __future__ import annotations

import anyio
import pytest

from haltable import (
    ExitCondition,
    IterationCap,
    Loop,
    LoopInterrupt,
    LoopStopped,
    LoopTripped,
    MemoryStore,
    Status,
    bounded_loop,
    current,
)
from haltable._context import here
from haltable.conditions import never
from haltable.model import Outcome

POLICY = (IterationCap(3), ExitCondition(success=never))
LOOP = Loop(*POLICY)


class Theirs(BaseException):
    """What ends somebody's program."""


def heard(outcomes):
    """Returns a sink that keeps how iterations ended."""

    def sink(event):
        if hasattr(event, "outcome"):
            outcomes.append(event.outcome)

    return sink


def asked_to_stop(run):
    """Stops a run from inside and asks it, which raises the run's interrupt."""
    run.stop("enough")
    current().check()
    raise AssertionError


def grouped(run, *others):
    """Raises what a task group would: the run's interrupt among others."""
    try:
        asked_to_stop(run)
    except LoopInterrupt as interrupt:
        raise BaseExceptionGroup(
            "of tasks", [BaseExceptionGroup("inner", [interrupt]), *others]
        ) from None


def through_run(body, **options):
    """Runs a body that gets its run."""
    run = Loop(*POLICY, **options).start()
    return run.run(lambda: body(run))


def through_step(body, **options):
    """Runs one step of a body that gets its run; the run of a step has no handle."""
    loop = Loop(*POLICY, key="steps", store=MemoryStore(), **options)

    class Stopper:
        def stop(self, why):
            here.get().stop(why)

    return loop.step(lambda: body(Stopper()))


def through_for(body, **options):
    """Iterates in blocks, with the body inside."""
    run = Loop(*POLICY, **options).start()
    with pytest.raises(LoopStopped) as halted:
        iterate(run, body)
    assert halted.value.report is run.report
    return run.report


def iterate(run, body):
    """Is the `for` of a host."""
    for iteration in run:
        with iteration:
            body(run)


def through_block(body, **options):
    """Ticks in a block, with the body inside."""
    run = Loop(*POLICY, **options).start()

    def theirs():
        with run:
            run.tick()
            body(run)

    with pytest.raises(LoopStopped) as halted:
        theirs()
    assert halted.value.__cause__ is run.report.error
    return run.report


def through_tool(body, **options):
    """Calls a wrapped tool without a block, with the body inside."""
    run = Loop(*POLICY, **options).start()
    with pytest.raises(LoopStopped):
        run.wrap(lambda: body(run))()
    return run.report


def through_generator(body, **options):
    """Iterates a decorated generator, with the body inside."""
    reports = []

    @bounded_loop(*POLICY, **options)
    def work():
        reports.append(here.get())
        yield body(here.get())

    with pytest.raises(LoopStopped):
        list(work())
    return reports[0].report


WAYS = [through_run, through_for, through_block, through_tool, through_generator]


@pytest.mark.parametrize("way", WAYS)
def test_an_interrupt_never_leaves(way):
    """LoopInterrupt becomes the run's end, and the iteration it hit is no failure."""
    outcomes = []
    report = way(asked_to_stop, sinks=[heard(outcomes)])

    assert (report.status, report.reason, report.failures) == (Status.STOPPED, "enough", 0)
    assert outcomes == [Outcome.KILLED]


@pytest.mark.parametrize("way", WAYS)
def test_an_interrupt_never_leaves_in_a_group(way):
    """Alone in nested groups, as task groups raise it, it is the same interrupt."""
    outcomes = []
    report = way(grouped, sinks=[heard(outcomes)])

    assert (report.status, report.reason, report.failures) == (Status.STOPPED, "enough", 0)
    assert outcomes == [Outcome.KILLED]


@pytest.mark.parametrize("way", WAYS)
def test_what_failed_beside_an_interrupt_is_not_lost(way):
    """P9: an exception from the same group is the report's error, without our interrupt in it."""
    other = OSError("beside")
    report = way(lambda run: grouped(run, other))

    assert report.status is Status.STOPPED
    assert isinstance(report.error, ExceptionGroup)
    assert report.error.exceptions == (other,)


@pytest.mark.parametrize("way", [through_run, through_for, through_block, through_tool])
def test_what_ends_a_program_beside_an_interrupt_goes_on(way):
    """P9: what is no Exception propagates, and our interrupt stays behind."""
    with pytest.raises(BaseExceptionGroup) as raised:
        way(lambda run: grouped(run, Theirs()))

    assert [type(each) for each in raised.value.exceptions] == [Theirs]


async def test_what_ends_a_program_beside_an_async_interrupt_goes_on():
    """P9: the same when it is awaited."""
    run = LOOP.start()

    async def body():
        grouped(run, Theirs())

    with pytest.raises(BaseExceptionGroup) as raised:
        await run.arun(body)

    assert [type(each) for each in raised.value.exceptions] == [Theirs]
    assert (run.report.status, run.report.failures) == (Status.STOPPED, 0)


async def test_an_interrupt_never_leaves_an_async_step():
    """A single step that is awaited turns it into its report, alone and in a group."""
    loop = Loop(*POLICY, key="steps", store=MemoryStore())
    for body in (asked_to_stop, grouped):

        async def step(body=body):
            body(here.get())

        report = await loop.astep(step)
        assert (report.status, report.reason) == (Status.OPEN, "enough")


def test_an_interrupt_never_leaves_a_step():
    """A single step turns it into its report, alone and in a group."""
    for body in (asked_to_stop, grouped):
        report = through_step(body)
        assert (report.status, report.reason) == (Status.OPEN, "enough")


@pytest.mark.parametrize("body", [asked_to_stop, grouped])
async def test_an_interrupt_never_leaves_an_async_run(body):
    """arun, `async for`, an async block and an awaited tool do what their twins do."""
    carried, iterated, ticked, wrapped = (LOOP.start() for _ in range(4))

    async def carry():
        body(carried)

    async def iterate():
        async for iteration in iterated:
            with iteration:
                body(iterated)

    async def tick():
        async with ticked:
            await ticked.atick()
            body(ticked)

    @wrapped.wrap
    async def tool():
        body(wrapped)

    await carried.arun(carry)
    for use in (iterate, tick, tool):
        with pytest.raises(LoopStopped, match="enough"):
            await use()

    for run in (carried, iterated, ticked, wrapped):
        assert (run.report.status, run.report.failures) == (Status.STOPPED, 0)


async def test_an_interrupt_never_leaves_a_task_group():
    """A task of a real task group in the body asks, and the group's exception is our interrupt."""
    run = LOOP.start()

    async def ask():
        asked_to_stop(run)

    async def body():
        async with anyio.create_task_group() as group:
            group.start_soon(ask)
            group.start_soon(anyio.sleep_forever)

    report = await run.arun(body)

    assert (report.status, report.starts, report.failures) == (Status.STOPPED, 1, 0)


async def test_an_interrupt_never_leaves_an_async_generator():
    """A decorated async generator raises LoopStopped to whoever iterates it."""

    @bounded_loop(IterationCap(3))
    async def work():
        yield asked_to_stop(here.get())

    with pytest.raises(LoopStopped, match="enough"):
        await anext(work())


def test_an_outer_interrupt_passes_an_inner_run():
    """A nested run does not take the interrupt of the run around it for its own."""
    outer = LOOP.start()
    inner = LOOP.start
    seen = []

    def body():
        child = inner()
        try:
            child.run(lambda: asked_to_stop_outer(outer))
        finally:
            seen.append(child.report)

    report = outer.run(body)

    assert (report.status, report.reason) == (Status.STOPPED, "enough")
    assert len(seen) == 1


def asked_to_stop_outer(outer):
    """Raises the outer run's interrupt from inside the inner one's body."""
    outer.stop("enough")
    outer.check()


def test_a_verdict_is_sticky_in_a_body_that_swallows_everything():
    """P8: after the verdict every verb raises, however often the body swallows it."""
    run, refused = LOOP.start(), []

    def body(iteration):
        run.stop("enough")
        verbs = [
            iteration.check,
            iteration.done,
            lambda: iteration.give_up("why"),
            current().check,
            run.tick,
        ]
        for verb in verbs * 3:
            try:
                verb()
            except BaseException as error:
                refused.append(type(error))

    report = run.run(body)

    assert refused == [LoopInterrupt] * 15
    assert (report.status, report.starts) == (Status.STOPPED, 1)


def test_a_verdict_is_sticky_in_a_block_that_swallows_everything():
    """P8: ticks and tools go on raising, and the block still ends with the verdict."""
    run, refused, calls = Loop(IterationCap(1)).start(), [], []

    def theirs():
        with run:
            tool = run.wrap(lambda: calls.append(1))
            tool()
            for verb in [run.tick, tool] * 3:
                try:
                    verb()
                except BaseException as error:
                    refused.append(type(error))

    with pytest.raises(LoopTripped, match="all 1 starts are used"):
        theirs()

    assert (refused, calls) == ([LoopInterrupt] * 6, [1])


def test_verbs_of_an_iteration_that_is_over_say_so():
    """An iteration kept from before has no say in a later one, nor after the run."""
    kept = []

    def body(iteration):
        kept.append(iteration)
        kept[0].give_up("too late") if iteration.number > 1 else None

    report = LOOP.run(body)

    assert (report.status, report.failures) == (Status.TRIPPED, 2)
    assert "is over" in str(report.error)
    with pytest.raises(LoopInterrupt):
        kept[-1].done()
