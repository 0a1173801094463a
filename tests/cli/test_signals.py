# SPDX-License-Identifier: MIT
"""What the command's signal handlers do at the moments that no test of a process can choose."""

from __future__ import annotations

import signal
import sys
import threading

import pytest

from haltable.cli import signals
from haltable.cli.signals import Killed, Signals
from tests.cli.commands import PATIENCE


@pytest.fixture(autouse=True)
def measured(monkeypatch):
    """Has the thread that asks measured too, if somebody measures, who hears of `threading`'s."""
    start = signals._thread.start_new_thread

    def traced(work, given):
        sys.settrace(threading.gettrace())
        work(*given)

    if threading.gettrace() is not None:
        monkeypatch.setattr(
            signals._thread, "start_new_thread", lambda *whole: start(traced, whole)
        )


@pytest.fixture
def asked(monkeypatch):
    """In which words a loop was asked, which was waited for however slow the machine is."""
    monkeypatch.setattr(signals, "_TOLD", PATIENCE)
    return []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_asks_and_the_second_kills(asked, capfd, number):
    """The loop is asked once, in words, and whoever does not wait for that kills the iteration."""
    with Signals(asked.append) as standing:
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(Killed, match=f"^{signal.Signals(number).name} came after SIGTERM$"):
            signal.raise_signal(number)

    assert (asked, standing.first) == (["SIGTERM came"], signal.SIGTERM)
    assert capfd.readouterr().err.startswith("haltable: SIGTERM: finishing this iteration")


def test_a_signal_after_the_end_is_too_late(asked, capfd):
    """Once there is nothing left to kill, a signal neither asks, nor kills, nor says so."""
    with Signals(asked.append) as standing:
        standing.over = True
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)

    assert (asked, standing.first) == ([], None)
    assert capfd.readouterr().err == ""


def test_what_was_ignored_stays_ignored(asked):
    """Who is started with a signal ignored, as nohup does, does not hear it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Signals(asked.append) as standing:
            signal.raise_signal(signal.SIGHUP)
        after = signal.getsignal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)

    assert (asked, standing.first) == ([], None)
    assert after is signal.SIG_IGN


def test_whoever_holds_the_lock_is_not_waited_for_for_ever(asked, monkeypatch):
    """A signal that comes while its thread holds the loop's lock is told once that is free."""
    monkeypatch.setattr(signals, "_TOLD", 0.05)
    lock, told = threading.Lock(), threading.Event()

    def stop(why):
        if lock.acquire(timeout=PATIENCE):
            lock.release()
        asked.append((why, threading.get_ident() == threading.main_thread().ident))
        told.set()

    with Signals(stop):
        with lock:
            signal.raise_signal(signal.SIGINT)
            before = list(asked)
        heard = told.wait(PATIENCE)

    assert (before, heard) == ([], True)
    assert asked == [("SIGINT came", False)]


def test_the_loop_knows_before_the_signal_is_over(asked):
    """Who asks slowly has asked when the handler returns, so that no iteration slips in."""

    def stop(why):
        threading.Event().wait(0.05)
        asked.append(why)

    with Signals(stop):
        signal.raise_signal(signal.SIGTERM)
        known = list(asked)

    assert known == ["SIGTERM came"]
