# SPDX-License-Identifier: MIT
"""The command on a real terminal of 80 columns: the live line, the receipt, the tables."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys

import pytest

from haltable.cli import main
from tests.cli.commands import HALTABLE
from tests.cli.terminal import COLUMNS, Terminal

WITHOUT_RICH = (
    sys.executable,
    "-c",
    "import sys; sys.modules['rich'] = None; from haltable.cli import main; sys.exit(main())",
)

ACTS = "ls show stop reset extend effects resolve purge watch".split()


@pytest.fixture
def terminal():
    """A terminal that nobody has written to."""
    with Terminal() as terminal:
        yield terminal


@pytest.fixture
def on(haltable, terminal):
    """Starts the command with the terminal as its output and error."""

    def start(*words, program=HALTABLE):
        process = subprocess.Popen(
            [*program, *map(str, words)],
            cwd=haltable.directory,
            env=haltable.environment(),
            stdin=subprocess.DEVNULL,
            stdout=terminal.near,
            stderr=terminal.near,
        )
        terminal.release()
        return process

    return start


def test_a_live_line_says_how_the_loop_stands(haltable, terminal, on):
    """On a terminal a line says iteration of cap, time, evidence and failures, and goes again."""
    os.mkfifo(haltable.path / "gate")
    options = ("--max", 1, "--evidence", "*.out", "--stall", "1h")
    process = on("run", *options, "--", "sh", "-c", "echo begun; read go < gate; echo ended")
    terminal.read_until("newest evidence none yet · failures 0")
    (haltable.path / "gate").write_text("go\n")
    terminal.read_all()

    assert process.wait() == 90
    assert "sh: iteration 1 of 1 · 0:0" in terminal.raw
    assert terminal.screen()[:3] == [
        "begun",
        "ended",
        "TRIPPED  sh   IterationCap: all 1 starts are used",
    ]


def test_a_terminal_that_goes_away_ends_the_loop(haltable, tether):
    """When the terminal is gone, so is the loop, and with it all that it started."""
    with Terminal() as terminal:
        process = subprocess.Popen(
            [*HALTABLE, "run", "--max", "9", "--", "sh", "-c", tether.TIE + "echo begun; yes"],
            cwd=haltable.directory,
            env=haltable.environment(),
            stdin=subprocess.DEVNULL,
            stdout=terminal.near,
            stderr=terminal.near,
        )
        terminal.release()
        terminal.read_until("begun")
    tether.hear_all()

    assert process.wait() == 128 + signal.SIGPIPE


def test_a_line_that_has_not_ended_is_left_alone(haltable, terminal, on):
    """The live line never stands in a line of the command's own."""
    os.mkfifo(haltable.path / "gate")
    script = "printf 'name: '; read go < gate; sleep 1.5; echo ana"
    process = on("run", "--max", 1, "--", "sh", "-c", script)
    terminal.read_until("name: ")
    (haltable.path / "gate").write_text("go\n")
    terminal.read_all()

    assert process.wait() == 90
    assert terminal.screen()[0] == "name: ana"


def test_nothing_is_wider_than_the_terminal(haltable, terminal, on):
    """The live line is cut, and a receipt is broken between words, at the terminal's width."""
    os.mkfifo(haltable.path / "gate")
    name = "an-agent-with-a-name-that-hardly-anybody-would-want-to-type-twice"
    tool = haltable.path / name
    tool.write_text(
        "#!/bin/sh\nread go < gate\necho it went wrong in a way that is long to tell\nexit 3\n"
    )
    tool.chmod(0o755)
    process = on("run", "--max", 1, "--evidence", "*.out", "--stall", "1h", "--", f"./{name}")
    terminal.read_until(f"{name}: iter")
    (haltable.path / "gate").write_text("go\n")
    terminal.read_all()
    ours = [line for line in terminal.screen() if "next:" not in line and name not in line]

    assert process.wait() == 90
    assert max(map(len, ours)) <= COLUMNS
    assert max(map(len, re.findall(r"\r\x1b\[K([^\r\n\x1b]+)", terminal.raw))) == COLUMNS - 1


def test_help_fits_the_terminal(terminal, on):
    """What ``haltable --help`` says is shown whole in 80 columns."""
    process = on("--help")
    terminal.read_all()

    assert process.wait() == 0
    assert "purge, watch" in terminal.raw
    assert [line for line in terminal.screen() if len(line) > COLUMNS] == []


@pytest.mark.parametrize("act", ["run", *ACTS])
def test_the_help_of_an_act_fits_a_terminal(act, capsys):
    """The help of every act is no wider than 80 columns."""
    with pytest.raises(SystemExit):
        main([act, "--help"])

    lines = capsys.readouterr().out.splitlines()
    assert f"haltable {act}" in lines[0]
    assert [line for line in lines if len(line) > COLUMNS] == []


@pytest.mark.parametrize("program", [HALTABLE, WITHOUT_RICH], ids=["rich", "plain"])
def test_a_table_fits_the_terminal(haltable, terminal, on, program):
    """A table on a terminal fits its columns, with rich and without."""
    keyed = ("run", "--key", "report", "--store", "s.db", "--max", 9, "--")
    haltable(*keyed, "sh", "-c", "exit 3")
    process = on("ls", "--store", "s.db", program=program)
    terminal.read_all()
    heads, row, *_ = terminal.screen()

    assert process.wait() == 0
    assert ("\x1b[" in terminal.raw) is (program is HALTABLE)
    assert heads.split()[:3] == ["STATUS", "KEY", "STARTS"]
    assert row.split()[:3] == ["tripped", "report", "3/9"]
    assert max(map(len, terminal.screen())) <= COLUMNS


def test_watch_goes_on_until_it_is_stopped(haltable, terminal, on):
    """On a terminal `watch` shows what changes, until Ctrl-C."""
    keyed = ("run", "--store", "s.db", "--max", 1, "--key")
    haltable(*keyed, "one", "--", "true")
    process = on("watch", "--store", "s.db", "--every", "50ms")
    terminal.read_until("one")
    haltable(*keyed, "two", "--", "true")
    terminal.read_until("two")
    process.send_signal(signal.SIGINT)
    terminal.read_all()

    assert process.wait() == 0
    assert [line.split()[1] for line in terminal.screen()[1:3]] == ["one", "two"]
