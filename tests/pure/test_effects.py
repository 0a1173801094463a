# SPDX-License-Identifier: MIT
"""The words of effects: which ends are ends, and what an effect sees of its claim."""

from __future__ import annotations

import pytest

from haltable.effects import Claim, EffectState, claim, claims
from haltable.errors import ConfigurationError


def test_only_an_end_is_replayed():
    """Done and failed are; what nobody knows is not."""
    assert {state for state in EffectState if state.finished} == {
        EffectState.DONE,
        EffectState.FAILED,
    }


def test_the_innermost_claim_counts():
    """An effect inside another sees its own; outside of all there is none."""
    outer, inner = Claim("", "outer", 1, 1), Claim("shop", "inner", 2, 1)
    token = claims.set((outer, inner))
    found = claim()
    claims.reset(token)

    assert found is inner
    with pytest.raises(ConfigurationError, match="no effect is running here"):
        claim()


def test_a_claims_key_for_the_provider():
    """The same for every attempt, and of each namespace another."""
    keys = [
        Claim(name, "k", fence, fence).idempotency_key for name in ("", "shop") for fence in (1, 2)
    ]

    assert keys == ["k", "k", "shop:k", "shop:k"]
