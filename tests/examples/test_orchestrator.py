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

import pytest

from haltable import Operator, SQLiteStore
from tests.house.tree import ROOT

SCRIPT = ROOT / "examples" / "orchestrator.py"
#: How long a shared machine may take for what takes a second.
PATIENCE = 100
#: What is counted of a task at the end of the screen: its name, tries and charges.
ROW = r"^  (\w+) +tries +(\d+), charges (\d+)  (?:succeeded|tripped): "


def start(*arguments, script=SCRIPT):
    """Starts the script as a process of its own."""
    return subprocess.Popen(
        [sys.executable, script, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_demonstration_shows_what_it_claims():
    """On one screen: how each task ended, what was charged for it, and who decided in the gap."""
    script = start()
    screen, errors = script.communicate(timeout=PATIENCE)
    lines = screen.splitlines()
    rows = re.findall(ROW, screen, re.MULTILINE)
    tries = {name: count for name, count, _ in rows}
    charges = {name: count for name, _, count in rows}

    assert (script.returncode, errors) == (0, "")
    assert max(map(len, lines)) <= 80
    assert len(lines) <= 30
    assert 1 <= int(tries.pop("crawl")) <= 9
    assert tries == {"archive": "0", "invoice": "3", "letters": "3", "shoes": "1"}
    assert charges == {"archive": "0", "crawl": "1", "invoice": "1", "letters": "1", "shoes": "1"}
    assert "TRIPPED  invoice   IterationCap: 3 failures in a row (limit 3)" in lines
    assert re.search(r"^TRIPPED  crawl   StallDetector: nothing new in", screen, re.MULTILINE)
    assert len(re.findall(r"^SUCCEEDED  ", screen, re.MULTILINE)) == 2
    assert re.search(r"^GAVE_UP  shoes   fatal: OutcomeUnknown: nobody knows", screen, re.MULTILINE)
    assert "  unknown effects charge:shoes" in lines
    assert re.search(r"^  ops.resolve\('charge:shoes', 'done', ", screen, re.MULTILINE)
    assert re.findall(r"^daemon (\d) ", screen, re.MULTILINE) == ["1", "2", "3", "4"]


@pytest.mark.one_python
@pytest.mark.parametrize(
    ("bug", "instead", "word"),
    [
        ("charge:{self.name}", "charge:{self.name}:{iteration.starts}", "daemon 3"),
        ("IdempotencyGuard()", 'IdempotencyGuard(semantics="at_least_once")', "daemon 3"),
        ("max_consecutive_failures=3", "max_consecutive_failures=2", "  invoice"),
    ],
)
def test_the_demonstration_looks(bug, instead, word, tmp_path):
    """It claims nothing that it has not seen: in a daemon with a mistake it finds it."""
    broken = tmp_path / "broken.py"
    broken.write_text(SCRIPT.read_text().replace(bug, instead, 1))
    script = start(script=broken)
    screen, errors = script.communicate(timeout=PATIENCE)

    assert script.returncode == 1
    assert errors.startswith(f"This is NOT so: {word}")
    assert errors.removeprefix("This is NOT so: ") not in screen


def test_the_daemon_is_short():
    """The user's part of the example, imports included, has at most 60 lines."""
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
    gone(begun)
    second = start(tmp_path)
    screen, _ = second.communicate(timeout=PATIENCE)
    with SQLiteStore(tmp_path / "loops.db", create=False) as store:
        state = Operator(store).show("broken")

    assert first.returncode == -signal.SIGKILL
    assert second.returncode == 0
    assert "TRIPPED  broken   IterationCap: 3 failures in a row (limit 3)" in screen.splitlines()
    assert (tmp_path / "tries").read_text() == "try\n" * 3
    assert charges(tmp_path) == ["broken"]
    assert (state.starts, state.failures, state.crashes) == (3, 3, 1)


def test_a_charge_in_the_gap_is_a_persons_to_decide(tmp_path):
    """Killed between a charge and its record: charged once, named, and replayed once resolved."""
    write_task(tmp_path, "order", 'echo "$0" > out/order', charge="kill -9 $PPID")
    first = start(tmp_path)
    first.communicate(timeout=PATIENCE)
    second = start(tmp_path)
    screen, _ = second.communicate(timeout=PATIENCE)
    with SQLiteStore(tmp_path / "loops.db", create=False) as store:
        ops = Operator(store)
        unknown = [effect.key for effect in ops.effects("unknown")]
        ops.resolve("charge:order", "done", result="receipt 12", by="ana", why="it is listed")
        ops.reset("order", by="ana", why="paid")
    third = start(tmp_path)
    third.communicate(timeout=PATIENCE)

    assert [each.returncode for each in (first, second, third)] == [-signal.SIGKILL, 0, 0]
    assert "  unknown effects charge:order" in screen.splitlines()
    assert unknown == ["charge:order"]
    assert charges(tmp_path) == ["order"]
    assert (tmp_path / "out" / "order").read_text() == "receipt 12\n"


def test_daemons_share_a_folder(tmp_path):
    """Four daemons over one new folder do each task's tries, and its charge, once."""
    for name, end in (("good", "touch out/good"), ("broken", "exit 1")):
        write_task(tmp_path, name, f"echo try >> {name}\n{end}")
    daemons = [start(tmp_path) for _ in range(4)]
    endings = [(daemon.communicate(timeout=PATIENCE)[1], daemon.returncode) for daemon in daemons]

    assert endings == [("", 0)] * 4
    assert (tmp_path / "good").read_text() == "try\n"
    assert (tmp_path / "broken").read_text() == "try\n" * 3
    assert sorted(charges(tmp_path)) == ["broken", "good"]


def write_task(folder: Path, name: str, script: str, *, charge: str = "true") -> None:
    """Writes a task file, done when there is a file of its name in ``out``."""
    for each in ("tasks", "out"):
        (folder / each).mkdir(exist_ok=True)
    task = {
        "charge": ["sh", "-c", f"echo {name} >> provider.txt; {charge}; echo receipt"],
        "command": ["sh", "-c", script],
        "evidence": "out/*",
        "produces": f"out/{name}",
    }
    (folder / "tasks" / f"{name}.json").write_text(json.dumps(task))


def charges(folder: Path) -> list[str]:
    """Returns what was charged for, as the provider has noted it."""
    return (folder / "provider.txt").read_text().split()


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
