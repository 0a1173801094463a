# SPDX-License-Identifier: MIT
"""Rules 7 and 8: what a lease says, what death says, and how long an effect may be repeated."""

from __future__ import annotations

import attrs
import pytest

from haltable import EffectHeld, OutcomeUnknown
from haltable.effects import EffectState, NothingHappened, claim
from tests.effects.sites import STRANGER, dead_owner

KEY = "charge:7"


class Effect:
    """An effect that counts its runs, and fails as often as it was told."""

    def __init__(self, failures=0, kind=ValueError):
        self.ran = 0
        self.failures, self.kind = failures, kind
        self.fences = []

    def __call__(self):
        self.ran += 1
        self.fences.append(claim().fence)
        if self.ran <= self.failures:
            raise self.kind(f"failure {self.ran}")
        return self.ran


def test_a_lease_holds_until_it_lapses(site):
    """Somebody else's claim is respected to its last second, by the store's clock."""
    site.leave(KEY, STRANGER)
    effect, guard = Effect(), site.guard()
    site.advance(59)
    with pytest.raises(EffectHeld) as held:
        site.call(guard, KEY, effect)
    before = site.record(KEY).state
    site.advance(2)
    with pytest.raises(OutcomeUnknown, match="lapsed"):
        site.call(guard, KEY, effect)

    assert 0 < held.value.lease_left <= 1
    assert held.value.holder == str(STRANGER)
    assert before is EffectState.CLAIMED
    assert effect.ran == 0


def test_the_dead_hold_nothing(site):
    """A claim whose owner is known to be dead on this host is unknown at once."""
    site.leave(KEY, dead_owner())
    with pytest.raises(OutcomeUnknown, match="is dead"):
        site.call(site.guard(), KEY, Effect())

    assert site.record(KEY).state is EffectState.UNKNOWN


@pytest.mark.parametrize("left", ["dead", "lapsed"])
def test_at_least_once_takes_over(site, left):
    """An effect that may be repeated is claimed anew, under a larger fence."""
    site.leave(KEY, dead_owner() if left == "dead" else STRANGER)
    fence = site.entry(KEY).version
    site.advance(61)
    effect = Effect()
    first = site.call(site.guard(semantics="at_least_once"), KEY, effect)

    assert (first, effect.ran) == (1, 1)
    assert effect.fences[0] > fence
    assert site.record(KEY).attempts == 2


def test_at_least_once_respects_a_lease(site):
    """Also what may be repeated is not repeated while somebody is at it."""
    site.leave(KEY, STRANGER)
    with pytest.raises(EffectHeld):
        site.call(site.guard(semantics="at_least_once"), KEY, Effect())


def test_at_least_once_is_bounded_by_deaths(site):
    """I2: so many attempts whose owners died, and it is unknown like any other."""
    guard = site.guard(semantics="at_least_once", max_attempts=3)
    effect = Effect()
    left = site.leave(KEY, dead_owner())
    site.put(attrs.evolve(left, attempts=3))
    with pytest.raises(OutcomeUnknown, match="is dead"):
        site.call(guard, KEY, effect)

    assert effect.ran == 0
    assert site.record(KEY).state is EffectState.UNKNOWN


def test_at_least_once_is_bounded_by_failures(site):
    """I2: so many attempts that raised, and it is unknown; it never runs more often than that."""
    guard = site.guard(semantics="at_least_once", max_attempts=3)
    effect = Effect(failures=100)
    for _ in range(3):
        with pytest.raises(ValueError, match="failure"):
            site.call(guard, KEY, effect)
    for _ in range(2):
        with pytest.raises(OutcomeUnknown, match="failure 3"):
            site.call(guard, KEY, effect)

    assert effect.ran == 3
    assert site.record(KEY).state is EffectState.UNKNOWN
    assert effect.fences == sorted(set(effect.fences))


def test_at_least_once_ends_with_its_first_success(site):
    """I2: it is tried again until it returns, and then replayed."""
    guard = site.guard(semantics="at_least_once", max_attempts=3)
    effect = Effect(failures=2)
    for _ in range(2):
        with pytest.raises(ValueError, match="failure"):
            site.call(guard, KEY, effect)
    found = [site.call(guard, KEY, effect) for _ in range(3)]

    assert found == [3, 3, 3]
    assert effect.ran == 3


@pytest.mark.parametrize("semantics", ["at_most_once", "at_least_once"])
def test_what_did_nothing_may_try_again_without_end(site, semantics):
    """A provider that is closed for a week does not use the effect's attempts up."""
    guard = site.guard(semantics=semantics, max_attempts=2)
    effect = Effect(failures=5, kind=NothingHappened)
    for _ in range(5):
        with pytest.raises(NothingHappened):
            site.call(guard, KEY, effect)

    assert site.call(guard, KEY, effect) == 6


@pytest.mark.parametrize("first", ["at_most_once", "at_least_once"])
def test_the_caller_says_what_may_follow(site, first):
    """What was left by one semantics is judged by the semantics of whoever comes after."""
    effect = Effect(failures=1)
    with pytest.raises(ValueError, match="failure 1"):
        site.call(site.guard(semantics="at_most_once"), KEY, effect)
    if first == "at_most_once":
        with pytest.raises(OutcomeUnknown):
            site.call(site.guard(), KEY, effect)

    assert site.call(site.guard(semantics="at_least_once"), KEY, effect) == 2
