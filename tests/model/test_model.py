# SPDX-License-Identifier: MIT
"""A part of what ``python -m tests.model`` explores: small worlds, and every wrong design."""

import pytest

from tests.model import effect_calls, loop_runs
from tests.model.__main__ import FAMILIES
from tests.model.effect_world import EffectModel
from tests.model.explorer import Explorer
from tests.model.loop_world import LoopModel
from tests.model.worlds import Limits

RECONCILING = effect_calls.Manner(reconciling=True)
PAUSING = loop_runs.Manner(pausing=True)
QUICK = [
    pytest.param(family, configuration, id=configuration.name)
    for family in FAMILIES
    for configuration in family.configurations
    if configuration.quick
]
SEEDS = [pytest.param(family, seed, id=seed.name) for family in FAMILIES for seed in family.seeds]


@pytest.mark.parametrize(("family", "configuration"), QUICK)
def test_no_interleaving_breaks_a_promise(family, configuration):
    """In all that can happen in a small world every promise is kept, and an end can be reached."""
    found = family.explore(configuration)

    assert not found.broken, "\n".join((found.broken, *found.trace))


@pytest.mark.parametrize(("family", "seed"), SEEDS)
def test_a_wrong_design_is_found(family, seed):
    """A checker that does not see a design known to be wrong proves nothing of the right one."""
    found = family.look_for(seed)

    assert found.broken.startswith(seed.breaks)


@pytest.mark.parametrize(
    ("driven", "make"),
    [
        (effect_calls.driven, lambda limits: EffectModel(limits, RECONCILING, twin=True)),
        (loop_runs.driven, lambda limits: LoopModel(limits, loop_runs.Manner(), twin=True)),
        (loop_runs.driven, lambda limits: LoopModel(limits, PAUSING, twin=True)),
    ],
    ids=["effect", "loop", "loop with pauses"],
)
def test_states_that_look_alike_go_on_alike(driven, make):
    """Workers that are taken for the same one answer every event with the same step."""
    with driven():
        model = make(Limits(name="twins", crashes=1, faults=1, ticks=1))
        Explorer(model).explore()

        unlike = model.workers.unlike()

    assert len(model.workers.others) > 50
    assert unlike == []
