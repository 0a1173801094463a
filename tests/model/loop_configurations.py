# SPDX-License-Identifier: MIT
"""The worlds of loops that are exhausted, each with something else in plenty."""

from __future__ import annotations

import functools

from tests.model import loop_runs, loop_seeds
from tests.model.families import Configuration, Family
from tests.model.loop_runs import Manner
from tests.model.loop_world import LoopModel
from tests.model.worlds import Limits

ACTS = ("stop", "reset", "extend")
ENDS = ("returns", "fails", "is interrupted")


def of(
    name: str, manner: Manner | None = None, *bodies: str, quick: bool = False, **limits: object
) -> Configuration:
    """Returns a configuration."""
    given = Limits(name=f"loop: {name}", **limits)
    make = functools.partial(LoopModel, given, manner or Manner(), bodies or ("returns",))
    return Configuration(given.name, make, elsewhere=given.elsewhere, quick=quick)


LOOPS = Family(
    loop_runs.driven,
    (
        of("crash, fault", crashes=1, faults=1, ticks=2, quick=True),
        of("two crashes, two faults", crashes=2, faults=2, spawns=3, ticks=2),
        of("a store that fails", crashes=1, faults=2, refusing=True, ticks=2),
        of("every end", None, *ENDS, crashes=1, faults=1, ticks=2),
        of("steps", Manner(way="step"), crashes=1, faults=1, spawns=3, ticks=2),
        of("pauses", Manner(pausing=True), crashes=1, faults=1, ticks=2),
        of("other hosts", crashes=1, faults=1, elsewhere=True, ticks=3),
        of("watcher", crashes=1, faults=1, looks=1, ticks=2),
        of("stop", crashes=1, acts=("stop",), times=1, looks=1, ticks=2),
        of("reset", crashes=1, acts=("reset",), times=1, ticks=2, quick=True),
        of("extend", crashes=1, acts=("extend",), times=1, ticks=2),
        of("operator twice", crashes=1, acts=ACTS, times=2, ticks=1),
        of("operator, lost writes", faults=1, acts=ACTS, times=1, ticks=2),
    ),
    loop_seeds.SEEDS,
)
