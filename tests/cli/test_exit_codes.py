# SPDX-License-Identifier: MIT
"""Every exit code by a real process, and the documentation's table of them."""

from __future__ import annotations

import re
import signal

import pytest

from tests.cli.exit_codes import OTHERS, TABLE, WAYS
from tests.house.tree import ROOT

PAGE = ROOT / "docs" / "reference" / "command.md"


@pytest.mark.parametrize(("code", "before", "last"), WAYS)
def test_each_end_has_its_code(haltable, code, before, last):
    """Each way in which a loop can end has the exit code that the table says."""
    for words in before:
        haltable(*words)

    assert haltable(*last).code == code


def test_the_table_is_the_documentation():
    """The page lists exactly these codes and meanings, and each of them has a test."""
    rows = re.findall(r"^\| (\d+(?:\+n)?) \| (.*) \|$", PAGE.read_text(), re.MULTILINE)
    seen = {code for code, *_ in WAYS} | OTHERS
    named = {str(code) for code in seen if code < 128} | {"128+n"}

    assert dict(rows) == TABLE
    assert named == set(TABLE)
    assert seen & {1, 2} == set()


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_the_first_signal_finishes_the_iteration(haltable, tether, tmp_path, name):
    """The first signal lets the iteration come to its end, starts no other, and is the code."""
    number = signal.Signals[name]
    script = tether.TIE + "read go < gate; echo ended"
    (tmp_path / "gate").unlink(missing_ok=True)
    process = haltable.start("run", "--max", 5, "--", "sh", "-c", f"mkfifo gate; {script}")
    tether.hear()
    process.send_signal(number)
    heard = process.stderr.readline()
    (tmp_path / "gate").write_text("go\n")
    ended = haltable.end(process)

    assert f"{name}: finishing this iteration" in heard.decode()
    assert (ended.code, ended.out) == (128 + number, "ended\n")
    assert f"{name} came" in ended.err


def test_a_signal_ends_a_pause(haltable):
    """A signal that comes between two iterations is obeyed at once, and a key goes on later."""
    keyed = ("run", "--key", "k", "--store", "s.db", "--max", 2)
    process = haltable.start(*keyed, "--every", "1h", "--log", "log", "--", "echo", "x")
    process.stdout.readline()
    while "LoopPaused" not in (haltable.path / "log").read_text():
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    ended = haltable.end(process)
    again = haltable(*keyed, "--", "echo", "x")

    assert (ended.code, again.code, again.out) == (143, 90, "x\n")
    assert "next: haltable run --key k" in ended.err


def test_a_stop_ends_a_pause(haltable):
    """An operator's stop ends a run that waits for its next iteration."""
    process = haltable.start(
        *("run", "--key", "k", "--store", "s.db", "--max", 2, "--every", "1h", "--", "echo", "x")
    )
    process.stdout.readline()
    stopped = haltable("stop", "k", "--store", "s.db", "--why", "enough")

    assert (stopped.code, haltable.end(process).code) == (0, 94)


def test_a_check_is_killed_by_the_second_signal(haltable, tether):
    """A check that hangs is waited for once, and killed by the second signal."""
    process = haltable.start("run", "--max", 5, "--until", tether.TIE + "sleep 100", "--", "true")
    tether.hear()
    process.send_signal(signal.SIGINT)
    process.stderr.readline()
    process.send_signal(signal.SIGINT)
    ended = haltable.end(process)
    tether.hear_all()

    assert (ended.code, ended.out) == (130, "")


def test_the_second_signal_kills(haltable, tether):
    """The second signal ends the iteration and all that it started."""
    script = tether.TIE + "trap '' TERM; sleep 100 & setsid sleep 100 & wait"
    process = haltable.start("run", "--max", 5, "--", "sh", "-c", script)
    tether.hear()
    process.send_signal(signal.SIGTERM)
    process.stderr.readline()
    process.send_signal(signal.SIGTERM)
    ended = haltable.end(process)
    tether.hear_all()

    assert ended.code == 128 + signal.SIGTERM
