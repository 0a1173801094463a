# SPDX-License-Identifier: MIT
"""The very moments at which an interrupt may come: what it tears, what it spares, and how long."""

from __future__ import annotations

import _signal
import ctypes
import signal
import sys
import threading
from functools import partial
from types import FunctionType, SimpleNamespace

import pytest

from haltable import _strike
from haltable._strike import Striker
from tests.watching.bodies import until


class Struck(BaseException):
    """Is raised in whoever is struck."""


class Moments:
    """A clock that a test moves; whoever waits by it lets a moment pass."""

    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        """Returns the time."""
        return self.now

    def sleep(self, seconds):
        """Lets time pass, and be it none."""
        self.now += max(seconds, 0.01)


def prepared(exception, allowed):
    """Returns one that is ready to strike this thread."""
    striker = Striker(exception, allowed)
    striker.begin()
    return striker


@pytest.fixture
def clock(monkeypatch):
    """The time of the strikes."""
    clock = Moments()
    monkeypatch.setattr(_strike, "time", clock)
    return clock


@pytest.fixture
def striker():
    """One that may strike this thread, and is put away whatever comes of it."""
    striker = prepared(Struck, lambda: True)
    yield striker
    striker.end()


def elsewhere(work):
    """Does something in another thread."""
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


#: The system's own, without a frame of Python's around it.
LET_IN = _signal.pthread_sigmask


def deliver(striker, receive=LET_IN):
    """Has a strike come at the very moment at which something lets signals in."""
    number = [striker._number]
    signal.pthread_sigmask(signal.SIG_BLOCK, number)
    elsewhere(striker.strike)
    receive(signal.SIG_UNBLOCK, number)


def throw(error):
    """Raises an exception."""
    raise error


def placed(work, room, name):
    """Returns a function as if it were of some module and of some name."""
    return FunctionType(work.__code__.replace(co_name=name), {"__name__": room})


def receiving(room, name):
    """Returns a function of some module that lets signals in."""

    def let_in(receive, how, numbers):
        receive(how, numbers)

    return partial(placed(let_in, room, name), LET_IN)


def test_who_may_strike_does(striker):
    """What is allowed is raised here at once, and from elsewhere as soon as it comes."""
    with pytest.raises(Struck):
        striker.strike()
    with pytest.raises(Struck):
        deliver(striker)

    assert not striker.missed


def test_who_may_not_strikes_nobody():
    """A body that has no control is spared, also by what was sent while it had."""
    striker = prepared(Struck, lambda: False)
    striker.strike()
    deliver(striker)
    striker.end()

    assert not striker.missed


def test_a_handler_stays_until_what_was_sent_has_come(clock):
    """A signal that is still on its way finds its handler, or it would end the process."""
    striker = prepared(Struck, lambda: False)
    number, begun = striker._number, clock.now

    def receive(how, numbers):
        striker.end()
        kept.append(signal.getsignal(number))
        if kept == [signal.SIG_DFL]:
            signal.signal(number, signal.SIG_IGN)  # Or it would end the tests, too.
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(how, numbers)

    kept = []
    deliver(striker, receive)
    striker.end()

    assert kept == [striker._receive]
    assert clock.now - begun == pytest.approx(1.0, abs=0.05)
    assert signal.getsignal(number) is signal.SIG_DFL


def test_a_lock_of_the_whole_process_is_not_left_held(clock, striker):
    """Code that holds the log's lock is spared for a quarter of a second, and no longer."""
    release = receiving("logging", "release")
    deliver(striker, release)
    spared = striker.missed
    clock.now += 0.24
    deliver(striker, release)
    clock.now += 0.02
    with pytest.raises(Struck):
        deliver(striker, release)

    assert (spared, striker.missed) == (True, False)


@pytest.mark.parametrize(
    ("room", "name"), [("haltable._drive_sync", "drive"), ("weakref", "_commit")]
)
def test_code_that_looks_by_itself_is_spared(clock, striker, room, name):
    """However long it takes, nothing is raised in a driver, nor where it would only be printed."""
    deliver(striker, receiving(room, name))
    clock.now += 10
    deliver(striker, receiving(room, name))

    assert striker.missed


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_nobody_may_swallow_gets_a_second_to_leave(clock, striker, error):
    """A Ctrl-C on its way out of the body is not replaced, unless the body keeps it."""
    try:
        throw(error)
    except error:
        deliver(striker)
        spared = striker.missed
        clock.now += 0.9
        deliver(striker)
        clock.now += 0.2
        with pytest.raises(Struck):
            deliver(striker)

    assert spared


def test_what_is_handled_around_a_run_spares_no_body():
    """A run that is begun in the handling of a Ctrl-C is struck like any other."""
    try:
        throw(KeyboardInterrupt)
    except KeyboardInterrupt:
        striker = prepared(Struck, lambda: True)
        with pytest.raises(Struck):
            deliver(striker)
        striker.end()

    assert not striker.missed


class Worker:
    """Another thread that goes on until it is let go, in a function of some module."""

    def __init__(self, room):
        self.free, self.begun, self.raised = [], [], []
        self._work = placed(go_on, room, "work")
        self._thread = threading.Thread(target=self._carry_out)

    def _carry_out(self):
        self.striker = prepared(Struck, lambda: True)
        try:
            self._work(self.begun, self.free)
        except Struck as struck:
            self.raised.append(struck)

    def __enter__(self):
        self._thread.start()
        until(lambda: self.begun)
        return self

    def __exit__(self, *exception):
        self.free.append(True)
        self._thread.join()


def go_on(begun, free):
    """Goes on until it is let go, and calls nothing meanwhile."""
    begun.append(True)
    while not free:
        pass


def test_another_thread_is_struck_between_two_steps():
    """A body of Python's in another thread is torn, in a few strikes at most."""
    with Worker("__main__") as worker:
        until(lambda: worker.striker.strike() or worker.raised)

    assert len(worker.raised) == 1


def test_another_thread_that_looks_by_itself_is_spared():
    """Nothing is raised in a driver of another thread, and the strike counts as missed."""
    with Worker("haltable._drive_sync") as worker:
        worker.striker.strike()

    assert worker.striker.missed
    assert not worker.raised


@pytest.mark.parametrize("frames", [sys._current_frames, None], ids=["frames", "no frames"])
def test_an_interpreter_that_raises_in_nobody_has_missed(monkeypatch, frames):
    """Elsewhere than on CPython another thread goes on, and the strike counts as missed."""
    other = SimpleNamespace(implementation=SimpleNamespace(name="another"), _current_frames=frames)
    with Worker("__main__") as worker:
        monkeypatch.setattr(_strike, "sys", other)
        worker.striker.strike()
        monkeypatch.undo()

    assert worker.striker.missed
    assert not worker.raised


@pytest.mark.parametrize("late", [True, False], ids=["late", "never"])
def test_the_striking_thread_is_never_torn(monkeypatch, late):
    """What ends its own look at what was to be raised is caught, whenever it is raised."""
    put, here = ctypes.pythonapi.PyThreadState_SetAsyncExc, threading.get_ident()

    def turns(steps):
        yield 0
        if late:
            put(ctypes.c_ulong(here), ctypes.py_object(_strike._Calmed))
        yield from range(steps)

    monkeypatch.setattr(ctypes.pythonapi, "PyThreadState_SetAsyncExc", lambda *given: 1)
    monkeypatch.setattr(_strike, "range", turns, raising=False)

    assert not _strike._raise_in(here, Struck())
