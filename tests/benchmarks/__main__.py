# SPDX-License-Identifier: MIT
"""Prints one table of ratios: what haltable costs beside what people would use instead.

Run it from the root of the repository, with the ``test`` extra installed::

    python -m tests.benchmarks                  # everything, about two minutes
    python -m tests.benchmarks sqlite fleet     # only the rows of these rooms
    python -m tests.benchmarks --rounds 5
    python -m tests.benchmarks --quick          # does it work?  Its figures mean nothing

Both sides of a row run in this very process (imports: in fresh interpreters),
in turns.  The figure is the median of the ratios of neighbouring samples, each
of them the best of a few turns; beside it the least and the most; the goal is
the last column.  It reports and judges nobody: the exit status is 0 whatever
the figures are, because a busy machine must not fail a build.
"""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Sequence
from pathlib import Path

if not __package__:  # Run as a file: what it imports lies two folders up.
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import attrs

from tests.benchmarks import (
    async_rows,
    command_rows,
    decorator_rows,
    effect_rows,
    endurance_rows,
    evidence_rows,
    fleet_rows,
    import_rows,
    poller_rows,
    sqlite_rows,
    sync_rows,
    watch_rows,
)
from tests.benchmarks.measuring import Row, Size, measured
from tests.benchmarks.subjects import quiet
from tests.benchmarks.table import table

ROWS = {
    "sync": sync_rows.ROWS,
    "async": async_rows.ROWS,
    "decorator": decorator_rows.ROWS,
    "sqlite": sqlite_rows.ROWS,
    "fleet": fleet_rows.ROWS,
    "poller": poller_rows.ROWS,
    "effects": effect_rows.ROWS,
    "endurance": endurance_rows.ROWS,
    "evidence": evidence_rows.ROWS,
    "watch": watch_rows.ROWS,
    "import": import_rows.ROWS,
    "command": command_rows.ROWS,
}
QUICK = Size(
    rounds=2, iterations=100, calls=50, writes=20, synced=5, tasks=20, endurance=2_000, files=200
)


def report(rows: Sequence[Row], size: Size) -> str:
    """Measures the rows and returns the table."""
    with quiet():
        return table(measured(rows, size))


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the table that the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks",
        description="Prints one table of ratios: haltable beside what people would use instead.",
    )
    parser.add_argument("room", nargs="*", help=f"any of {', '.join(ROWS)}; all by default")
    parser.add_argument("--rounds", type=int, help="samples of each row")
    parser.add_argument("--quick", action="store_true", help="small samples, to see that it works")
    given = parser.parse_args(arguments)
    unknown = [room for room in given.room if room not in ROWS]
    if unknown:
        parser.error(f"no room is called {unknown[0]!r}; there are {', '.join(ROWS)}")
    size = QUICK if given.quick else Size()
    if given.rounds is not None:
        size = attrs.evolve(size, rounds=given.rounds)
    rows = [row for room in given.room or ROWS for row in ROWS[room]]
    python = f"{platform.python_implementation()} {platform.python_version()}"
    sys.stdout.write(f"{python}, {size.rounds} rounds, medians of paired ratios\n\n")
    sys.stdout.write(report(rows, size))


if __name__ == "__main__":
    main()
