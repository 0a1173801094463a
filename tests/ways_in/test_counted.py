# SPDX-License-Identifier: MIT
"""Somebody else's loop, counted: blocks, ticks and wrapped tools."""

from __future__ import annotations

import contextlib
import inspect
import threading

import anyio
import pytest

from haltable import (
    ConfigurationError,
    ExitCondition,
    IterationCap,
    Loop,
    LoopHalted,
    LoopInterrupt,
    LoopStopped,
    LoopTripped,
    Status,
    current,
)
from haltable.conditions import never
from haltable.model import Outcome

CAP = IterationCap(3)
LOOP = Loop(CAP)


class Heard:
    """A sink that keeps how iterations ended."""

    def __init__(self):
        self.outcomes = []

    def __call__(self, event):
        if hasattr(event, "outcome"):
            self.outcomes.append(event.outcome)


def fail_in(run, error):
    """Raises inside a block after its first tick."""
    with run:
        run.tick()
        raise error


def test_a_block_that_ends_cleanly_succeeds():
    """With no exit condition declared, a block that ends by itself is a success."""
    with LOOP.start() as run:
        run.tick()
        run.tick()

    assert (run.report.status, run.report.starts) == (Status.SUCCEEDED, 2)


def test_a_block_without_a_tick_succeeds_with_nothing_run():
    """Nothing needed to be done, and the report says that nothing ran."""
    with LOOP.start() as run:
        pass

    assert (run.report.status, run.report.ran) == (Status.SUCCEEDED, False)


@pytest.mark.parametrize(("holds", "status"), [(True, Status.SUCCEEDED), (False, Status.OPEN)])
def test_a_block_that_ends_cleanly_asks_the_exit_condition(holds, status):
    """A declared exit condition has the last word on a block's end."""
    ended = []
    with Loop(CAP, ExitCondition(success=lambda: bool(ended) and holds)).start() as run:
        run.tick()
        ended.append(True)

    assert run.report.status is status


def test_the_tick_that_is_too_many_raises():
    """Tick N+1 raises at once, and the block turns it into LoopTripped with the report."""
    run, ticks = LOOP.start(), []

    def theirs():
        with run:
            for number in range(9):
                run.tick()
                ticks.append(number)

    with pytest.raises(LoopTripped) as halted:
        theirs()

    assert (ticks, halted.value.report) == ([0, 1, 2], run.report)


def test_a_tick_that_is_too_many_without_a_block_raises_the_same():
    """Where no block could turn an interrupt into it, LoopTripped comes from tick() itself."""
    run = LOOP.start()
    for _ in range(3):
        run.tick()
    for _ in range(2):
        with pytest.raises(LoopTripped):
            run.tick()

    assert run.report.starts == 3


def test_an_interrupt_passes_what_feeds_exceptions_to_a_model():
    """`except Exception` in a framework's loop does not keep the block from ending."""

    def theirs():
        with LOOP.start() as run:
            while True:
                with contextlib.suppress(Exception):
                    run.tick()

    with pytest.raises(LoopTripped):
        theirs()


def test_an_interrupt_after_success_ends_the_block_as_a_success():
    """The tick after the success stops their loop, and nobody hears of an error."""
    seen = []
    with Loop(CAP, ExitCondition(success=lambda: len(seen) == 2)).start() as run:
        while True:
            run.tick()
            seen.append(run.snapshot().starts)

    assert (run.report.status, seen) == (Status.SUCCEEDED, [1, 2])


def test_an_exception_leaves_a_block_as_it_is():
    """Somebody else's exception passes; the report is on the run, the failure counted."""
    run = LOOP.start()
    with pytest.raises(OSError, match="theirs") as error:
        fail_in(run, OSError("theirs"))

    assert error.value.__cause__ is None
    assert (run.report.status, run.report.failures) == (Status.OPEN, 1)
    assert run.report.error is error.value


def test_an_exception_before_the_first_tick_asks_nobody():
    """Nothing was begun, so no condition is asked and nothing counts as a failure."""
    asked = []
    loop = Loop(CAP, ExitCondition(success=lambda: asked.append(1)))
    with pytest.raises(OSError, match="theirs"), loop.start() as run:
        raise OSError("theirs")

    assert (asked, run.report.failures, run.report.status) == ([], 0, Status.OPEN)


def test_a_block_is_a_failure_limit_away_from_a_trip():
    """The exception that reaches a limit trips the loop, and still leaves as it is."""
    run = Loop(IterationCap(3, max_consecutive_failures=1)).start()
    with pytest.raises(OSError, match="theirs"):
        fail_in(run, OSError("theirs"))

    assert run.report.status is Status.TRIPPED


def test_nothing_of_a_run_can_be_used_after_its_block():
    """P8: after the block every verb raises, and outside of it no interrupt."""
    with LOOP.start() as run:
        tool = run.wrap(len)
        tool("one")
    for verb in (run.tick, lambda: tool("two")):
        with pytest.raises(LoopHalted):
            verb()
    for use in (lambda: iter(run), lambda: run.run(len), run.__enter__):
        with pytest.raises(ConfigurationError, match="used already"):
            use()

    assert run.report.starts == 1


def test_what_drives_itself_is_not_ticked():
    """tick() and wrap() inside a loop of the run's own would count behind its back."""
    run = LOOP.start()
    refused = []

    def body():
        for verb in (run.tick, run.wrap(lambda: None)):
            try:
                verb()
            except ConfigurationError as error:
                refused.append(str(error))

    report = run.run(body)

    assert (report.starts, len(refused)) == (3, 6)
    assert all("somebody else drives" in each for each in refused)


def test_a_wrapped_tool_keeps_its_signature():
    """A framework that looks at a tool sees the tool."""

    def tool(order: int, *, retries: int = 2) -> str:
        """Sends an order."""
        return f"{order} {retries}"

    async def atool(order: int) -> str:
        """Sends an order in a while."""
        return str(order)

    run = LOOP.start()
    for each in (tool, atool):
        wrapped = run.wrap(each)
        assert inspect.signature(wrapped) == inspect.signature(each)
        assert (wrapped.__name__, wrapped.__doc__) == (each.__name__, each.__doc__)
        assert inspect.iscoroutinefunction(wrapped) == inspect.iscoroutinefunction(each)
    assert run.wrap(tool)(1, retries=3) == "1 3"


def test_a_wrapped_tool_s_exception_is_an_outcome_and_is_raised():
    """Its caller gets the very exception, and the run counts a failure."""
    error = OSError("no answer")
    heard = Heard()

    def tool():
        raise error

    with Loop(IterationCap(9), sinks=[heard]).start() as run:
        wrapped = run.wrap(tool)
        with pytest.raises(OSError, match="no answer") as raised:
            wrapped()

    assert raised.value is error
    assert heard.outcomes == [Outcome.FAILED]


def test_a_wrapped_tool_is_a_whole_iteration():
    """Between two calls no iteration is open, in one it is the current one."""
    numbers = []
    with LOOP.start() as run:
        tool = run.wrap(lambda: numbers.append(current().number))
        for _ in range(2):
            tool()
            with pytest.raises(ConfigurationError, match="no iteration of a loop is open"):
                current()

    assert numbers == [1, 2]


def test_a_wrapped_tool_sees_its_iteration_in_a_thread():
    """A thread that a framework starts has an empty context, and the tool its iteration."""
    numbers = []
    run = LOOP.start()
    thread = threading.Thread(target=run.wrap(lambda: numbers.append(current().number)))
    thread.start()
    thread.join()

    assert numbers == [1]


def test_a_wrapped_tool_may_say_that_it_is_done():
    """done() inside a tool ends the run; the next call says so."""
    with LOOP.start() as run:
        run.wrap(lambda: current().done("reply"))()
        run.wrap(lambda: pytest.fail("it ran"))()

    assert (run.report.status, run.report.result) == (Status.SUCCEEDED, "reply")


def test_a_tool_that_calls_another_is_told():
    """One iteration inside another is refused by name, and costs nothing."""
    run = LOOP.start()
    inner = run.wrap(lambda: pytest.fail("it ran"))

    def outer():
        with pytest.raises(ConfigurationError, match="iteration 1 of this run is still open"):
            inner()
        return "done"

    assert run.wrap(outer)() == "done"
    assert run.report.starts == 1


async def test_a_task_s_tool_that_calls_another_is_told():
    """The same for tools that are awaited: the second does not wait for the first for ever."""
    run = LOOP.start()

    @run.wrap
    async def inner():
        raise AssertionError

    @run.wrap
    async def outer():
        with pytest.raises(ConfigurationError, match="iteration 1 of this run is still open"):
            await inner()

    await outer()

    assert run.report.starts == 1


async def test_an_async_block_does_what_the_other_does():
    """Its end, its interrupt and its exceptions are those of the synchronous block."""
    clean, tripped, failed = LOOP.start(), LOOP.start(), LOOP.start()

    async def trip():
        async with tripped:
            while True:
                with contextlib.suppress(Exception):
                    await tripped.atick()

    async def fail():
        async with failed:
            await failed.atick()
            raise OSError("theirs")

    async with clean:
        await clean.atick()
    with pytest.raises(LoopTripped):
        await trip()
    with pytest.raises(OSError, match="theirs"):
        await fail()

    assert [run.report.status for run in (clean, tripped, failed)] == [
        Status.SUCCEEDED,
        Status.TRIPPED,
        Status.OPEN,
    ]


def test_a_stopped_block_says_who_stopped_it():
    """run.stop() ends somebody else's loop at its next tick."""

    def theirs():
        with LOOP.start() as run:
            run.tick()
            run.stop("enough")
            run.tick()

    with pytest.raises(LoopStopped, match="enough") as halted:
        theirs()

    assert halted.value.report.starts == 1


def test_a_stopped_tool_is_interrupted_where_it_asks():
    """check() inside a tool ends it, and nothing but LoopStopped reaches a caller without block."""
    run = LOOP.start()
    heard = []

    def tool():
        run.stop("enough")
        try:
            current().check()
        except LoopInterrupt as interrupt:
            heard.append(str(interrupt))
            raise

    with pytest.raises(LoopStopped, match="enough"):
        run.wrap(tool)()
    assert heard == ["run: enough"]


async def test_a_stopped_async_tool_is_interrupted_where_it_asks():
    """The same for a tool that is awaited."""
    run = Loop(CAP, ExitCondition(success=never)).start()

    @run.wrap
    async def tool():
        run.stop("enough")
        await anyio.lowlevel.checkpoint()
        current().check()

    with pytest.raises(LoopStopped, match="enough"):
        await tool()


async def test_an_async_block_that_fails_before_anything_began_passes_it_on():
    """What is raised before the first tick is nobody's outcome, and no key is opened over it."""
    run = Loop(CAP).start()

    async def theirs():
        async with run:
            raise OSError("no")

    with pytest.raises(OSError, match="no"):
        await theirs()

    assert (run.report.status, run.report.ran, run.report.failures) == (Status.OPEN, False, 0)
    assert "left by OSError: no" in run.report.reason


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_ends_a_program_leaves_a_tool_and_a_block(error):
    """P9: it propagates from both, is recorded as an interruption, and is no failure."""
    heard = Heard()

    def tool():
        raise error

    with pytest.raises(error), Loop(CAP, sinks=[heard]).start() as run:
        run.wrap(tool)()
    ticked = LOOP.start()
    with pytest.raises(error):
        fail_in(ticked, error())

    for ended in (run, ticked):
        assert (ended.report.status, ended.report.failures) == (Status.OPEN, 0)
        assert error.__name__ in ended.report.reason
    assert Outcome.FAILED not in heard.outcomes
