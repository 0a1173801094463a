# SPDX-License-Identifier: MIT
"""Bodies that swallow what they should let pass, or raise what ends a program."""

from __future__ import annotations

import asyncio
import contextlib

import anyio
import pytest
import sniffio

from haltable import (
    ExitCondition,
    IterationCap,
    Loop,
    LoopTripped,
    MemoryStore,
    Operator,
    Status,
    bounded_loop,
    current,
)
from haltable.conditions import never
from haltable.events import RunEnded
from haltable.model import Outcome
from tests.ways_in.async_ways import ASYNC_WAYS
from tests.ways_in.policy import Policy
from tests.ways_in.sync_ways import WAYS

STEPS = {"step", "astep"}
ENDS = [KeyboardInterrupt, SystemExit, GeneratorExit]
#: Those in which the exception is thrown through somebody else's frame first.
GENERATORS = {"generator", "generator_method", "async_generator"}


class Swallowing:
    """A body that wraps every verb of its iteration in `except BaseException: pass`."""

    def __init__(self):
        self.starts = 0

    def __call__(self):
        self.starts += 1
        iteration = current()
        for verb in (
            iteration.check,
            iteration.done,
            iteration.check,
            lambda: iteration.remaining / 0,
            lambda: 1 / 0,
        ):
            with contextlib.suppress(BaseException):
                verb()


class Ending:
    """A body that raises what ends a program, from its second start on."""

    def __init__(self, error):
        self.starts = 0
        self._error = error

    def __call__(self):
        self.starts += 1
        if self.starts > 1:
            raise self._error


def policy(name, *, keyed=False, **options):
    """Returns a policy of three starts that never succeeds."""
    kept = {"key": "key", "store": MemoryStore()} if keyed or name in STEPS else {}
    return Policy(IterationCap(3), ExitCondition(success=never), **kept, **options)


@pytest.mark.parametrize("keyed", [False, True])
@pytest.mark.parametrize("name", WAYS)
def test_a_body_that_swallows_everything_is_capped(name, keyed):
    """P1: what a body swallows around its own verbs gives it no start."""
    body = Swallowing()

    end = WAYS[name](policy(name, keyed=keyed), body)

    assert (body.starts, end.status) == (3, Status.TRIPPED)


@pytest.mark.parametrize("keyed", [False, True])
@pytest.mark.parametrize("name", ASYNC_WAYS)
async def test_an_async_body_that_swallows_everything_is_capped(name, keyed):
    """P1: the same when it is awaited."""
    body = Swallowing()

    end = await ASYNC_WAYS[name](policy(name, keyed=keyed), body)

    assert (body.starts, end.status) == (3, Status.TRIPPED)


def test_a_body_that_swallows_a_stop_ends_all_the_same():
    """P8: the stop that it would not hear ends the loop when the body does."""
    run, heard = Loop(IterationCap(9)).start(), []

    def body(iteration):
        run.stop("enough")
        for _ in range(100):
            try:
                iteration.check()
            except BaseException as interrupt:
                heard.append(type(interrupt).__name__)
        return "as if nothing had happened"

    report = run.run(body)

    assert (report.status, report.starts) == (Status.STOPPED, 1)
    assert heard == ["LoopInterrupt"] * 100


@pytest.mark.parametrize("error", ENDS)
@pytest.mark.parametrize("keyed", [False, True])
@pytest.mark.parametrize("name", WAYS)
def test_what_ends_a_program_is_never_swallowed(name, keyed, error):
    """P9: it propagates from every way in, as an interruption and not as a failure."""
    if name == "wrap_in_threads" or (error is GeneratorExit and name in GENERATORS):
        return
    ends, outcomes = [], []

    def sink(event):
        outcomes.extend([event.outcome] if hasattr(event, "outcome") else [])
        ends.extend([event] if hasattr(event, "durable") else [])

    body = Ending(error)
    with pytest.raises(error):
        WAYS[name](policy(name, keyed=keyed, sinks=[sink]), body)

    assert body.starts == 2
    assert (ends[-1].ruling.status, ends[-1].starts) == (Status.OPEN, 2)
    bare = name in {"for_", "over"} and keyed
    assert outcomes == [Outcome.RETURNED, Outcome.FAILED if bare else Outcome.INTERRUPTED]
    assert ends[-1].failures == bare


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interruption_costs_a_start_and_no_failure(error):
    """P1: the key is open, its start is spent, and the row of failures is as it was."""
    store = MemoryStore()
    loop = Loop(IterationCap(3), key="key", store=store)
    with pytest.raises(error):
        loop.run(Ending(error))
    standing = Operator(store).show("key")

    assert (standing.status, standing.starts, standing.failures) == (Status.OPEN, 2, 0)
    assert loop.run(lambda iteration: iteration.starts).result == 3


# Generators that are closed --------------------------------------------------------------


@pytest.mark.parametrize("keyed", [False, True])
def test_a_generator_that_is_closed_early_gives_its_key_back(keyed):
    """Its finally runs while it still holds the key, and its run ends open."""
    ends, cleaned = [], []
    options = {"key": "key", "store": MemoryStore()} if keyed else {}

    @bounded_loop(IterationCap(3), sinks=[ends.append], **options)
    def work():
        try:
            while True:
                yield current().starts
        finally:
            cleaned.append(not any(isinstance(event, RunEnded) for event in ends))

    values = work()
    assert next(values) == 1
    values.close()

    assert cleaned == [True]
    assert (ends[-1].ruling.status, ends[-1].failures) == (Status.OPEN, 0)
    assert next(work()) == (2 if keyed else 1)


def test_a_generator_that_is_dropped_is_closed():
    """A consumer that goes away ends the run as `close` does."""
    cleaned = []

    @bounded_loop(IterationCap(3), key="key", store=MemoryStore())
    def work():
        try:
            while True:
                yield current().starts
        finally:
            cleaned.append(True)

    for value in work():
        assert value == 1
        break

    assert cleaned == [True]
    assert next(work()) == 2


def test_a_generator_that_closes_itself_is_told_so():
    """What Python raises for it is a failure of the generator, and leaves as such."""

    @bounded_loop(IterationCap(3))
    def work():
        yield 1
        values.close()
        yield 2

    values = work()
    assert next(values) == 1
    with pytest.raises(ValueError, match="generator already executing"):
        next(values)


def test_a_generator_that_will_not_be_closed_is_told_so():
    """One that yields in answer to its close gets Python's own error, and its run has ended."""
    ends = []

    @bounded_loop(IterationCap(3), sinks=[ends.append])
    def work():
        for _ in range(2):
            with contextlib.suppress(GeneratorExit):
                while True:
                    yield

    values = work()
    next(values)
    with pytest.raises(RuntimeError, match="ignored GeneratorExit"):
        values.close()

    assert ends[-1].ruling.status is Status.OPEN
    with pytest.raises(StopIteration):
        next(values)


@pytest.mark.parametrize("keyed", [False, True])
async def test_an_async_generator_that_is_closed_early_gives_its_key_back(keyed):
    """The same when it is awaited."""
    ends, cleaned = [], []
    options = {"key": "key", "store": MemoryStore()} if keyed else {}

    @bounded_loop(IterationCap(3), sinks=[ends.append], **options)
    async def work():
        try:
            while True:
                yield current().starts
        finally:
            await anyio.lowlevel.checkpoint()
            cleaned.append(not any(isinstance(event, RunEnded) for event in ends))

    values = work()
    assert await anext(values) == 1
    await values.aclose()
    again = work()

    assert cleaned == [True]
    assert (ends[-1].ruling.status, ends[-1].failures) == (Status.OPEN, 0)
    assert await anext(again) == (2 if keyed else 1)
    await again.aclose()


# Cancellation -------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"key": "key"}])
async def test_a_body_that_swallows_cancellation_is_capped(options):
    """P1: it gets no more starts than the cap, and mostly fewer: the driver hears it too."""
    store = {"store": MemoryStore()} if options else {}
    starts = []

    async def body():
        starts.append(1)
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            pass

    with anyio.CancelScope() as scope:
        scope.cancel()
        await Loop(IterationCap(3), **options, **store).arun(body)

    assert len(starts) <= 3
    assert scope.cancelled_caught or len(starts) == 3


async def test_a_body_that_swallows_a_task_s_cancellation_is_capped():
    """P1: asyncio tells a task once; a body that does not listen runs on to its cap."""
    if sniffio.current_async_library() != "asyncio":
        return
    starts, begun = [], asyncio.Event()

    async def body():
        starts.append(1)
        begun.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0 if len(starts) > 1 else 60)

    run = Loop(IterationCap(3)).start()
    task = asyncio.ensure_future(run.arun(body))
    await begun.wait()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task

    assert 1 <= len(starts) <= 3
    assert run.report.starts == len(starts)


async def test_a_wrapped_tool_that_is_cancelled_is_interrupted():
    """P9: the cancellation goes on, and counts neither as failure nor as success."""
    run = Loop(IterationCap(3)).start()

    @run.wrap
    async def tool():
        scope.cancel()
        await anyio.sleep_forever()

    with anyio.CancelScope() as scope:
        await tool()

    assert scope.cancelled_caught
    assert (run.report.starts, run.report.failures) == (1, 0)


def test_a_tripped_loop_stays_tripped_for_who_swallows_it():
    """P3: a host that swallows LoopTripped and goes on has no start more."""
    loop, starts = Loop(IterationCap(2), key="key", store=MemoryStore()), []
    for _ in range(5):
        with contextlib.suppress(LoopTripped):
            starts.extend(iteration.starts for iteration in loop)

    assert starts == [1, 2]
