# SPDX-License-Identifier: MIT
"""What leaves a loop: the user's own exceptions, whole and short, and errors that travel."""

from __future__ import annotations

import contextlib
import copy
import pickle
import traceback
from pathlib import Path

import attrs
import pytest

import haltable
from haltable import (
    Breaker,
    ConfigurationError,
    ExitCondition,
    IterationCap,
    Loop,
    LoopBusy,
    LoopHalted,
    LoopInterrupt,
    LoopTripped,
    MemoryStore,
    Report,
    ResultNotStored,
    Status,
    StoreError,
    UnboundedLoopError,
    bounded_loop,
)
from haltable.conditions import returned
from haltable.errors import RecordError
from tests.ways_in.async_ways import ASYNC_WAYS
from tests.ways_in.policy import Policy
from tests.ways_in.sync_ways import WAYS

OURS = str(Path(haltable.__file__).parent)
ONCE = IterationCap(1, max_consecutive_failures=None)
STEPS = {"step", "astep"}


class Marked(OSError):
    """An exception of the user's that keeps the last of its kind."""

    last = None


def fail():
    """A body that fails, and remembers with what."""
    Marked.last = Marked("theirs")
    raise Marked.last


def frames_of_ours(error):
    """Returns how many frames of the library lie in an exception's traceback."""
    return sum(
        frame.f_code.co_filename.startswith(OURS)
        for frame, _ in traceback.walk_tb(error.__traceback__)
    )


def policy(name):
    """Returns a policy under which one failure ends the loop."""
    options = {"key": "key", "store": MemoryStore()} if name in STEPS else {}
    return Policy(ONCE, ExitCondition(success=returned), **options)


@pytest.mark.parametrize("name", WAYS)
def test_a_user_s_exception_has_at_most_two_frames_of_ours(name):
    """Whether it is the cause or leaves by itself: whoever reads it reads their own code."""
    with contextlib.suppress(Marked):
        WAYS[name](policy(name), fail)

    assert Marked.last.__cause__ is None
    assert frames_of_ours(Marked.last) <= 2


@pytest.mark.parametrize("name", ASYNC_WAYS)
async def test_a_user_s_async_exception_has_at_most_two_frames_of_ours(name):
    """The same from the async twins."""
    with contextlib.suppress(Marked):
        await ASYNC_WAYS[name](policy(name), fail)

    assert Marked.last.__cause__ is None
    assert frames_of_ours(Marked.last) <= 2


@pytest.mark.parametrize(
    "use",
    [
        lambda loop: loop.run(fail).unwrap(),
        lambda loop: loop.run(len, 7).unwrap(),
        lambda loop: loop.run(lambda iteration, order: fail(), "order").unwrap(),
        lambda loop: bounded_loop(ONCE, ExitCondition(success=returned))(fail)(),
    ],
)
def test_the_last_exception_is_the_cause(use):
    """It is the very object, unwrapped, and nothing else is shown beside it."""
    with pytest.raises(LoopTripped) as halted:
        use(Loop(ONCE))

    error = halted.value
    assert error.__cause__ is error.report.error
    assert isinstance(error.__cause__, (Marked, TypeError))
    assert error.__cause__.__context__ is None
    assert error.__suppress_context__
    assert frames_of_ours(error.__cause__) <= 2


def test_a_loop_without_failures_has_no_cause():
    """A trip of the cap alone shows nobody's exception."""
    with pytest.raises(LoopTripped) as halted:
        Loop(ONCE).run(lambda: None).unwrap()

    assert halted.value.__cause__ is None


def test_the_same_exception_again_stays_short():
    """An exception raised again and again does not gather our frames."""
    error = OSError("again")

    def body():
        raise error

    Loop(IterationCap(9, max_consecutive_failures=None)).run(body)

    assert frames_of_ours(error) <= 9


def test_an_exception_that_leaves_a_generator_ends_its_run():
    """It counts as a failure, ends the run and propagates as it is."""
    ends = []

    @bounded_loop(IterationCap(9), sinks=[ends.append])
    def work():
        yield 1
        fail()

    values = work()
    assert next(values) == 1
    with pytest.raises(Marked) as error:
        next(values)
    with pytest.raises(StopIteration):
        next(values)

    assert error.value.__cause__ is None
    assert frames_of_ours(error.value) <= 2
    assert (ends[-1].ruling.status, ends[-1].failures) == (Status.OPEN, 1)


async def test_an_exception_that_leaves_an_async_generator_ends_its_run():
    """The same when it is awaited."""
    ends = []

    @bounded_loop(IterationCap(9), sinks=[ends.append])
    async def work():
        yield 1
        fail()

    values = work()
    assert await anext(values) == 1
    with pytest.raises(Marked) as error:
        await anext(values)

    assert frames_of_ours(error.value) <= 2
    assert (ends[-1].ruling.status, ends[-1].failures) == (Status.OPEN, 1)


def test_a_generator_is_driven_as_it_would_be_without_us():
    """send() and throw() reach it, and a value it returns is the result."""
    seen = []

    @bounded_loop(IterationCap(9))
    def work():
        seen.append((yield "first"))
        try:
            yield "second"
        except Marked as error:
            seen.append(error)
        yield "third"
        return "result"

    values, error = work(), Marked("thrown")
    got = [next(values), values.send("sent"), values.throw(error)]
    with pytest.raises(StopIteration) as stop:
        next(values)

    assert (got, seen) == (["first", "second", "third"], ["sent", error])
    assert stop.value.value == "result"


async def test_an_async_generator_is_driven_as_it_would_be_without_us():
    """The same when it is awaited."""
    seen = []

    @bounded_loop(IterationCap(9))
    async def work():
        seen.append((yield "first"))
        try:
            yield "second"
        except Marked as error:
            seen.append(error)
        yield "third"

    values, error = work(), Marked("thrown")
    got = [await anext(values), await values.asend("sent"), await values.athrow(error)]
    with pytest.raises(StopAsyncIteration):
        await anext(values)

    assert (got, seen) == (["first", "second", "third"], ["sent", error])


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
async def test_what_ends_a_program_leaves_an_async_generator(kind):
    """P9: it propagates as it is, and is neither failure nor success."""
    ends, error = [], kind("stop it all")

    @bounded_loop(IterationCap(9), sinks=[ends.append])
    async def work():
        yield 1
        raise error

    values = work()
    assert await anext(values) == 1
    with pytest.raises(kind) as caught:
        await anext(values)

    assert caught.value is error
    assert (ends[-1].ruling.status, ends[-1].failures) == (Status.OPEN, 0)


# Errors that travel -----------------------------------------------------------------


def report(**changes):
    """Returns a report of a tripped loop, changed."""
    return attrs.evolve(Loop(ONCE).run(fail), **changes)


ERRORS = [
    ConfigurationError("wrong"),
    UnboundedLoopError("nothing bounds it"),
    StoreError("no answer"),
    StoreError("no", outcome="refused"),
    RecordError("damaged"),
    LoopBusy("key", "process 7", 12.5),
    ResultNotStored("too large"),
    LoopInterrupt("over"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("travel", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])
def test_errors_pickle(error, travel):
    """From another process they come back as what they were."""
    back = travel(error)

    assert type(back) is type(error)
    assert str(back) == str(error)
    assert {**vars(back), "run": None} == {**vars(error), "run": None}


@pytest.mark.parametrize("status", [Status.TRIPPED, Status.GAVE_UP, Status.STOPPED, Status.OPEN])
def test_halted_loops_pickle_with_their_report(status):
    """The receipt travels with the exception."""
    with pytest.raises(LoopHalted) as halted:
        report(status=status).unwrap()
    back = pickle.loads(pickle.dumps(halted.value))

    assert type(back) is type(halted.value)
    assert str(back) == str(halted.value)
    assert isinstance(back.report, Report)
    assert isinstance(back.report.error, Marked)


def test_a_halted_loop_pickles_whatever_it_carries():
    """What cannot be pickled travels in words; the receipt says the same as before."""

    class Local(Exception):
        """An exception that only this function knows."""

    carried = report(error=Local("mine"), result=lambda: None, pending=Path)
    with pytest.raises(LoopHalted) as halted:
        carried.unwrap()
    back = pickle.loads(pickle.dumps(halted.value)).report

    assert "lambda" in back.result
    assert (back.error, back.pending) == (None, Path)
    assert str(back) == str(carried)


def test_an_interrupt_of_a_run_pickles_without_it():
    """The run is a live object of this process; elsewhere only the words make sense."""
    kept = []

    def body(iteration):
        run.stop("enough")
        try:
            iteration.check()
        except LoopInterrupt as interrupt:
            kept.append(interrupt)

    run = Loop(ONCE).start()
    run.run(body)
    back = pickle.loads(pickle.dumps(kept[0]))

    assert (str(back), back.run) == ("run: enough", None)


# Nothing that is passed is changed --------------------------------------------------------


@attrs.define
class Gathering(Breaker):
    """A policy with state that it changes in place."""

    given: list[int] = attrs.field(factory=list)
    counts: dict[str, int] = attrs.field(factory=dict)
    starts: int = 0

    def after(self, iteration):
        self.given.append(iteration.number)
        self.counts["all"] = self.counts.get("all", 0) + 1
        self.starts += 1


class Plain(Breaker):
    """The same without attrs."""

    def __init__(self):
        super().__init__()
        self.given = []

    def after(self, iteration):
        self.given.append(iteration.number)


def test_the_breakers_of_a_loop_never_change():
    """The object in Loop(...) is policy: each run works on a copy of its own."""
    given, plain = [7], Plain()
    breaker = Gathering(given)
    loop = Loop(ONCE, breaker, plain)
    for _ in range(2):
        loop.run(lambda: None)

    assert (breaker.given, breaker.counts, breaker.starts, plain.given) == ([7], {}, 0, [])
    assert given == [7]


def test_each_run_has_breakers_of_its_own():
    """What one run's copy gathered, the next does not see."""
    seen = []

    class Watching(Plain):
        def after(self, iteration):
            super().after(iteration)
            seen.append(tuple(self.given))

    loop = Loop(IterationCap(2), Watching())
    for _ in range(2):
        loop.run(lambda: None)

    assert seen == [(1,), (1, 2)] * 2


def test_nothing_of_the_caller_s_is_changed():
    """Types, items, arguments and exceptions are as they were passed."""
    types, items, error = [OSError], ["a", "b"], Marked("theirs")
    arguments = {"order": ["one"]}

    def body(**named):
        raise error

    loop = Loop(ONCE, transient=types)
    types.append(ValueError)
    with pytest.raises(LoopTripped):
        loop.run(body, **arguments).unwrap()
    with pytest.raises(LoopTripped):
        list(loop.over(items))

    assert (items, arguments) == (["a", "b"], {"order": ["one"]})
    assert (error.__cause__, error.__context__, error.args) == (None, None, ("theirs",))
    assert not hasattr(error, "__notes__")
