# SPDX-License-Identifier: MIT
"""The worlds of effects that are exhausted, each with something else in plenty."""

from __future__ import annotations

import functools

from tests.model import effect_calls, effect_seeds
from tests.model.effect_calls import Manner
from tests.model.effect_world import EffectModel
from tests.model.families import Configuration, Family
from tests.model.worlds import Limits

RECONCILING = Manner(reconciling=True)
FORGETTING = Manner(retention=1)
AGAIN = Manner(semantics="at_least_once", attempts=2)
RESOLVING = ("done", "failed", "free", "free, it is gone")
ENDS = ("does nothing", "fails for good", "raises", "is interrupted")


def of(
    name: str, manner: Manner | None = None, *bodies: str, quick: bool = False, **limits: object
) -> Configuration:
    """Returns a configuration."""
    given = Limits(name=f"effect: {name}", **limits)
    make = functools.partial(EffectModel, given, manner or Manner(), bodies)
    return Configuration(given.name, make, elsewhere=given.elsewhere, quick=quick)


EFFECTS = Family(
    effect_calls.driven,
    (
        of("crash, fault", crashes=1, faults=1, quick=True),
        of("two crashes, two faults", crashes=2, faults=2, spawns=3, ticks=2),
        of("a store that fails", crashes=1, faults=2, refusing=True, ticks=2),
        of("every end", None, *ENDS, crashes=1, faults=1, ticks=2),
        of("renewal", crashes=1, faults=1, looks=2, ticks=3),
        of("other hosts", crashes=1, faults=1, looks=1, elsewhere=True, ticks=3),
        of("operator", crashes=1, faults=1, acts=RESOLVING, times=2, ticks=2),
        of("operator, elsewhere", crashes=1, acts=RESOLVING, times=2, elsewhere=True, ticks=3),
        of(
            "reconcile",
            RECONCILING,
            "is told nothing",
            "asks in vain",
            crashes=1,
            quick=True,
            ticks=3,
        ),
        of("reconcile, three", RECONCILING, crashes=1, faults=1, spawns=3, ticks=2),
        of("reconcile, operator", RECONCILING, crashes=1, acts=RESOLVING, times=1, ticks=3),
        of("purge", FORGETTING, crashes=1, faults=1, spawns=3, acts=("purge",), times=1, ticks=2),
        of("purge, one", FORGETTING, faults=1, acts=("purge",), times=1, ticks=2, quick=True),
        of("at least once", AGAIN, "raises", crashes=2, faults=1, spawns=3, ticks=2),
        of("another payload", Manner(callers=("same", "other")), crashes=1, faults=1, ticks=2),
        of("waiting", Manner(waiting=True), crashes=1, faults=1, elsewhere=True, ticks=2),
    ),
    effect_seeds.SEEDS,
)
