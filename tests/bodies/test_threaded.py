# SPDX-License-Identifier: MIT
"""A function in a thread: whoever waits can stop waiting, and what comes late changes nothing."""

from __future__ import annotations

import ctypes
import functools
import logging
import os
import pickle
import signal
import threading
import time
import traceback

import anyio
import attrs
import pytest

from haltable import (
    ExitCondition,
    IdempotencyGuard,
    IterationCap,
    Loop,
    MemoryStore,
    Operator,
    Status,
    current,
)
from haltable.bodies import Abandoned, Body, Threaded
from haltable.conditions import returned
from haltable.errors import ConfigurationError, HaltableError, LoopInterrupt
from haltable.testing import iteration


@attrs.define
class Hang:
    """A body that hangs until it is let go, and tells what its late verbs did."""

    begun: threading.Event = attrs.field(factory=threading.Event)
    release: threading.Event = attrs.field(factory=threading.Event)
    ended: threading.Event = attrs.field(factory=threading.Event)
    late: list[BaseException] = attrs.field(factory=list)
    verbs: tuple = ()

    def body(self, iteration):
        """Hangs, then speaks."""
        self.begun.set()
        self.release.wait()
        for verb in self.verbs:
            try:
                verb(iteration)
            except BaseException as error:
                self.late.append(error)
        self.ended.set()


@pytest.fixture
def hang():
    """A hanging body, which ends with its test at the latest."""
    hang = Hang()
    yield hang
    hang.release.set()
    if hang.begun.is_set():
        hang.ended.wait()


def interrupt(thread: threading.Thread, error: type[BaseException]) -> None:
    """Sets an exception in a thread."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread.ident), ctypes.py_object(error)
    )


def test_it_returns_what_the_function_returns(run):
    """A result, and the iteration, are handed through."""
    assert run(Threaded(lambda iteration: iteration.number * 7), number=6) == 42
    assert run(Threaded(lambda: "done")) == "done"


def test_it_raises_what_the_function_raises(run):
    """An exception comes out as it is, and its traceback leads into the function."""

    def broken():
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken") as caught:
        run(Threaded(broken))
    names = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]

    assert names[-1] == "broken"
    assert "_work" not in names


def test_the_thread_has_the_callers_context():
    """current() works in the thread, and verbs reach the run."""
    loop = Loop(IterationCap(5))
    report = loop.run(Threaded(lambda: current().done(threading.current_thread().name)))

    assert report.status is Status.SUCCEEDED
    assert report.result.startswith("haltable-body-")


def test_an_async_loop_runs_it_beside_the_event_loop():
    """Under arun other tasks go on while the function blocks."""
    asked, answered = threading.Event(), threading.Event()

    def body():
        asked.set()
        answered.wait()
        return "answered"

    async def main():
        async def answer():
            while not asked.is_set():
                await anyio.lowlevel.checkpoint()
            answered.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(answer)
            return await Loop(IterationCap(1), ExitCondition(success=returned)).arun(Threaded(body))

    for backend in ("asyncio", "trio"):
        asked.clear(), answered.clear()
        assert anyio.run(main, backend=backend).result == "answered"


def test_a_signal_ends_the_wait_at_once(hang):
    """Ctrl-C comes through as it is, and says where the thread hangs."""

    def press() -> None:
        hang.begun.wait()
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    with pytest.raises(KeyboardInterrupt) as caught:
        Threaded(hang.body)(iteration())
    thread.join()

    assert "Hang.body is abandoned, still running" in caught.value.__notes__[0]
    assert "self.release.wait()" in caught.value.__notes__[0]


def test_an_exception_set_from_outside_is_raised_soon(hang):
    """A waiting thread takes an exception that another one sets, within 0.05 s."""
    raised: list[float] = []

    def work() -> None:
        try:
            Threaded(hang.body)(iteration())
        except SystemExit:
            raised.append(time.monotonic())

    thread = threading.Thread(target=work)
    thread.start()
    hang.begun.wait()
    delays = []
    interrupt(thread, SystemExit)
    delays.append(time.monotonic())
    thread.join()

    assert raised[0] - delays[0] < 0.05 + 0.2  # A busy machine may be late itself.


def test_the_report_says_where_an_abandoned_body_is(hang):
    """Interrupted by its run, the loop ends on time, and Abandoned is the report's error."""
    report = _interrupted(Loop(IterationCap(5)).start(), hang)

    assert report.status is Status.STOPPED
    left = _alone(report.error)
    assert isinstance(left, Abandoned)
    assert "self.release.wait()" in left.stack
    assert "is abandoned, still running: threading.py" in " ".join(str(report).split())


def _alone(error):
    """Returns what is left of a group that only we have put together."""
    while isinstance(error, BaseExceptionGroup):
        (error,) = error.exceptions
    return error


def _interrupted(run, hang, **options):
    """Runs a hanging body until a signal's handler raises the run's own interrupt."""
    box = []

    def body(iteration):
        box.append(iteration)
        hang.body(iteration)

    def handler(number, frame):
        run.stop("enough")
        box[0].check()

    def press() -> None:
        hang.begun.wait()
        os.kill(os.getpid(), signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, handler)
    thread = threading.Thread(target=press)
    thread.start()
    try:
        return run.run(Threaded(body, **options))
    finally:
        thread.join()
        signal.signal(signal.SIGUSR1, before)


LATE = (
    lambda iteration: iteration.done("late"),
    lambda iteration: iteration.give_up("late"),
    lambda iteration: iteration.check(),
    lambda iteration: iteration.once("late", print),
    lambda iteration: iteration.__enter__(),
    lambda iteration: iteration.__exit__(None, None, None),
    lambda iteration: anyio.run(functools.partial(iteration.aonce, "late", print)),
)


def test_late_verbs_change_nothing(hang, capsys):
    """Each verb of an abandoned body raises, and the report stays as it was."""
    hang.verbs = LATE
    store = MemoryStore()
    loop = Loop(IterationCap(5), IdempotencyGuard(), key="late", store=store)
    report = _interrupted(loop.start(), hang)
    before = [(key, entry.version) for key, entry in store.scan("")]
    hang.release.set()
    hang.ended.wait()

    assert [type(error) for error in hang.late] == [LoopInterrupt] * len(LATE)
    assert report.status is not Status.SUCCEEDED
    assert [(key, entry.version) for key, entry in store.scan("")] == before
    assert capsys.readouterr().out == ""


def test_late_verbs_raise_while_the_run_goes_on(hang):
    """What was abandoned is silent from that moment, not only once the run has ended."""
    hang.verbs = LATE[:3]
    threaded = Threaded(hang.body)

    def press() -> None:
        hang.begun.wait()
        os.kill(os.getpid(), signal.SIGINT)

    def body(iteration):
        with pytest.raises(KeyboardInterrupt):
            threaded(iteration)
        hang.release.set()
        hang.ended.wait()
        iteration.check()
        return "on"

    thread = threading.Thread(target=press)
    thread.start()
    report = Loop(IterationCap(1)).run(body)
    thread.join()

    assert report.result == "on"
    assert [type(error) for error in hang.late] == [LoopInterrupt] * 3


def test_verbs_in_time_are_the_runs_own():
    """A body that nobody has abandoned says and does what any other does."""
    store, ran = MemoryStore(), []

    def body(iteration):
        iteration.check()
        iteration.once("charge", ran.append, 1)
        iteration.done("all")

    loop = Loop(IterationCap(5), IdempotencyGuard(), key="in time", store=store)
    report = loop.run(Threaded(body))

    assert (report.result, ran) == ("all", [1])


def test_a_late_end_is_logged(hang, caplog):
    """Who wants to know can read when an abandoned body ended, and how."""
    with caplog.at_level(logging.WARNING, "haltable"):
        _interrupted(Loop(IterationCap(5)).start(), hang)
        hang.release.set()
        hang.ended.wait()
        for thread in threading.enumerate():
            if thread.name.startswith("haltable-body"):
                thread.join()

    assert any("has ended: 'it returned'" in record.getMessage() for record in caplog.records)


def test_too_many_abandoned_threads_start_no_more(hang):
    """As many as are allowed, and no more, may hang; one that has ended makes room."""
    body = Threaded(hang.body, max_abandoned=1)

    def press() -> None:
        hang.begun.wait()
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        body(iteration())
    thread.join()
    with pytest.raises(HaltableError, match=r"1 of its threads are abandoned .* \(limit 1\)"):
        body(iteration())
    hang.release.set()
    hang.ended.wait()
    for other in threading.enumerate():
        if other.name.startswith("haltable-body"):
            other.join()

    assert body(iteration()) is None


@pytest.mark.anyio
async def test_cancellation_abandons(hang):
    """A cancelled task goes on at once, as a cancelled one, and the thread is left behind."""
    hang.verbs = LATE[:1]
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(Threaded(hang.body).acall, iteration())
            while not hang.begun.is_set():
                await anyio.lowlevel.checkpoint()
            scope.cancel()

    assert scope.cancelled_caught
    assert not hang.ended.is_set()


@pytest.mark.anyio
async def test_an_operators_stop_abandons(hang):
    """What cancels an async body leaves its thread, and the report says where it is."""
    store = MemoryStore()
    reports = []

    async def main() -> None:
        loop = Loop(IterationCap(5), key="hung", store=store)
        reports.append(await loop.arun(Threaded(hang.body)))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(main)
        while not hang.begun.is_set():
            await anyio.lowlevel.checkpoint()
        Operator(store).stop("hung", by="ana", why="it hangs")

    assert reports[0].status is Status.STOPPED
    assert isinstance(_alone(reports[0].error), Abandoned)


async def _async(): ...


def _generator():
    yield


@pytest.mark.parametrize(
    ("fn", "options", "words"),
    [
        (7, {}, "fn=7"),
        (_async, {}, "neither async nor a generator"),
        (functools.partial(_async), {}, "neither async"),
        (_generator, {}, "nor a generator"),
        (lambda order: order, {}, "nobody would give it order"),
        (lambda iteration, /: iteration, {}, "by name"),
        (print, {"max_abandoned": 0}, "max_abandoned=0"),
        (print, {"max_abandoned": True}, "max_abandoned=True"),
    ],
)
def test_bad_input_is_refused(fn, options, words):
    """A body that could not be run as it was meant is refused when it is made."""
    with pytest.raises(ConfigurationError, match=words):
        Threaded(fn, **options)


def test_it_is_a_body_with_a_name():
    """It is called by its function's name, and its error pickles."""
    left = Abandoned("work", '  File "/src/a.py", line 3, in work\n    wait()\n')

    assert isinstance(Threaded(print), Body)
    assert str(Threaded(print)) == "print"
    assert str(pickle.loads(pickle.dumps(left))) == (
        "work is abandoned, still running: a.py, line 3, in work"
    )
    assert str(Abandoned("work", "")) == "work is abandoned, still running: nobody knows where"
