# SPDX-License-Identifier: MIT
"""P1-P3 under ``kill -9`` at every point of an iteration, in every way in, on every store.

The servers are asked the same by several ways in: the suite kills there in those
that differ in what they ask, and ``points_lane`` in all.
"""

from __future__ import annotations

import pytest

from haltable import Operator
from tests.faults import lane
from tests.faults.lane import Lane
from tests.faults.places import KINDS
from tests.faults.point_lives import SAME, WAYS, Life, each_time, every_pass
from tests.faults.points import BODY, CAP, EFFECT, KEY, POINTS

#: What servers are asked by a run, by steps, and over the asynchronous store.
ON_SERVERS = ("run", "step", "arun on asyncio")


def on_stores(ways):
    """Runs a test in these ways on SQLite, and in those that differ on the servers."""
    cases = [(kind, way) for kind in KINDS for way in ways if kind == "sqlite" or way in ON_SERVERS]
    return pytest.mark.parametrize(("home", "way"), cases, indirect=["home"])


EVERY_PASS, EACH_TIME = on_stores(WAYS), on_stores(SAME)


@pytest.mark.parametrize("way", WAYS)
def test_each_point_is_reached(tmp_path, place, way):
    """A point that is never passed would prove nothing: each is, in each way in."""
    life = Life(tmp_path, place, way)
    killed = life.carry()

    assert not killed
    assert POINTS | WAYS[way] <= set(life.tally.words())
    assert life.tally.count(BODY) == CAP
    assert len(POINTS | WAYS[way]) >= 12


@pytest.mark.one_python
@EVERY_PASS
def test_killed_once_at_every_pass_of_every_point(tmp_path, place, way):
    """P1, P2: whenever a process is killed, it costs at most one unit and gives none."""
    died_at = every_pass(tmp_path, place, way)

    assert POINTS | WAYS[way] <= died_at


@pytest.mark.one_python
@EACH_TIME
def test_killed_at_the_same_point_each_time(tmp_path, place, way):
    """P3: a key whose every process dies at one point comes to its end all the same."""
    died_at = each_time(tmp_path, place, way)

    assert died_at == POINTS | WAYS[way]


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
