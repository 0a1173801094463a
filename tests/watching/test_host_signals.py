# SPDX-License-Identifier: MIT
"""The host's signals and timers: none is taken that somebody uses, and all are put back."""

from __future__ import annotations

import signal
import threading
import time
from contextlib import contextmanager

import pytest

from haltable import Deadline, IterationCap, Loop
from tests.watching.bodies import DEAF, INTERRUPTIBLE, Witness, holding, until
from tests.watching.workers import handlers

LIMIT, LATE = 0.1, 0.5
#: What Python can handle and a host may use.
REAL_TIME = range(signal.SIGRTMIN + 1, signal.SIGRTMAX + 1)


@pytest.fixture
def hold():
    """What keeps a body hanging."""
    with holding() as hold:
        yield hold


@contextmanager
def handled(numbers, handler):
    """Handles signals for the length of a block."""
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, handler_before in before.items():
            signal.signal(number, handler_before)


def run_hung(kind, hold, **given):
    """Runs a body that hangs; returns how long it took and the report."""
    begun = time.monotonic()
    report = Loop(IterationCap(2), Deadline(iteration=LIMIT), **given).run(
        INTERRUPTIBLE[kind], hold
    )
    return time.monotonic() - begun, report


def taken_while(before):
    """Returns the signals that have another handler than before."""
    return {n: h for n, h in handlers().items() if h != before[n]}


def test_one_number_is_taken_and_given_back():
    """While a body runs one real-time signal has a handler of ours, and afterwards none."""
    before, taken = handlers(), []
    Loop(IterationCap(1), Deadline(total=60)).run(lambda: taken.extend(taken_while(before)))

    assert taken == [signal.SIGRTMAX]
    assert handlers() == before


@pytest.mark.parametrize("kind", ["loop", "sleep", "socket"])
def test_all_handlers_are_as_before(kind, hold):
    """After an interrupt every signal is handled as it was before."""
    before = handlers()
    lasted, report = run_hung(kind, hold)

    assert report.status == "tripped"
    assert lasted <= LIMIT + LATE
    assert handlers() == before


def test_the_alarm_of_the_host_rings_on(hold):
    """A timer of the host's goes off while a body hangs, and after it was interrupted."""
    rung = []
    with handled([signal.SIGALRM], lambda *_: rung.append(time.monotonic())):
        signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
        try:
            _, report = run_hung("sleep", hold)
            before = len(rung)
            until(lambda: len(rung) > before)
            left = signal.getitimer(signal.ITIMER_REAL)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)

    assert report.status == "tripped"
    assert before >= 3
    assert left[1] == pytest.approx(0.01, abs=0.005)


def test_another_number_is_taken_where_one_is_used(hold):
    """What the host handles is never taken, and its handler is never called."""
    called, taken = [], []
    with handled([signal.SIGRTMAX, signal.SIGRTMAX - 1], lambda *got: called.append(got)):
        before = handlers()

        def work():
            taken.extend(taken_while(before))
            INTERRUPTIBLE["sleep"](hold)

        report = Loop(IterationCap(2), Deadline(iteration=LIMIT)).run(work)
        after = handlers()

    assert report.status == "tripped"
    assert taken == [signal.SIGRTMAX - 2]
    assert after == before
    assert not called


def test_a_number_that_is_ignored_is_not_taken():
    """Who ignores a signal wants it ignored."""
    taken = []
    with handled([signal.SIGRTMAX], signal.SIG_IGN):
        before = handlers()
        Loop(IterationCap(1), Deadline(total=60)).run(lambda: taken.extend(taken_while(before)))

    assert taken == [signal.SIGRTMAX - 1]


def test_without_a_free_number_it_falls_back(hold):
    """Where all are used, a loop of Python is interrupted between two bytecodes all the same."""
    called = []
    with handled(REAL_TIME, lambda *got: called.append(got)):
        before = handlers()
        lasted, report = run_hung("bare loop", hold)
        after = handlers()

    assert report.status == "tripped"
    assert lasted <= LIMIT + LATE
    assert after == before
    assert not called


def test_blocked_signals_are_not_taken(hold):
    """A host that blocks all signals gets the fallback, at once, and no handler stays."""
    before = handlers()
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        lasted, report = run_hung("bare loop", hold)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    assert report.status == "tripped"
    assert lasted <= LIMIT + LATE
    assert handlers() == before


def test_a_call_that_hears_no_signal_costs_nothing_after_it(hold):
    """However often it was to be interrupted, its end is at once, and no handler stays."""
    before, ends = handlers(), []

    def work():
        DEAF["key derivation"](hold)
        ends.append(time.monotonic())

    report = Loop(IterationCap(2), Deadline(iteration=0.05), grace=0.05).run(work)
    until_end = time.monotonic() - (ends or [time.monotonic()])[0]

    assert report.status == "tripped"
    assert until_end < 0.4
    assert handlers() == before


def test_ctrl_c_at_the_same_time_goes_through(hold):
    """A Ctrl-C that comes with the verdict leaves the run, whose end is recorded."""
    before, main = handlers(), threading.main_thread().ident
    witness = Witness(lambda: signal.pthread_kill(main, signal.SIGINT))
    run = Loop(IterationCap(2), Deadline(iteration=LIMIT), sinks=[witness]).start()

    def work():
        try:
            INTERRUPTIBLE["sleep"](hold)
        finally:
            until(witness.fell.is_set)
            threading.Event().wait(0.1)

    with pytest.raises(KeyboardInterrupt):
        run.run(work)

    assert (run.report.status, run.report.breaker) == ("tripped", "Deadline")
    assert handlers() == before


def test_another_thread_takes_no_signal(hold):
    """Only the main thread can handle signals, so another one's loop takes none."""
    before, taken = handlers(), []
    loop = Loop(IterationCap(1), Deadline(total=60))
    thread = threading.Thread(target=lambda: loop.run(lambda: taken.extend(taken_while(before))))
    thread.start()
    thread.join()

    assert not taken


def test_a_loop_that_nobody_watches_takes_nothing():
    """Without a key and a breaker that asks: no thread, no handler, not even for a moment."""
    before, seen = handlers(), []
    threads = threading.enumerate()

    def work():
        seen.append((taken_while(before), threading.enumerate() == threads))

    Loop(IterationCap(3), Deadline(last_start=60)).run(work)

    assert seen == [({}, True)] * 3
