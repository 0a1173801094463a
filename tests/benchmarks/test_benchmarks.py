# SPDX-License-Identifier: MIT
"""The benchmarks measure what they say; what they find is never judged here."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys

import attrs
import pytest

from tests.benchmarks.__main__ import QUICK, ROWS, main
from tests.benchmarks.measuring import Goal, Row, Spread, measured, paired
from tests.benchmarks.subjects import body
from tests.benchmarks.sync_rows import beside_hand
from tests.benchmarks.table import table
from tests.house.tree import ROOT

ALL_ROWS = [row for rows in ROWS.values() for row in rows]
DECORATOR_AND_SYNC = [*ROWS["decorator"], *ROWS["sync"]]


class Clock:
    """A clock that only work moves."""

    def __init__(self):
        self.now = 0.0

    def work(self, seconds):
        """Returns a side that takes so long."""

        def side():
            self.now += seconds

        return side


def rows_of(screen, rows):
    """Holds what was printed against the rows that were asked for."""
    lines = screen.splitlines()[4:]
    assert len(lines) == len(rows)
    for line, row in zip(lines, rows, strict=True):
        goal = "for information" if row.goal is None else f"{row.goal.limit:g}{row.unit}"
        assert line.startswith(row.what)
        assert row.beside in line
        assert line.endswith(goal)


def test_every_row_is_in_the_table(capsys):
    """Without a room each row is measured, printed with its goal, and leaves nothing behind.

    Files, event loops and the tracing of memory are closed by the row that opened them.
    """
    main(["--quick", "--rounds", "1"])
    said = capsys.readouterr()

    assert said.err == ""
    rows_of(said.out, ALL_ROWS)


@pytest.mark.parametrize(
    "command",
    [["-m", "tests.benchmarks"], ["tests/benchmarks/__main__.py"]],
    ids=["module", "file"],
)
def test_one_command_prints_the_rows_of_a_room(command):
    """As a module and as a file, it prints each row it is asked for, and succeeds."""
    # Whoever measures the suite's coverage would be measured here.
    alone = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    done = subprocess.run(
        [sys.executable, *command, "decorator", "sync", "--quick"],
        cwd=ROOT,
        env=alone,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    rows_of(done.stdout, DECORATOR_AND_SYNC)


def test_a_side_that_takes_thrice_as_long_is_thrice_as_dear():
    """A figure is our time over theirs."""
    clock = Clock()
    figures = paired(clock.work(3.0), clock.work(1.0), now=lambda: clock.now)

    assert list(itertools.islice(figures, 4)) == [3.0] * 4


def test_a_slower_loop_has_a_worse_figure():
    """A row tells a measured side that was slowed down from one that was not."""
    plain = Row("sync", "by hand", None, beside_hand(body))
    slowed = Row("slowed", "by hand", None, beside_hand(lambda: sum(range(2_000)) < 0 or None))
    (_, before), (_, after) = measured([plain, slowed], attrs.evolve(QUICK, rounds=5))

    assert after.median > before.median


def test_a_row_that_ends_early_keeps_its_figure():
    """What does not vary is measured once, and its figure stands for all rounds."""
    row = Row("what", "beside", None, lambda _: (figure for figure in [2.0]))
    ((_, spread),) = measured([row], QUICK)

    assert spread == Spread(2.0, 2.0, 2.0)


@pytest.mark.parametrize(
    ("goal", "figure", "verdict"),
    [
        (Goal(3.5), 3.5, "yes"),
        (Goal(3.5), 3.6, "NO"),
        (Goal(5, at_least=True), 5.0, "yes"),
        (Goal(5, at_least=True), 4.9, "NO"),
    ],
)
def test_a_figure_is_held_against_its_goal(goal, figure, verdict):
    """The table says which goals are met, those from below and those from above."""
    row = Row("what", "beside", goal, lambda _: (once for once in [figure]))
    line = table([(row, Spread(figure, figure, figure))]).splitlines()[-1]

    assert line.split()[-3] == verdict
