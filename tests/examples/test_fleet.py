# SPDX-License-Identifier: MIT
"""The fleet as its users run it: a script, with workers and a PostgreSQL server of its own."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
import tempfile
import threading
from functools import partial
from pathlib import Path

import psycopg
import pytest

from tests.house.tree import ROOT

pytestmark = pytest.mark.one_python

FOLDER = ROOT / "examples"
SCRIPT = FOLDER / "fleet.py"
#: How long a shared machine may take for what takes ten seconds.
PATIENCE = 110
#: What is counted of a task at the end of the screen: name, tries, charges, end, and who tried.
ROW = (
    r"^  (\w+-\d) +tries (\d), charges (\d)  (succeeded|tripped) +(?:by ([\d ]+)|was done before)$"
)
KINDS = {
    "archive": ("0", "0", "succeeded"),
    "invoice": ("3", "1", "tripped"),
    "letter": ("3", "1", "succeeded"),
    "report": ("1", "1", "succeeded"),
}
NAMES = {
    "archive-1": "archive",
    **{f"invoice-{number}": "invoice" for number in range(1, 5)},
    **{f"letter-{number}": "letter" for number in range(1, 7)},
    **{f"report-{number}": "report" for number in range(1, 4)},
}
LATER = ("invoice-3", "invoice-4", "letter-4", "letter-5", "letter-6")


def shown(script=SCRIPT, **environment):
    """Runs the script, and returns how it ended and what it said."""
    done = subprocess.run(
        [sys.executable, script],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        cwd="/",
        env={**os.environ, **environment},
    )
    return done.returncode, done.stdout, done.stderr


def check(screen):
    """Holds a screen against what must have happened."""
    lines = screen.splitlines()
    rows = re.findall(ROW, screen, re.MULTILINE)
    counted = {name: tuple(counts) for name, *counts, _ in rows}
    tried = {name: who.split() for name, *_, who in rows}
    (victim,) = re.findall(r"^worker (\d) was killed \(-9\) at report-2", screen, re.MULTILINE)
    (heir,) = re.findall(r"^  worker (\d), \d\.\d s later$", screen, re.MULTILINE)

    assert max(map(len, lines)) <= 80
    assert len(lines) <= 30
    assert counted.pop("report-2") == ("2", "1", "succeeded")
    assert counted == {name: KINDS[kind] for name, kind in NAMES.items() if name != "report-2"}
    assert tried["report-2"] == [victim, heir]
    assert heir != victim
    # Who was killed tries nothing of what came later.
    assert not any(victim in tried[name] for name in LATER)
    assert lines[-1] == "14 tasks, 34 tries, 13 charges; none is open"


def test_the_fleet_keeps_its_counts():
    """A worker is killed, the server is crashed: every cap and every charge is exact."""
    code, screen, errors = shown()

    assert (code, errors) == (0, "")
    check(screen)


def test_the_fleet_runs_on_the_readers_server(monkeypatch, tmp_path):
    """With a connection string, and commands that stop and start its server, the same is shown."""
    monkeypatch.syspath_prepend(FOLDER)
    pipes = {name: tmp_path / name for name in ("stop", "start", "done")}
    for pipe in pipes.values():
        os.mkfifo(pipe)
    commands = {
        name.upper(): f"echo now > {pipes[name]} && read word < {pipes['done']}"
        for name in ("stop", "start")
    }
    with tempfile.TemporaryDirectory() as home:
        Path(home).chmod(0o755)
        own = importlib.import_module("own_postgres").OwnPostgres(Path(home))
        own.start()

        def obey():
            for name, act in (("stop", partial(own.stop, "immediate")), ("start", own.start)):
                pipes[name].read_text()
                act()
                pipes["done"].write_text("done\n")

        threading.Thread(target=obey, daemon=True).start()
        try:
            code, screen, errors = shown(POSTGRES=own.server, **commands)
            with psycopg.connect(own.server) as connection:
                found = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
                left = connection.execute(found).fetchall()
        finally:
            own.stop()

    assert (code, errors, left) == (0, "", [])
    check(screen)


def test_the_page_shows_a_screen():
    """What the page shows is what a reader will see, numbers of workers and seconds aside."""
    shows = (ROOT / "docs" / "how-to" / "run-a-fleet.md").read_text()
    (screen,) = re.findall(r"^```text\n(.*?)^```$", shows, re.MULTILINE | re.DOTALL)

    check(screen)
    words = {line for line in screen.splitlines() if not re.search(r"\d", line)}
    assert [line for line in words if line.strip() not in SCRIPT.read_text()] == []


def test_the_fleet_says_what_it_needs():
    """A server that nobody may crash is none for a demonstration, and one sentence says so."""
    code, screen, errors = shown(POSTGRES="host=/nowhere")

    assert (code, screen) == (1, "")
    assert errors.startswith("fleet.py needs a PostgreSQL that it may crash: ")
    assert errors.count(". ") == 0


def test_the_demonstration_looks(tmp_path):
    """It claims nothing that it has not seen: a charge without the effect's name is found."""
    for path in FOLDER.glob("*.py"):
        code = path.read_text().replace(
            "charge:{self.name}", "charge:{iteration.starts}:{self.name}"
        )
        (tmp_path / path.name).write_text(code)
    code, screen, errors = shown(tmp_path / "fleet.py")

    assert code == 1
    assert errors.startswith("This is NOT so:   invoice-1  tries 3, charges 3  ")
    assert "  invoice-1" not in screen


def test_the_worker_is_short():
    """What a fleet takes beside the orchestrator's tasks is at most 60 lines, imports included."""
    code, _ = SCRIPT.read_text().split("\n# -- The demonstration")
    _, code = code.split('"""\n\n', 1)
    lines = [line for line in code.splitlines() if line.strip() and not line.startswith("#")]

    assert len(lines) <= 60
