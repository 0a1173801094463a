# SPDX-License-Identifier: MIT
"""The table of hung bodies: what ends on time, and what is judged and told all the same."""

from __future__ import annotations

import threading
import time

import pytest

from haltable import Deadline, IterationCap, Loop, LoopInterrupt, MemoryStore, Operator
from tests.watching.bodies import (
    ASYNC,
    DEAF,
    HELD,
    INTERRUPTIBLE,
    Witness,
    holding,
    swallow_everything,
    until,
)

LIMIT = 0.1
#: By how many seconds a verdict may be late where the mode can stop the body.
LATE = 0.5
GRACE = 0.05


@pytest.fixture(params=[False, True], ids=["no key", "key"])
def place(request):
    """Where a loop keeps its record, if it has one."""
    return {"key": "k", "store": MemoryStore()} if request.param else {}


@pytest.fixture
def hold():
    """What keeps a body hanging."""
    with holding() as hold:
        yield hold


@pytest.fixture
def witness():
    """A sink that remembers."""
    return Witness()


def limited(witness, place, *, grace=GRACE):
    """Returns a loop that gives an iteration a tenth of a second."""
    deadline = Deadline(iteration=LIMIT)
    return Loop(IterationCap(9), deadline, sinks=[witness], grace=grace, **place)


def status(place):
    """Returns how the key stands for a second pair of eyes."""
    return Operator(place["store"]).show("k").status if place else "tripped"


def overran(report):
    """Whether the report says that the body went on after the verdict."""
    return any("after the verdict" in warning for warning in report.warnings)


def in_thread(work):
    """Runs something in another thread; returns what ends the wait for it."""
    results = []
    thread = threading.Thread(target=lambda: results.append(work()))
    thread.start()

    def result():
        thread.join(30)
        return results[0]

    return result


def check_told(witness, start, report):
    """The verdict was told on time, once, and the run ended by it."""
    (fell,) = witness.verdicts()
    assert witness.fell_at - start <= LIMIT + LATE
    assert (fell.ruling.status, fell.ruling.breaker, fell.starts) == ("tripped", "Deadline", 1)
    assert fell.lasted >= LIMIT
    assert (report.status, report.breaker, report.starts) == ("tripped", "Deadline", 1)
    assert report.reason == fell.ruling.reason


@pytest.mark.parametrize("kind", INTERRUPTIBLE)
def test_the_main_thread_is_interrupted(kind, place, hold, witness):
    """Whatever it hangs in, if Python can be interrupted there, it ends on time."""
    start = time.monotonic()
    report = limited(witness, place, grace=1.0).run(INTERRUPTIBLE[kind], hold)

    assert time.monotonic() - start <= LIMIT + LATE
    check_told(witness, start, report)
    assert status(place) == "tripped"
    assert report.durable is bool(place)
    assert not overran(report)


def test_a_body_that_looks_at_its_iteration_is_interrupted(place, witness):
    """Reading what is left is no shelter."""

    def work(iteration):
        while iteration.remaining:
            pass

    start = time.monotonic()
    report = limited(witness, place, grace=30).run(work)

    assert time.monotonic() - start <= LIMIT + LATE
    assert report.breaker == "Deadline"


def test_another_thread_is_interrupted_in_a_loop_of_python(place, hold, witness):
    """Between two bytecodes every thread can be."""
    start = time.monotonic()
    report = in_thread(lambda: limited(witness, place).run(INTERRUPTIBLE["bare loop"], hold))()

    assert time.monotonic() - start <= LIMIT + LATE
    check_told(witness, start, report)


@pytest.mark.parametrize("kind", HELD)
def test_another_thread_in_a_call_is_judged_on_time(kind, place, hold, witness):
    """Told and stored while it hangs; it ends when the call returns, and the overrun is noted."""
    start = time.monotonic()
    result = in_thread(lambda: limited(witness, place).run(HELD[kind], hold))
    until(witness.fell.is_set)
    told = status(place)
    threading.Event().wait(3 * GRACE)
    hold.let_go()
    report = result()

    assert told == "tripped"
    check_told(witness, start, report)
    assert overran(report)


@pytest.mark.parametrize("main", [True, False])
def test_a_body_that_swallows_everything_is_judged_on_time(main, place, hold, witness):
    """It is interrupted again and again, once a grace; told and stored, and the overrun noted."""

    def work():
        return limited(witness, place).run(swallow_everything, hold)

    def free():
        until(witness.fell.is_set)
        told.append(status(place))
        until(lambda: hold.swallowed >= 3)
        hold.let_go()

    told, start = [], time.monotonic()
    if main:
        result = in_thread(free)
        report = work()
        result()
    else:
        result = in_thread(work)
        free()
        report = result()

    assert told == ["tripped"]
    check_told(witness, start, report)
    assert overran(report)


@pytest.mark.parametrize("main", [True, False])
@pytest.mark.parametrize("kind", DEAF)
def test_a_call_that_nobody_interrupts_is_recorded(kind, main, place, hold, witness):
    """What holds the interpreter, or hears no signal, is judged when it returns at the latest."""
    loop = Loop(IterationCap(9), Deadline(iteration=0.05), sinks=[witness], grace=GRACE, **place)
    start = time.monotonic()
    report = loop.run(DEAF[kind], hold) if main else in_thread(lambda: loop.run(DEAF[kind], hold))()
    lasted = time.monotonic() - start

    assert lasted > 0.05
    assert (report.status, report.breaker, report.starts) == ("tripped", "Deadline", 1)
    assert status(place) == "tripped"
    assert not witness.verdicts() or witness.verdicts()[0].ruling.reason == report.reason


@pytest.mark.anyio
async def test_an_async_body_is_interrupted(place, hold, witness):
    """Whoever awaits is cancelled on time."""
    start = time.monotonic()
    report = await limited(witness, place, grace=1.0).arun(ASYNC["await"], hold, witness)

    assert time.monotonic() - start <= LIMIT + LATE
    check_told(witness, start, report)
    assert status(place) == "tripped"


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["swallowing", "shielded"])
async def test_an_async_body_that_does_not_let_go_is_judged_on_time(kind, place, hold, witness):
    """Told and stored while it goes on, and the overrun is noted."""
    told = []

    async def work():
        try:
            await ASYNC[kind](hold, witness)
        finally:
            told.append(status(place))

    start = time.monotonic()
    report = await limited(witness, place).arun(work)

    assert told == ["tripped"]
    check_told(witness, start, report)
    assert overran(report)


@pytest.mark.anyio
async def test_a_body_that_keeps_the_event_loop_is_recorded(place, hold, witness):
    """Nobody can look before it returns, and then its iteration took too long."""
    report = await limited(witness, place).arun(keep_event_loop, hold)

    assert (report.status, report.breaker, report.starts) == ("tripped", "Deadline", 1)
    assert "took" in report.reason
    assert status(place) == "tripped"


async def keep_event_loop(hold):
    """Does not await."""
    HELD["sleep"](hold)


def test_what_is_raised_is_no_exception(hold):
    """A body that catches Exception does not catch it, and `run` lets nothing of it out."""
    caught = []

    def work():
        try:
            INTERRUPTIBLE["sleep"](hold)
        except BaseException as error:
            caught.append(error)
            raise

    report = Loop(IterationCap(9), Deadline(iteration=LIMIT)).run(work)

    assert [type(error) for error in caught] == [LoopInterrupt]
    assert "Deadline" in str(caught[0])
    assert report.error is None


@pytest.mark.parametrize("main", [True, False])
def test_a_body_on_time_is_left_alone(main, place, witness):
    """Nothing falls before the limit, and nothing is told."""

    def work(iteration):
        threading.Event().wait(0.05)
        return iteration.done(iteration.number) if iteration.number == 3 else None

    loop = Loop(IterationCap(9), Deadline(iteration=10, total=10), sinks=[witness], **place)
    report = loop.run(work) if main else in_thread(lambda: loop.run(work))()

    assert (report.status, report.result, report.warnings) == ("succeeded", 3, ())
    assert not witness.verdicts()


def test_the_last_start_interrupts_nobody(witness):
    """``last_start=`` refuses starts, and waits for the one that is running."""
    loop = Loop(Deadline(last_start=0.05), sinks=[witness])
    report = loop.run(lambda: threading.Event().wait(0.2))

    assert (report.status, report.starts, report.result) == ("tripped", 1, False)
    assert not witness.verdicts()


def test_the_total_interrupts_the_running_one(hold, witness):
    """``total=`` ends the body in which the loop's time runs out."""
    start = time.monotonic()
    report = Loop(Deadline(total=LIMIT), sinks=[witness]).run(INTERRUPTIBLE["sleep"], hold)

    assert time.monotonic() - start <= LIMIT + LATE
    assert "alive for" in report.reason
