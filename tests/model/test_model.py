# SPDX-License-Identifier: MIT
"""A part of what ``python -m tests.model`` explores: small worlds, and every wrong design."""

import pytest

from tests.model import effect_calls
from tests.model.__main__ import FAMILIES
from tests.model.effect_calls import Manner
from tests.model.effect_world import EffectModel
from tests.model.explorer import Explorer
from tests.model.worlds import Limits

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


def test_states_that_look_alike_go_on_alike():
    """Workers that are taken for the same one answer every event with the same step."""
    limits = Limits(name="twins", crashes=1, faults=1, ticks=2)
    with effect_calls.driven():
        model = EffectModel(limits, Manner(reconciling=True), twin=True)
        Explorer(model).explore()

        unlike = model.workers.unlike()

    assert len(model.workers.others) > 100
    assert unlike == []
