# SPDX-License-Identifier: MIT
"""Lives of a key whose processes die at points, and what is held of each.

At every pass of every point, and at the same point each time; the suite and the
command ``points_lane`` choose the places and the ways.
"""

from __future__ import annotations

import itertools
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from haltable import Operator
from tests.faults import points
from tests.faults.children import ended, start
from tests.faults.lane import be_quiet
from tests.faults.places import Place
from tests.faults.points import BODY, CAP, EFFECT, KEY, POINTS
from tests.faults.tally import Tally

__all__ = ["SAME", "WAYS", "Life", "each_time", "every_pass", "killed"]

KILLED = -9
#: How many processes die side by side.
AT_ONCE = 8
WAYS = {
    "run": points.PAUSE_POINTS,
    "step": points.STEP_POINTS,
    "for": points.PAUSE_POINTS,
    "arun on asyncio": points.PAUSE_POINTS,
    "arun on trio": points.PAUSE_POINTS,
}
#: The ways in which every process of a key may die at the same point.
SAME = ("run", "arun on asyncio", "arun on trio")


class Life:
    """One key's life in a place of its own: processes that run it, and what they left."""

    def __init__(self, folder: Path, place: Place, way: str, row: int | None = None) -> None:
        self.place = place
        self.tally = Tally(folder / "outside")
        self.way, self.row = way, row

    def start(self, number: int = 0, name: str | None = None) -> ForkServerProcess:
        """Starts a process that runs the key, to its end or to its point."""
        outside = str(self.tally.path)
        death = points.Death(self.place, outside, self.way, number, name, self.row)
        return start(_carry_quietly, death)

    def carry(self, number: int = 0, name: str | None = None) -> bool:
        """Runs the key in a process of its own; returns whether that was killed at its point."""
        return killed(self.start(number, name))

    def carry_here(self) -> tuple[Any, Any, Any]:
        """Runs the key to its end in this very process."""
        self.place.settle()
        with self.place.open() as store:
            loop = points.bare_loop(store, row=self.row)
            report = points.finish(loop, self.way, lambda: self.tally.mark(BODY))
            refused = points.finish(loop, self.way, lambda: self.tally.mark("after the end"))
            return report, refused, Operator(store).show(KEY)


def _carry_quietly(death: points.Death) -> None:
    be_quiet()
    points.carry(death)


def every_pass(folder: Path, place: Place, way: str) -> set[str]:
    """P1, P2: kills a process at each pass of each point; returns where they died.

    Raises:
        AssertionError: if a kill cost more than one unit, or gave one.
    """
    died_at = []
    for first in itertools.count(1, AT_ONCE):
        lives = [
            Life(_folder(folder, number), place.within(number), way)
            for number in range(first, first + AT_ONCE)
        ]
        processes = [life.start(number) for number, life in enumerate(lives, first)]
        died = [killed(process) for process in processes]
        for life in itertools.compress(lives, died):
            died_at.append(life.tally.words()[-1])
            check_cap(life, kills=1)
        if not all(died):
            break
    return set(died_at)


def each_time(folder: Path, place: Place, way: str) -> set[str]:
    """P3: kills every process of a key at one point, for each point; returns which.

    Raises:
        AssertionError: if a key came to no end, or to a wrong one.
    """
    died_at = set()
    for number, name in enumerate(sorted(POINTS | WAYS[way])):
        life = Life(_folder(folder, number), place.within(number), way)
        kills = 0
        while kills < 2 * CAP and life.carry(1, name):
            kills += 1
        check_cap(life, kills=kills)
        if kills:
            died_at.add(name)
    return died_at


def killed(process: ForkServerProcess) -> bool:
    """Waits for a process; returns whether it was killed, and lets nothing else pass."""
    code = ended(process)
    assert code in (0, KILLED)
    return code == KILLED


def check_cap(life: Life, *, kills: int) -> None:
    """Runs the key to its end and holds what is stored against what was counted outside."""
    report, refused, state = life.carry_here()
    bodies, effects = life.tally.count(BODY), life.tally.count(EFFECT)
    assert bodies <= CAP
    assert effects <= bodies
    assert state.starts == CAP
    assert CAP - bodies <= kills
    assert state.crashes <= kills
    assert state.failures == state.crashes
    assert (report.status, report.durable) == ("tripped", True)
    assert (state.status, state.running) == ("tripped", None)
    assert (refused.ran, life.tally.count("after the end")) == (False, 0)


def _folder(above: Path, number: int) -> Path:
    folder = above / str(number)
    folder.mkdir()
    return folder
