# SPDX-License-Identifier: MIT
"""A command's whole family: whoever leaves its group is found, and nobody outlives us."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import anyio
import pytest

from haltable.bodies import Command, CommandFailed, _child_sync, _keeper_process
from haltable.bodies._ear import Ear
from haltable.bodies._task import Task
from haltable.errors import ConfigurationError, HaltableError
from haltable.testing import iteration
from tests.bodies.tether import Tether

#: Starts one that leaves the group and the session, says so, and cannot be talked to.
ESCAPE = (
    "setsid sh -c 'trap \"\" TERM HUP INT; echo escaped >&9; while :; do sleep 0.01; done' "
    ">/dev/null 2>&1 & "
)
#: The same twice over, so that its parent is gone as well.
DOUBLE = f"({ESCAPE}) & "
AGES = 1000
#: As users have it; see the fixture that measures.
LAUNCH = _keeper_process.LAUNCH


def command(tether: Tether, script: str, **options) -> Command:
    """Returns a command that holds the tether."""
    return Command(["sh", "-c", Tether.TIE + script], env=tether.environment, **options)


def hear(tether: Tether, word: bytes) -> None:
    """Waits until a script has said the word."""
    heard = b""
    while word not in heard:
        heard += tether.hear()


@pytest.mark.parametrize("escape", [ESCAPE, DOUBLE])
def test_whoever_leaves_the_group_is_ended_with_the_command(run, tether, escape):
    """A grandchild with a session of its own that ignores TERM does not outlive its command."""
    started = time.monotonic()
    completed = run(command(tether, escape + "sleep 0.1; echo done", grace=0.3))
    heard = tether.hear_all()

    assert completed.text == "done\n"
    assert heard.startswith(b"tied\n")
    assert time.monotonic() - started < AGES


def test_nothing_outlives_the_verdict_by_more_than_the_grace_and_a_second(tether):
    """From the interrupt on, the grace and a second are all that an escapee has left."""
    body = command(tether, ESCAPE + DOUBLE + "wait", grace=0.5)
    heard: list[float] = []
    interrupted: list[float] = []

    def interrupt() -> None:
        hear(tether, b"escaped\nescaped")
        interrupted.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)
        tether.hear_all()
        heard.append(time.monotonic())

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        body(iteration())
    thread.join()

    assert heard[0] - interrupted[0] < 0.5 + 1


def test_an_escapee_may_say_goodbye(run, tether):
    """Whoever has left the group gets a TERM, and the grace to act on it, like the others."""
    script = (
        'setsid sh -c \'trap "echo goodbye >&9; exit" TERM; echo escaped >&9; '
        'while :; do sleep 0.01; done\' & read -r line <"$TETHER.go"'
    )
    go = tether.environment["TETHER"] + ".go"
    os.mkfifo(go)

    def let_go() -> None:
        hear(tether, b"escaped")
        Path(go).write_text("on\n")

    thread = threading.Thread(target=let_go)
    thread.start()
    run(command(tether, script, grace=AGES))
    thread.join()

    assert tether.hear_all() == b"goodbye\n"


def test_a_cancelled_command_takes_its_escapees_along(tether):
    """A cancellation ends those who have left the group, too."""

    async def main() -> bool:
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(command(tether, ESCAPE + "wait", grace=0.1).acall, iteration())
                await anyio.to_thread.run_sync(hear, tether, b"escaped")
                scope.cancel()
        return scope.cancelled_caught

    assert anyio.run(main)
    assert tether.hear_all() == b""


HOST = """
import sys
from haltable.bodies import Command
from haltable.testing import iteration
{before}
Command(["sh", "-c", sys.argv[1]], grace=0.1)(iteration())
"""
#: A copy of the host that holds whatever the host does, and lives on.
FORKED = """
import os, threading, signal
def fork():
    sys.stdin.readline()
    if os.fork() == 0:
        os.write(1, b"%d\\n" % os.getpid())
        signal.pause()
threading.Thread(target=fork).start()
"""


def host(tether: Tether, script: str, before: str = "") -> subprocess.Popen[bytes]:
    """Starts a process that runs the script as a command."""
    return subprocess.Popen(
        [sys.executable, "-c", HOST.format(before=before), Tether.TIE + script],
        env=tether.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_outlives_us(tether, number):
    """A host that is killed takes the child and its escapees along."""
    with host(tether, ESCAPE + DOUBLE + "wait") as process:
        hear(tether, b"escaped\nescaped")
        process.send_signal(number)
        process.wait()
        heard = tether.hear_all()

    assert process.returncode == -number
    assert heard == b""


def test_nothing_outlives_us_while_a_copy_of_us_lives(tether):
    """A process that the host forked in mid-run does not keep the command alive."""
    with host(tether, ESCAPE + "wait", FORKED) as process:
        hear(tether, b"escaped")
        process.stdin.write(b"now\n")
        process.stdin.flush()
        copy = int(process.stdout.readline())
        process.kill()
        process.wait()
        heard = tether.hear_all()
        os.kill(copy, signal.SIGKILL)

    assert heard == b""


def test_a_keeper_that_is_killed_takes_the_group_along(run, tether):
    """A child that kills its keeper gains nothing by it, and is no success."""
    with pytest.raises(HaltableError, match="process that keeps it is gone"):
        run(command(tether, "sleep 1000 & kill -KILL $PPID; wait"))

    assert tether.hear_all() == b"tied\n"


def test_a_keeper_that_is_stopped_is_ended_with_the_group(tether, monkeypatch):
    """A child that stops its keeper is ended all the same, a little later."""
    monkeypatch.setattr("haltable.bodies._child_sync._MARGIN", 0)
    script = ESCAPE + "kill -STOP $PPID; kill -INT $HOST; sleep 1000"
    with pytest.raises(KeyboardInterrupt):
        command(tether, script, grace=0)(iteration())

    assert tether.hear_all().startswith(b"tied\n")


@pytest.mark.parametrize("number", ["TERM", "HUP"])
def test_a_keeper_that_is_asked_to_end_ends_the_family(run, tether, number):
    """Whoever ends all processes of a service ends the command with them."""
    with pytest.raises(CommandFailed) as caught:
        run(command(tether, ESCAPE + f"kill -{number} $PPID; sleep 1000", grace=0.1))

    assert caught.value.signal == signal.SIGTERM
    assert tether.hear_all().startswith(b"tied\n")


def test_an_interrupt_of_the_keeper_is_nothing(run, tether):
    """Ctrl-C is the host's business."""
    assert run(command(tether, "kill -INT $PPID; echo on")).text == "on\n"


def test_signals_are_as_a_program_expects_them(run):
    """The child ignores and blocks what the host does, and not what Python does."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        status = run(Command(["cat", "/proc/self/status"])).text
    finally:
        signal.signal(signal.SIGHUP, before)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR2])
    ignored, blocked = (
        int(re.search(rf"{name}:\s*(\w+)", status)[1], 16) for name in ("SigIgn", "SigBlk")
    )

    assert blocked == 1 << (signal.SIGUSR2 - 1)
    assert ignored & (1 << (signal.SIGHUP - 1))
    assert not ignored & (1 << (signal.SIGPIPE - 1))


def test_the_child_holds_nothing_of_the_keeper(run):
    """The child finds its three streams open and nothing else."""
    assert run(Command(["sh", "-c", "ls /proc/$$/fd"])).text.split() == ["0", "1", "2"]


def test_where_there_is_no_interpreter_nothing_runs(run, monkeypatch):
    """A host that does not know its own interpreter is told so."""
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(HaltableError, match="keeper of a child could not be started"):
        run(Command(["true"]))


def test_where_there_is_no_reaper_the_group_is_ended(run, tether, monkeypatch):
    """Without sub-reapers the command and its group are ended, as a group can be."""
    stub = "_keeper._becomes_reaper = lambda: False; _keeper.main()"
    launch = [word.replace("_keeper.main()", stub) for word in _keeper_process.LAUNCH]
    monkeypatch.setattr(_keeper_process, "LAUNCH", tuple(launch))
    completed = run(command(tether, "sleep 1000 & echo on; trap '' TERM", grace=0.1))
    with pytest.raises(CommandFailed):
        run(Command(["./nothing"]))

    assert completed.text == "on\n"
    assert tether.hear_all() == b"tied\n"


def test_a_confinement_that_cannot_be_had_is_no_start():
    """A program whose confinement cannot be had does not run, and is told so in words."""
    order = {"writable": ["/not/there"], "hidden": [], "network": True}
    task = Task(["true"], cwd=None, env={}, grace=0, confine=order)
    with pytest.raises(ConfigurationError, match=r"^Confinement: .*/not/there.*No such file"):
        _child_sync.run(task, Ear(10))


def test_the_keeper_is_alone_and_light(tmp_path):
    """The keeper starts without site, without the user's modules, and with few of its own."""
    (tmp_path / "json.py").write_text("raise SystemExit('a stranger')")
    words = [word.replace("_keeper.main()", "print(*sys.modules)") for word in LAUNCH]
    loaded = subprocess.run(
        [sys.executable, *words],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()

    assert "_keeper" in loaded
    assert not {"site", "typing", "subprocess", "haltable", "ctypes"} & {*loaded}


@pytest.mark.parametrize("closed", [[0], [1, 2], [0, 1, 2]])
def test_a_host_without_streams_can_run_bodies(closed):
    """A daemon that has closed its standard streams gets the same answers."""
    code = (
        "import fnmatch, os, sys\n"
        "from haltable.bodies import Command, Isolated\n"
        "from haltable.testing import iteration\n"
        f"for descriptor in {closed}: os.close(descriptor)\n"
        "said = Command(['sh', '-c', 'echo out; echo err >&2'])(iteration()).text\n"
        "body = Isolated(fnmatch.filter, arguments={'names': ['a'], 'pat': '*'})\n"
        "os._exit(7 if (said, body(iteration())) == ('out\\nerr\\n', ['a']) else 1)"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 7
