# SPDX-License-Identifier: MIT
"""Real processes over one SQLite file: side by side, killed with -9, stopped by signals."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys

import pytest

from haltable import Operator, SQLiteStore, Status
from tests.faults.tally import Tally
from tests.house.tree import ROOT
from tests.poller.workers import BROKEN, IN_AIR, TASKS

#: Seconds that a shared machine may take for what takes a moment.
PATIENCE = 100
#: What `start` gives a process that is not to be killed.
BAD = {f"task-{number}" for number in range(0, TASKS, BROKEN)}


@contextlib.contextmanager
def start(folder, life, way):
    """Starts a process of the worker's, and has it ended at the end."""
    command = [sys.executable, "-m", "tests.poller.workers", str(folder), str(life), way]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=ROOT, **pipes) as process:
        try:
            yield process
        finally:
            process.kill()


def heard(process, count):
    """Waits until a process has said so many dots."""
    dots = b""
    while len(dots) < count:
        ready, _, _ = select.select([process.stdout], [], [], PATIENCE)
        assert ready, "it has said nothing"
        said = os.read(process.stdout.fileno(), count - len(dots))
        assert said, process.stderr.read().decode()
        dots += said
    return dots


def ended(process):
    """Waits for the end of a process, and returns how it ended and what it said."""
    said, errors = process.communicate(timeout=PATIENCE)
    return process.returncode, said, errors.decode()


def states(folder):
    """Returns how all keys stand, by key."""
    with SQLiteStore(folder / "tasks.db", create=False) as store:
        return {state.key: state for state in Operator(store).list()}


@pytest.mark.parametrize("way", ["threads", "asyncio", "trio"])
def test_killed_with_eight_in_the_air_ten_times(way, tmp_path):
    """No task gets a start beyond its cap, no effect comes twice, and all end."""
    for life in range(10):
        with start(tmp_path, life, f"hanging-{way}") as process:
            heard(process, IN_AIR)
            process.kill()
            assert process.wait(PATIENCE) == -signal.SIGKILL
    with start(tmp_path, 10, way) as process:
        end = ended(process)
    tally, keys = Tally(tmp_path / "tally"), states(tmp_path)
    words = tally.words()
    starts = {key: words.count(key.replace("task", "start")) for key in keys}

    assert (end[0], end[1]) == (0, b"")
    assert len(keys) == TASKS
    assert {state.status for state in keys.values()} <= {*Status} - {Status.OPEN}
    assert sum(state.crashes for state in keys.values()) == 10 * IN_AIR
    assert all(starts[key] == keys[key].starts <= 3 for key in keys)
    assert max(words.count(f"effect-{number}") for number in range(TASKS)) == 1
    assert not [word for word in words if word.startswith("overlap")]
    assert not [key for key in BAD if keys[key].status is Status.SUCCEEDED]


def test_processes_share_the_tasks(tmp_path):
    """Four processes make each attempt once, and never two of one key at the same time."""
    with contextlib.ExitStack() as stack:
        ways = ("threads", "asyncio", "trio", "threads")
        workers = [stack.enter_context(start(tmp_path, life, way)) for life, way in enumerate(ways)]
        ends = [ended(worker) for worker in workers]
    words, keys = Tally(tmp_path / "tally").words(), states(tmp_path)

    assert [(code, said) for code, said, _ in ends] == [(0, b"")] * 4
    assert {key for key, state in keys.items() if not state.status.terminal} == set()
    assert {key for key, state in keys.items() if state.status is Status.TRIPPED} == BAD
    assert sum(word.startswith("start") for word in words) == TASKS + 2 * len(BAD)
    assert sum(word.startswith("effect") for word in words) == TASKS
    assert not [word for word in words if word.startswith("overlap")]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_drains(number, tmp_path):
    """Asked to handle signals it ends gently at the first, and says why."""
    with start(tmp_path, 0, "signals") as process:
        heard(process, 5)
        process.send_signal(number)
        code, said, errors = ended(process)

    assert (code, errors) == (0, "")
    assert said.lstrip(b".").decode() == f"stopped {signal.Signals(number).name} was received"
