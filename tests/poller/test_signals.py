# SPDX-License-Identifier: MIT
"""Signals are the host's unless it says otherwise, and come back to it."""

from __future__ import annotations

import _thread
import signal
import subprocess
import sys
import threading

import pytest

from haltable import ConfigurationError, Poller, Status
from haltable.conditions import never
from tests.house.tree import ROOT
from tests.poller.sources import Attempts, policy, polled

HANDLED = (signal.SIGINT, signal.SIGTERM)
#: A process whose only attempt goes on for ever; it says when it has begun, and when it is asked.
STUBBORN = """
import sys, threading
from haltable import Poller
from haltable.conditions import never
from tests.poller.sources import policy

def act(payload):
    print("begun", flush=True)
    while poller.snapshot().breaker != "stop":
        pass
    print("asked", flush=True)
    threading.Event().wait()

poller = Poller(lambda: ("k", 1), act, loop=policy(), until=never, concurrency=int(sys.argv[1]))
poller.run(handle_signals=True)
"""


def handlers():
    """Returns who handles the signals."""
    return [signal.getsignal(each) for each in HANDLED]


def test_no_handler_is_installed_unasked():
    """Inside a host's process its own handlers stay."""
    before, seen = handlers(), []
    polled(lambda: ("k", 1), lambda payload: seen.append(handlers())).run()

    assert seen == [before]


def test_a_handler_is_taken_back():
    """Asked to, it handles them while it runs, and not a moment longer."""
    before, seen = handlers(), []

    def act(payload):
        seen.append(handlers())
        signal.raise_signal(signal.SIGTERM)

    report = polled(lambda: ("k", 1), act, until=never).run(handle_signals=True)

    assert before not in seen
    assert handlers() == before
    assert (report.status, report.reason) == (Status.STOPPED, "SIGTERM was received")
    assert report.succeeded == 1


@pytest.mark.parametrize("concurrency", [1, 2])
async def test_a_signal_stops_tasks(concurrency):
    """The same on an event loop, though it sleeps."""
    before = handlers()

    async def act(payload):
        signal.raise_signal(signal.SIGINT)

    poller = Poller(lambda: ("k", 1), act, loop=policy(), until=never, concurrency=concurrency)
    report = await poller.arun(handle_signals=True)

    assert handlers() == before
    assert (report.status, report.reason) == (Status.STOPPED, "SIGINT was received")


def test_only_the_main_thread_handles_signals():
    """Anywhere else it is an error before anything is asked."""
    caught = []

    def work():
        with pytest.raises(ConfigurationError, match="main thread") as error:
            polled(lambda: ("k", 1), Attempts()).run(handle_signals=True)
        caught.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(30)

    assert len(caught) == 1


@pytest.mark.parametrize("concurrency", [1, 4])
def test_the_second_signal_does_what_it_did_before(concurrency):
    """An attempt that does not end cannot hold a process that is asked twice."""
    command = [sys.executable, "-c", STUBBORN, str(concurrency)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "asked\n"
        process.send_signal(signal.SIGTERM)

        assert process.wait(100) == -signal.SIGTERM


def test_a_ctrl_c_drains_and_goes_on_its_way():
    """Threads in the air land before a KeyboardInterrupt leaves the poller."""
    landed, interrupted = [], threading.Event()

    def act(payload):
        if payload:
            _thread.interrupt_main()
            interrupted.set()
        interrupted.wait(30)
        landed.append(payload)

    tasks = [("a", 0), ("b", 1)]
    poller = Poller(lambda: tasks, act, loop=policy(), until=never, concurrency=2, every=100)
    with pytest.raises(KeyboardInterrupt):
        poller.run()

    assert sorted(landed) == [0, 1]
    assert poller.snapshot() is None
