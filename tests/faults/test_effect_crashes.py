# SPDX-License-Identifier: MIT
"""P4, I1-I14: whatever ends a process at whatever point of an effect, it happens at most once."""

from __future__ import annotations

import json

import pytest

from tests.faults import effect_judge
from tests.faults.children import all_ended, start
from tests.faults.effect_kills import EffectLane
from tests.faults.effect_lives import DEATHS, SCENARIOS, WAYS, Life, batch
from tests.faults.effect_points import POINTS

#: One for each processor of a small machine.
BATCHES = 2


def test_every_point_has_a_scenario():
    """A point that no scenario goes to would prove nothing: each is somewhere proved."""
    proved = {point for scenario in SCENARIOS.values() for point in scenario.points}

    assert proved == POINTS


@pytest.mark.parametrize("way", WAYS)
def test_ended_at_every_point(tmp_path, way):
    """I1-I13: however it ends, wherever, who comes after keeps every promise."""
    cases = [
        (scenario.name, point, death)
        for scenario in SCENARIOS.values()
        for point in scenario.points
        for death in DEATHS
    ]
    found = judged(tmp_path, way, cases)
    broken = {case["life"]: case["problems"] for case in found if case["problems"]}
    ended = {death: set() for death in DEATHS}
    for case, (_, _, death) in zip(found, cases, strict=True):
        ended[death].update(case["died"])

    assert broken == {}
    # The ledger: a point that was never reached, by any of these deaths, fails here.
    assert ended == dict.fromkeys(DEATHS, POINTS)


@pytest.mark.parametrize("way", WAYS)
def test_nothing_goes_wrong(tmp_path, way):
    """The same judge finds nothing where no process is ended, and each passes all its points."""
    cases = [(scenario, None, "exception") for scenario in SCENARIOS]
    found = judged(tmp_path, way, cases)

    assert [case["problems"] for case in found] == [[] for _ in cases]


def test_killed_at_random_moments(tmp_path):
    """P4: whatever the moment, an effect happens at most once, and is listed if nobody knows."""
    lane = EffectLane(tmp_path, seed=20261123)
    lane.kill(40)
    counts = lane.check(40)

    assert counts.effects == counts.keys > 1
    assert counts.unknown + counts.reconciled > 0


def judged(folder, way, cases):
    """Lives one life for each case, in two batches side by side; returns how each was judged."""
    processes, reports = [], []
    for half in range(BATCHES):
        lives = [
            Life(
                key=f"charge:{number}",
                path=str(folder / f"{half}.db"),
                outside=str(folder / f"{number}.outside"),
                way=way,
                scenario=scenario,
                point=point,
                death=death,
            )
            for number, (scenario, point, death) in enumerate(cases)
            if number % BATCHES == half
        ]
        reports.append(folder / f"{half}.report")
        processes.append(start(batch, lives, effect_judge.judge, str(reports[-1])))
    assert all_ended(processes) == [0] * BATCHES
    halves = [iter(json.loads(report.read_text())) for report in reports]
    return [next(halves[number % BATCHES]) for number in range(len(cases))]
