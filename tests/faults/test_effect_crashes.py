# SPDX-License-Identifier: MIT
"""P4, I1-I14: whatever ends a process at whatever point of an effect, it happens at most once.

On every store.  The suite ends a process in all that may end one, at each point,
where an effect is called on SQLite; in the async ways there, by a kill and by
what unwinds them; on the servers, by a kill, over either of their stores.  All
ends at each point in each way, on every store, is the lane of ``matrix_lane``.
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
#: What a way adds to a kill: how it is unwound.
UNWOUND = ("SIGKILL", "SIGTERM, handled", "exceptions")
#: The ways that go to a server's synchronous and to its asynchronous store, from no other thread.
OVER_STORES = ("once", "aonce on asyncio, async store")
KILLED = pytest.mark.parametrize(
    ("home", "way", "deaths"),
    [("sqlite", way, tuple(DEATHS) if way == "once" else UNWOUND) for way in ways_on("sqlite")]
    + [(kind, way, ("SIGKILL",)) for kind in ("redis", "postgres") for way in OVER_STORES],
    ids=lambda value: f"{len(value)} ends" if isinstance(value, tuple) else None,
    indirect=["home"],
)


def test_every_point_has_a_scenario():
    """A point that no scenario goes to would prove nothing: each is somewhere proved."""
    proved = {point for scenario in SCENARIOS.values() for point in scenario.points}

    assert proved == POINTS


@KILLED
def test_ended_at_every_point(tmp_path, place, way, deaths):
    """I1-I13: however it ends, wherever, who comes after keeps every promise."""
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
