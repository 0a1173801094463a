# SPDX-License-Identifier: MIT
"""A signal that a poller holds for its attempts: whom it strikes, and that it is given back."""

from __future__ import annotations

import contextlib
import itertools
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from haltable import (
    Deadline,
    ExitCondition,
    IterationCap,
    Loop,
    MemoryStore,
    Operator,
    Poller,
    _strike,
    _watch,
)
from haltable._standby import Standby
from haltable._strike import Striker
from haltable.conditions import idle, returned
from haltable.errors import LoopInterrupt, StoreError
from tests.watching.test_interrupted_arming import Pressed, handlers


class Struck(BaseException):
    """Is raised in whoever is struck."""


def handled():
    """Returns the signals that have a handler now and had none at first."""
    return {number for number, handler in handlers().items() if handler != AT_FIRST[number]}


AT_FIRST = handlers()


def polled(tasks, act, **options):
    """Returns the poller of some tasks, whose attempts may take a twentieth of a second each."""
    left = [tasks]
    loop = Loop(
        IterationCap(1),
        ExitCondition(success=returned),
        Deadline(iteration=0.05),
        key="any",
        store=MemoryStore(),
    )
    return Poller(lambda: left.pop() if left else None, act, loop=loop, until=idle, **options)


class Away(MemoryStore):
    """A store that may be out of reach."""

    away = False

    def read(self, key):
        if self.away:
            raise StoreError("nobody answers")
        return super().read(key)


def hang(seconds):
    """Waits for what nobody does."""
    threading.Event().wait(seconds)


def held(striker_of=Struck, allowed=lambda: True):
    """Returns a standby that is entered, and a striker that uses it."""
    standby = Standby()
    standby.__enter__()
    striker = Striker(striker_of, allowed, standby)
    striker.begin()
    return standby, striker


def elsewhere(work):
    """Does something in another thread."""
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def test_every_attempt_that_hangs_is_interrupted():
    """The same signal serves one attempt after the other, and is given back at the end."""
    seen = []

    def act(seconds):
        seen.append(handled())
        hang(seconds)

    begun = time.monotonic()
    report = polled([("a", 30), ("b", 0), ("c", 30), ("d", 0)], act).run()

    assert (report.succeeded, report.dead) == (2, 2)
    assert time.monotonic() - begun < 10
    assert len(seen[0]) == 1
    assert seen == [seen[0]] * 4
    assert handled() == set()


def test_a_run_in_an_attempt_has_a_signal_of_its_own():
    """The inner body is interrupted by its own deadline, and the outer goes on."""
    seen = []

    def inner():
        seen.append(len(handled()))
        hang(30)

    def act(payload):
        del payload
        report = Loop(IterationCap(1), Deadline(iteration=0.01)).run(inner)
        seen.append(report.breaker)

    report = polled([("a", 1)], act).run()

    assert seen == [2, "Deadline"]
    assert report.succeeded == 1


def test_attempts_in_threads_need_no_signal():
    """What a thread of the poller's makes is interrupted otherwise."""

    def act(seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            pass

    report = polled([("a", 30), ("b", 0)], act, concurrency=2).run()

    assert (report.succeeded, report.dead) == (1, 1)
    assert handled() == set()


def test_a_signal_between_two_attempts_means_nothing():
    """Nobody is struck who has no body."""
    with Standby() as standby:
        elsewhere(lambda: signal.pthread_kill(threading.main_thread().ident, standby.number))
        free = standby.is_free

    assert free
    assert handled() == set()


def test_only_one_run_has_the_signal_and_only_in_its_thread():
    """A second run finds another one, and so does another thread's."""
    standby, striker = held()
    second = Striker(Struck, lambda: True, standby)
    with pytest.raises(Struck):
        elsewhere(striker.strike)
    striker.end()
    answers = [standby.is_free]
    elsewhere(lambda: answers.append(standby.is_free))
    standby.__exit__(None, None, None)

    assert second._number != striker._number
    assert answers == [True, False]
    assert handled() == set()


def test_a_strike_under_way_keeps_the_handler(monkeypatch):
    """A signal that has not come would end the process if its handler were gone."""
    monkeypatch.setattr(_strike, "_ARRIVAL", 0.0)
    standby, striker = held(allowed=lambda: False)
    number = standby.number
    signal.pthread_sigmask(signal.SIG_BLOCK, [number])
    elsewhere(striker.strike)
    striker.end()
    answers = [standby.is_free]
    standby.__exit__(None, None, None)
    kept = signal.getsignal(number)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [number])
    signal.signal(number, signal.SIG_DFL)

    assert answers == [False]
    assert kept not in (signal.SIG_DFL, signal.SIG_IGN)


def taken(seen):
    """Has the host handle the signal itself."""
    signal.signal(min(handled()), lambda number, frame: seen.append(number))


def blocked(seen):
    """Has the host block the signal."""
    del seen
    signal.pthread_sigmask(signal.SIG_BLOCK, handled())


@pytest.mark.parametrize("meddle", [taken, blocked])
def test_a_signal_that_an_attempt_has_meddled_with(meddle):
    """The attempts after it are interrupted nevertheless, by another signal."""
    seen, before = [], signal.pthread_sigmask(signal.SIG_BLOCK, ())

    def act(seconds):
        if seconds:
            hang(seconds)
        else:
            meddle(seen)

    begun = time.monotonic()
    try:
        report = polled([("a", 0), ("b", 30), ("c", 30)], act).run()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        kept = handled()
        for number in kept:
            signal.signal(number, signal.SIG_DFL)

    assert (report.succeeded, report.dead) == (1, 2)
    assert time.monotonic() - begun < 10
    assert seen == []
    assert len(kept) == (meddle is taken)


@pytest.mark.parametrize("held_by", [contextlib.nullcontext, Standby], ids=["run", "poller"])
def test_no_signal_is_sent_to_a_handler_of_the_hosts(held_by):
    """It would be none of its business; and without a handler it would end the process."""
    with held_by() as standby:
        striker, seen = Striker(Struck, lambda: True, standby), []
        striker.begin()
        ours = signal.signal(striker._number, lambda number, frame: seen.append(number))
        elsewhere(striker.strike)
        missed = striker.missed
        signal.signal(striker._number, ours)
        with pytest.raises(Struck):
            elsewhere(striker.strike)
        striker.end()

    assert missed
    assert seen == []
    assert handled() == set()


@pytest.mark.parametrize("held_by", [contextlib.nullcontext, Standby], ids=["run", "poller"])
def test_a_handler_of_the_hosts_stays(held_by):
    """A body that handles the signal does so after the run, too."""

    def own(number, frame):
        del number, frame

    with held_by() as standby:
        striker = Striker(Struck, lambda: True, standby)
        striker.begin()
        number = striker._number
        signal.signal(number, own)
        striker.end()
    stayed = signal.signal(number, AT_FIRST[number])

    assert stayed is own


def test_a_ctrl_c_at_any_step_of_a_poller():
    """Wherever it comes, no handler stays, and the same poller can be run again."""
    rooms = ("_standby.py", "poller.py")
    for number in itertools.count(1):
        seen, places, poller = 0, [], polled([("a", 0)], hang)

        def step(frame, event, argument, number=number, places=places):
            nonlocal seen
            if Path(frame.f_code.co_filename).name in rooms and event in ("call", "c_return"):
                seen += 1
                if seen == number:
                    sys.setprofile(None)
                    places.append(f"{frame.f_code.co_name}: {getattr(argument, '__name__', event)}")
                    raise KeyboardInterrupt

        sys.setprofile(step)
        with contextlib.suppress(KeyboardInterrupt):
            poller.run()
        sys.setprofile(None)
        if not places:
            break

        assert handled() == set(), places
        assert poller.snapshot() is None, places

    assert number > 20


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_ctrl_c_leaves_no_handler(monkeypatch, after):
    """Whichever handler was just being set, and whether it was yet, the poller gives it back."""
    reached = 0
    for at in itertools.count(1):
        pressed, poller = Pressed(at, after=after), polled([("a", 0), ("b", 0)], hang)
        monkeypatch.setattr(signal, "signal", pressed)
        try:
            poller.run()
        except KeyboardInterrupt:
            reached += 1
        finally:
            monkeypatch.undo()
        assert handled() == set()
        if pressed.calls < at:
            break

    assert reached == 2


def test_a_stop_that_is_swallowed_comes_again():
    """Also where the store that brought it does not answer any more."""
    store, swallowed = Away(), []

    def body():
        Operator(store).stop("k", by="me", why="test")
        for _ in range(2):
            try:
                hang(20)
            except LoopInterrupt as stop:
                swallowed.append(stop)
                store.away = True

    begun = time.monotonic()
    Loop(IterationCap(1), key="k", store=store).run(body)

    assert len(swallowed) == 2
    assert time.monotonic() - begun < 10
    assert not _watch.bodies._duties
