# SPDX-License-Identifier: MIT
"""The watch over the whole suite sees each kind of leak, and names it."""

from __future__ import annotations

import asyncio
import contextvars
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import trio
import trio.testing

from tests.house import leaks

ROOT = Path(__file__).parents[2]


def only(watch):
    """Returns the one leak that the watch found."""
    (leak,) = watch.leaked()
    return leak


def test_nothing_is_no_leak():
    """A test that does nothing leaves nothing."""
    watch = leaks.Watch()

    assert watch.leaked() == []


def test_a_thread(monkeypatch):
    """A thread that goes on is named; one that is about to end is waited for."""
    monkeypatch.setattr(leaks, "SETTLE", 0.01)
    watch, done = leaks.Watch(), threading.Event()
    thread = threading.Thread(target=done.wait, name="lingerer")
    thread.start()
    leak = only(watch)
    done.set()
    monkeypatch.undo()

    assert leak == "thread 'lingerer'"
    assert watch.leaked() == []


def test_a_descriptor():
    """An open file is named with its number and target; so is one that was closed."""
    watch = leaks.Watch()
    number = os.open("/dev/null", os.O_RDONLY)
    opened = only(watch)
    second = leaks.Watch()
    os.close(number)

    assert opened == f"file descriptor {number} -> /dev/null"
    assert only(second) == f"file descriptor {number} -> /dev/null is closed"


def test_a_child():
    """A child is named with its command, and a zombie is still a child."""
    watch = leaks.Watch()
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    seen = watch.leaked()
    child.stdin.close()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    zombie = watch.leaked()
    child.wait()

    assert f"child {child.pid} {sys.executable} -c input()" in seen
    assert zombie == [f"child {child.pid} (a zombie)"]


def test_a_signal_handler():
    """A handler that was not put back is named."""
    watch = leaks.Watch()
    before = signal.signal(signal.SIGUSR1, lambda *_: None)
    leak = only(watch)
    signal.signal(signal.SIGUSR1, before)

    assert leak.startswith("handler of SIGUSR1: <function")


def test_a_blocked_signal():
    """A signal that stays blocked is named."""
    watch = leaks.Watch()
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    leak = only(watch)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR1])

    assert leak == f"signal {signal.SIGUSR1} blocked or unblocked"


def test_a_timer():
    """A timer that still runs is named."""
    watch = leaks.Watch()
    signal.setitimer(signal.ITIMER_VIRTUAL, 3600)
    leak = only(watch)
    signal.setitimer(signal.ITIMER_VIRTUAL, 0)

    assert leak == "timer ITIMER_VIRTUAL started or stopped"


def test_a_hook():
    """A hook of the interpreter that was not put back is named."""
    watch, before = leaks.Watch(), threading.excepthook
    threading.excepthook = print
    leak = only(watch)
    threading.excepthook = before

    assert leak.startswith("threading.excepthook: <built-in function print>, was")


def test_a_context_variable():
    """A variable of haltable's that stays set is named; somebody else's is not."""
    ours, theirs = contextvars.ContextVar("haltable.x"), contextvars.ContextVar("theirs")
    watch = leaks.Watch()
    token, other = ours.set(1), theirs.set(2)
    leak = only(watch)
    ours.reset(token)
    theirs.reset(other)

    assert leak == "context variable 'haltable.x': 1, was None"


async def test_a_task(anyio_backend_name):
    """A task that outlives its test is named, on both event loops."""
    stop = []
    if anyio_backend_name == "asyncio":

        async def leak():
            stop.append(asyncio.ensure_future(asyncio.Event().wait()))
    else:

        async def leak():
            async def forever():
                with trio.CancelScope() as scope:
                    stop.append(scope)
                    await trio.sleep_forever()

            trio.lowlevel.spawn_system_task(forever, name="lingerer")
            await trio.testing.wait_all_tasks_blocked()

    with pytest.raises(AssertionError, match="left behind: task <"):
        await leaks.watched(leak)()
    stop[0].cancel()
    if anyio_backend_name == "asyncio":
        with pytest.raises(asyncio.CancelledError):
            await stop[0]
    else:
        await trio.testing.wait_all_tasks_blocked()


@pytest.fixture(scope="module")
def wide():
    """Something that a fixture of a wider scope holds open."""
    read, write = os.pipe()
    yield read
    os.close(read)
    os.close(write)


def test_a_wider_fixture_asked_for_in_mid_test(request):
    """What a fixture of a wider scope holds is not the leak of the test that asked first."""
    read = request.getfixturevalue("wide")

    assert os.fstat(read)


def test_the_wider_fixture_is_still_there(wide):
    """And the next test finds it as it was."""
    assert os.fstat(wide)


LEAKING = """
import asyncio, os, trio

def test_descriptor():
    os.open("/dev/null", os.O_RDONLY)

async def test_task(anyio_backend_name):
    if anyio_backend_name == "asyncio":
        asyncio.get_running_loop().kept = asyncio.ensure_future(asyncio.Event().wait())
    else:
        trio.lowlevel.spawn_system_task(trio.sleep_forever)

def test_nothing():
    pass
"""


def test_a_leaking_test_fails(tmp_path):
    """Over the real suite's own fixtures, a test that leaks fails and the next one does not."""
    tmp_path.joinpath("test_leaking.py").write_text(LEAKING)
    options = ["-p", "tests.conftest", "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(ROOT)]
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )

    assert "2 failed, 2 passed, 1 error" in ran.stdout, ran.stdout
    assert ran.stdout.count("left behind: task <") >= 2
    assert "left behind: file descriptor" in ran.stdout
