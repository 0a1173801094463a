# SPDX-License-Identifier: MIT
"""P4, I1-I14: whatever ends a process at whatever point of an effect, it happens at most once.

On every store.  On the servers the suite kills at each point, in each way to
call an effect; all that may end a process there, at each point and in each way,
is the lane of ``matrix_lane``.
"""

from __future__ import annotations

import pytest

from tests.faults.effect_kills import EffectLane
from tests.faults.effect_lives import DEATHS, SCENARIOS, ways_on
from tests.faults.effect_points import POINTS
from tests.faults.matrix import every_case, judged
from tests.faults.places import KINDS

PLACES_AND_WAYS = pytest.mark.parametrize(
    ("home", "way"),
    [(kind, way) for kind in KINDS for way in ways_on(kind)],
    indirect=["home"],
)


def test_every_point_has_a_scenario():
    """A point that no scenario goes to would prove nothing: each is somewhere proved."""
    proved = {point for scenario in SCENARIOS.values() for point in scenario.points}

    assert proved == POINTS


@PLACES_AND_WAYS
def test_ended_at_every_point(tmp_path, place, way):
    """I1-I13: however it ends, wherever, who comes after keeps every promise."""
    deaths = list(DEATHS) if place.kind == "sqlite" else ["SIGKILL"]
    found = judged(tmp_path, place, way, every_case(deaths))

    assert found.broken == {}
    # The ledger: a point that was never reached, by any of these deaths, fails here.
    assert found.ended == dict.fromkeys(deaths, POINTS)


@PLACES_AND_WAYS
def test_nothing_goes_wrong(tmp_path, place, way):
    """The same judge finds nothing where no process is ended, and each passes all its points."""
    cases = [(scenario, None, "exception") for scenario in SCENARIOS]
    found = judged(tmp_path, place, way, cases)

    assert found.broken == {}
    assert len(found.cases) == len(cases)


def test_killed_at_random_moments(tmp_path, place):
    """P4: whatever the moment, an effect happens at most once, and is listed if nobody knows."""
    lane = EffectLane(tmp_path, place, seed=20261123)
    lane.kill(40)
    counts = lane.check(40)

    assert counts.effects == counts.keys > 1
    assert counts.unknown + counts.reconciled > 0
