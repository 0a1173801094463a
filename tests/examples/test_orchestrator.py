# SPDX-License-Identifier: MIT
"""The orchestrator as its users run it: a script of its own, killed and started again."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
from pathlib import Path

from haltable import Operator, SQLiteStore
from tests.house.tree import ROOT

SCRIPT = ROOT / "examples" / "orchestrator.py"
#: How long a shared machine may take for what takes a second.
PATIENCE = 100


def start(*arguments):
    """Starts the script as a process of its own."""
    return subprocess.Popen(
        [sys.executable, SCRIPT, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_demonstration_shows_what_it_claims():
    """On one screen: one task succeeds, one fails for good, one stalls, one is not run."""
    script = start()
    screen, errors = script.communicate(timeout=PATIENCE)
    lines = screen.splitlines()
    tries = dict(re.findall(r"^  (\w+) +(\d+)  (?:succeeded|tripped): ", screen, re.MULTILINE))

    assert (script.returncode, errors) == (0, "")
    assert max(map(len, lines)) <= 80
    assert len(lines) <= 30
    assert 1 <= int(tries.pop("crawl")) <= 9
    assert tries == {"archive": "0", "invoice": "3", "letters": "3"}
    assert "TRIPPED  invoice   IterationCap: 3 failures in a row (limit 3)" in lines
    assert re.search(r"^TRIPPED  crawl   StallDetector: nothing new in", screen, re.MULTILINE)
    assert len(re.findall(r"^SUCCEEDED  ", screen, re.MULTILINE)) == 2
    assert len(set(re.findall(r"^daemon (\d+) ", screen, re.MULTILINE))) == 3


def test_the_daemon_is_short():
    """The user's part of the example, imports included, is at most 60 lines long."""
    code, _ = SCRIPT.read_text().split("\n# -- The demonstration")
    _, code = code.split('"""\n\n', 1)
    lines = [line for line in code.splitlines() if line.strip() and not line.startswith("#")]

    assert len(lines) <= 60


def test_a_daemon_that_is_killed_gives_no_try_back(tmp_path):
    """A broken task gets three tries in all, though the daemon died in the first of them."""
    write_task(
        tmp_path,
        "broken",
        """
        echo try >> tries
        [ $HALTABLE_STARTS = 1 ] && exec 3>begun && echo begun >&3 && read word < go
        exit 1
        """,
    )
    os.mkfifo(tmp_path / "begun")
    os.mkfifo(tmp_path / "go")
    begun = os.open(tmp_path / "begun", os.O_RDONLY | os.O_NONBLOCK)
    first = start(tmp_path)
    heard(begun)
    first.kill()
    first.communicate(timeout=PATIENCE)
    (tmp_path / "go").write_text("go\n")
    gone(begun)
    second = start(tmp_path)
    screen, _ = second.communicate(timeout=PATIENCE)
    with SQLiteStore(tmp_path / "loops.db", create=False) as store:
        state = Operator(store).show("broken")

    assert first.returncode == -signal.SIGKILL
    assert second.returncode == 0
    assert "TRIPPED  broken   IterationCap: 3 failures in a row (limit 3)" in screen.splitlines()
    assert (tmp_path / "tries").read_text() == "try\n" * 3
    assert (state.starts, state.failures, state.crashes) == (3, 3, 1)


def test_daemons_share_a_folder(tmp_path):
    """Four daemons over one new folder do each task's tries once, not four times."""
    for name, end in (("good", "touch out/good"), ("broken", "exit 1")):
        write_task(tmp_path, name, f"echo try >> {name}\n{end}")
    daemons = [start(tmp_path) for _ in range(4)]
    endings = [(daemon.communicate(timeout=PATIENCE)[1], daemon.returncode) for daemon in daemons]

    assert endings == [("", 0)] * 4
    assert (tmp_path / "good").read_text() == "try\n"
    assert (tmp_path / "broken").read_text() == "try\n" * 3


def write_task(folder: Path, name: str, script: str) -> None:
    """Writes a task file, done when there is a file of its name in ``out``."""
    for each in ("tasks", "out"):
        (folder / each).mkdir(exist_ok=True)
    task = {"command": ["sh", "-c", script], "evidence": "out/*", "produces": f"out/{name}"}
    (folder / "tasks" / f"{name}.json").write_text(json.dumps(task))


def heard(pipe: int) -> None:
    """Waits until somebody says something in a named pipe."""
    ready, _, _ = select.select([pipe], [], [], PATIENCE)
    assert ready, "nobody said a word"
    assert os.read(pipe, 64) == b"begun\n"


def gone(pipe: int) -> None:
    """Waits until whoever had a named pipe open for writing is gone, and closes it."""
    ready, _, _ = select.select([pipe], [], [], PATIENCE)
    assert ready, "somebody is still there"
    assert os.read(pipe, 64) == b""
    os.close(pipe)
