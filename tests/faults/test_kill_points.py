# SPDX-License-Identifier: MIT
"""P1-P3 under ``kill -9`` at every point of an iteration, in every way in, on every store."""

from __future__ import annotations

import itertools

import pytest

from haltable import Operator
from tests.faults import lane, points
from tests.faults.children import ended, start
from tests.faults.lane import Lane
from tests.faults.points import BODY, CAP, EFFECT, KEY, POINTS
from tests.faults.tally import Tally

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


class Life:
    """One key's life in a place of its own: processes that run it, and what they left."""

    def __init__(self, folder, place, way, row=None):
        self.place = place
        self.tally = Tally(folder / "outside")
        self.way, self.row = way, row

    def start(self, number=0, name=None):
        """Starts a process that runs the key, to its end or to its point."""
        outside = str(self.tally.path)
        death = points.Death(self.place, outside, self.way, number, name, self.row)
        return start(points.carry, death)

    def carry(self, number=0, name=None):
        """Runs the key in a process of its own; returns whether that was killed at its point."""
        return killed(self.start(number, name))

    def carry_here(self):
        """Runs the key to its end in this very process."""
        self.place.settle()
        with self.place.open() as store:
            loop = points.bare_loop(store, row=self.row)
            report = points.finish(loop, self.way, lambda: self.tally.mark(BODY))
            refused = points.finish(loop, self.way, lambda: self.tally.mark("after the end"))
            return report, refused, Operator(store).show(KEY)


@pytest.mark.parametrize("way", WAYS)
def test_each_point_is_reached(tmp_path, place, way):
    """A point that is never passed would prove nothing: each is, in each way in."""
    life = Life(tmp_path, place, way)
    killed = life.carry()

    assert not killed
    assert POINTS | WAYS[way] <= set(life.tally.words())
    assert life.tally.count(BODY) == CAP
    assert len(POINTS | WAYS[way]) >= 12


@pytest.mark.parametrize("way", WAYS)
def test_killed_once_at_every_pass_of_every_point(tmp_path, place, way):
    """P1, P2: whenever a process is killed, it costs at most one unit and gives none."""
    died_at = []
    for first in itertools.count(1, AT_ONCE):
        lives = [
            Life(_folder(tmp_path, number), place.within(number), way)
            for number in range(first, first + AT_ONCE)
        ]
        processes = [life.start(number) for number, life in enumerate(lives, first)]
        died = [killed(process) for process in processes]
        for life in itertools.compress(lives, died):
            died_at.append(life.tally.words()[-1])
            check_cap(life, kills=1)
        if not all(died):
            break

    assert POINTS | WAYS[way] <= set(died_at)


@pytest.mark.parametrize("way", ["run", "arun on asyncio", "arun on trio"])
def test_killed_at_the_same_point_each_time(tmp_path, place, way):
    """P3: a key whose every process dies at one point comes to its end all the same."""
    for number, name in enumerate(sorted(POINTS | WAYS[way])):
        life = Life(_folder(tmp_path, number), place.within(number), way)
        kills = 0
        while kills < 2 * CAP and life.carry(1, name):
            kills += 1
        assert kills > 0
        check_cap(life, kills=kills)


@pytest.mark.parametrize("name", [BODY, EFFECT, "body ends"])
def test_three_deaths_after_the_charge_are_three_failures(tmp_path, place, name):
    """P3: deaths count as failures in a row; the fourth process starts nothing."""
    life = Life(tmp_path, place, "run", row=2)
    deaths = [life.carry(1, name) for _ in range(4)]

    assert deaths == [True, True, False, False]
    assert life.tally.count(BODY) == 2
    with life.place.open() as store:
        state = Operator(store).show(KEY)
    assert (state.status, state.breaker, state.crashes) == ("tripped", "IterationCap", 2)


def killed(process):
    """Waits for a process; returns whether it was killed, and lets nothing else pass."""
    code = ended(process)
    assert code in (0, KILLED)
    return code == KILLED


def check_cap(life, *, kills):
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


def _folder(tmp_path, number):
    folder = tmp_path / str(number)
    folder.mkdir()
    return folder


def test_killed_at_random_moments(tmp_path, place):
    """P1, P2: whatever the moment, a kill costs at most one unit and gives none."""
    heavy = Lane(tmp_path, place, seed=20261123)
    heavy.kill(30)
    losses = heavy.check(30)

    assert losses.starts == losses.keys * lane.CAP
    assert losses.keys > 1


def test_interrupted_at_random_moments(tmp_path, place):
    """P9: a real Ctrl-C at any moment costs at most one unit, and is no failure and no crash."""
    heavy = Lane(tmp_path, place, seed=20261123)
    heavy.interrupt(30)
    losses = heavy.check(30)

    assert losses.starts == losses.keys * lane.CAP
    assert losses.crashes == 0
