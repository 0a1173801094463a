# SPDX-License-Identifier: MIT
"""The crash matrix of effects: lives that end, one for each case, and how each was judged.

A case is a scenario, a point at which its process ends, and how it ends there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import attrs

from tests.faults import effect_judge
from tests.faults.children import LIMIT, all_ended, start
from tests.faults.effect_lives import SCENARIOS, Life, batch
from tests.faults.places import Place

__all__ = ["Case", "Found", "every_case", "judged"]

#: One for each processor of a small machine.
BATCHES = 2

Case: TypeAlias = tuple[str, str | None, str]


@attrs.frozen
class Found:
    """How some cases were judged.

    Args:
        cases: each case's life, in the cases' order.
        ended: the points at which processes did end, by how they ended.
    """

    cases: Sequence[dict[str, Any]]
    ended: dict[str, set[str]]

    @property
    def broken(self) -> dict[str, list[str]]:
        """What was broken, by the life in which it was."""
        return {case["life"]: case["problems"] for case in self.cases if case["problems"]}


def every_case(deaths: Iterable[str]) -> list[Case]:
    """Returns a case for each point of each scenario and each of these deaths."""
    known = list(deaths)
    return [
        (scenario.name, point, death)
        for scenario in SCENARIOS.values()
        for point in scenario.points
        for death in known
    ]


def judged(folder: Path, place: Place, way: str, cases: Sequence[Case]) -> Found:
    """Lives one life for each case, in two batches side by side; returns how each was judged.

    Raises:
        AssertionError: if a batch itself came to no good end.
    """
    processes, reports = [], []
    for half in range(BATCHES):
        part = place.within(half)
        lives = [
            Life(
                key=f"charge:{number}",
                place=part,
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
    codes = all_ended(processes, within=LIMIT + 0.5 * len(cases))
    assert codes == [0] * BATCHES, f"batches ended with {codes}"
    halves = [iter(json.loads(report.read_text())) for report in reports]
    found = [next(halves[number % BATCHES]) for number in range(len(cases))]
    ended: dict[str, set[str]] = {death: set() for _, _, death in cases}
    for case, (_, _, death) in zip(found, cases, strict=True):
        ended[death].update(case["died"])
    return Found(found, ended)
