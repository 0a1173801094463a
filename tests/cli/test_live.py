# SPDX-License-Identifier: MIT
"""The live line where no process shows it: time that passes at will, and terminals that are odd."""

from __future__ import annotations

import contextlib
import os

import attrs
import pytest

from haltable.cli import live
from haltable.cli.live import _Line
from haltable.model import Status
from haltable.report import Report
from tests.cli.terminal import COLUMNS, Terminal

OPEN = Report(
    status=Status.OPEN,
    breaker="",
    reason="",
    starts=3,
    failures=0,
    ran=True,
    result=None,
    error=None,
    pending=None,
    evidence=None,
    retry_after=None,
    elapsed=61.0,
    durable=False,
    key=None,
    name="agent",
    limits=(("stall", "60"),),
)


class Standing:
    """A run that stands as a test says, and a clock that a test moves."""

    def __init__(self):
        self.report, self.now = OPEN, 1000.0

    def snapshot(self):
        """Returns how it stands."""
        return self.report

    def monotonic(self):
        """Returns the time."""
        return self.now


@pytest.fixture
def run(monkeypatch):
    """A run whose time is the live line's."""
    run = Standing()
    monkeypatch.setattr(live, "time", run)
    return run


@pytest.fixture
def shown(capfd):
    """Returns what was written to the standard error, a file, since it was asked last."""
    return lambda: capfd.readouterr().err.removeprefix("\r\x1b[K")


@contextlib.contextmanager
def standard_error(descriptor):
    """Puts a descriptor in the place of the standard error, for a block."""
    before = os.dup(2)
    os.dup2(descriptor, 2)
    try:
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)


def test_evidence_ages_until_there_is_other(run, shown):
    """The age of the newest evidence begins anew when that changes, and only then."""
    line, ages = _Line(run), []
    for evidence, seconds in [(None, 5), ("a.md", 70), ("a.md", 3), ("b.md", 9), ("b.md", 0)]:
        run.report = attrs.evolve(OPEN, evidence=evidence)
        line._show()
        run.now += seconds
        ages.append(shown().partition("newest evidence ")[2].partition(" · ")[0])

    assert ages == ["none yet", "0:00 old", "1:10 old", "0:00 old", "0:09 old"]


def test_without_a_terminal_there_are_eighty_columns(run, shown):
    """Where nobody says how wide it is, the line is cut as for most terminals."""
    run.report = attrs.evolve(OPEN, name="a-long-name" * 9)
    _Line(run)._show()

    assert len(shown()) == COLUMNS - 1


@pytest.mark.parametrize("columns", [0, 40])
def test_a_line_is_as_wide_as_its_terminal(run, columns):
    """It is cut at the columns that there are; a terminal that knows of none has eighty."""
    run.report = attrs.evolve(OPEN, name="a-long-name" * 9)
    with Terminal(columns) as terminal:
        with standard_error(terminal.near):
            _Line(run)._show()
        terminal.release()
        terminal.read_all()

    assert len(terminal.screen()[0]) == (columns or COLUMNS) - 1


def test_what_goes_elsewhere_does_not_move_the_line(run):
    """A piece without an end of line, printed to a pipe, is none of the terminal's."""
    reader, writer = os.pipe()
    line = _Line(run)
    with Terminal() as terminal:
        with standard_error(terminal.near):
            line._show()
            with line.aside(writer, b"name: "):
                pass
            run.report = attrs.evolve(OPEN, starts=4)
            line._show()
        terminal.release()
        terminal.read_all()
    os.close(reader)
    os.close(writer)

    assert terminal.raw.count("\x1b[K") == 2
    assert terminal.screen()[0].startswith("agent: iteration 4 ")
