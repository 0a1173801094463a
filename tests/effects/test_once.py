# SPDX-License-Identifier: MIT
"""P4: an effect runs at most once, and every call of its key learns the same of it."""

from __future__ import annotations

import pytest

from haltable import (
    ConfigurationError,
    EffectFailed,
    IdempotencyGuard,
    OutcomeUnknown,
    ResultNotStored,
)
from haltable.effects import EffectState, NothingHappened, claim


class Declined(Exception):
    """The provider's final answer."""


class Provider:
    """The outside: it counts what was done to it, and answers as it was told."""

    def __init__(self, answer=None):
        self.answer = answer
        self.charges = []

    def charge(self, order=7):
        self.charges.append(order)
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


@pytest.mark.parametrize(
    "value",
    [
        None,
        0,
        1.5,
        "a receipt",
        "unpaired \ud800",
        [],
        (1, (2, 3)),
        {"receipt": [1, {"of": None}]},
        {1: "one", None: "none"},
    ],
    ids=repr,
)
def test_first_call_and_replay_are_equal(site, value):
    """I5: the call that ran an effect gets the very value that every replay gets."""
    provider, guard = Provider(value), site.guard()
    first = site.call(guard, "charge:7", provider.charge, 7)
    again = [site.call(each, "charge:7", provider.charge, 7) for each in (guard, site.guard())]

    assert again == [first, first]
    assert [type(each) for each in again] == [type(first)] * 2
    assert provider.charges == [7]
    assert site.record("charge:7").state is EffectState.DONE


def test_a_replay_writes_nothing(site):
    """I4: what is done is not touched again."""
    provider, guard = Provider("receipt"), site.guard()
    site.call(guard, "charge:7", provider.charge)
    before = site.entry("charge:7")
    site.call(guard, "charge:7", provider.charge)

    assert site.entry("charge:7") == before


def test_keys_and_namespaces_name_different_effects(site):
    """An effect is named by its namespace and its key together, however they are spelt."""
    provider = Provider()
    names = [("", "a/b"), ("a", "b"), ("a/b", "c"), ("a", "b/c"), ("", "b"), ("%2F", "b")]
    for namespace, key in names:
        for _ in range(2):
            site.call(site.guard(namespace=namespace), key, provider.charge, key)

    assert provider.charges == [key for _, key in names]


class Odd(dict):
    """A mapping that cannot be encoded, and does not say so as others do."""

    def items(self):
        raise LookupError("no items")


def circular():
    """Returns a list that holds itself."""
    value = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (object(), "not JSON"),
        ({1, 2}, "not JSON"),
        (b"bytes", "not JSON"),
        (float("nan"), "not JSON"),
        (10**5000, "not JSON"),
        (circular(), "not JSON"),
        (Odd(a=1), "not JSON"),
        ("x" * 100, "102 bytes, more than 64"),
    ],
    ids=["object", "set", "bytes", "NaN", "huge", "circular", "odd", "large"],
)
def test_a_result_that_cannot_be_kept(site, value, why):
    """The effect counts as done, its caller gets the result, a replay says why there is none."""
    provider, guard = Provider(value), site.guard(max_result=64)
    first = site.call(guard, "charge:7", provider.charge)

    assert first is value
    for _ in range(2):
        with pytest.raises(ResultNotStored, match=f"'charge:7' was done, but .*{why}"):
            site.call(guard, "charge:7", provider.charge)
    assert provider.charges == [7]
    assert site.record("charge:7").state is EffectState.DONE


def test_the_largest_result_that_is_kept(site):
    """A result of exactly as many bytes as allowed is stored."""
    provider, guard = Provider("x" * 62), site.guard(max_result=64)
    first = site.call(guard, "charge:7", provider.charge)

    assert site.call(guard, "charge:7", provider.charge) == first == "x" * 62


def test_a_final_exception_is_stored_and_replayed(site):
    """The first call raises the effect's own exception, every later one what was stored of it."""
    error = Declined("no funds", 402)
    provider, guard = Provider(error), site.guard(final=(Declined, KeyError))
    with pytest.raises(Declined) as raised:
        site.call(guard, "charge:7", provider.charge)
    with pytest.raises(EffectFailed) as replayed:
        site.call(guard, "charge:7", provider.charge)

    assert raised.value is error
    found = replayed.value
    assert (found.key, found.kind) == ("charge:7", f"{__name__}.Declined")
    assert (found.message, found.data) == (str(error), '["no funds",402]')
    assert provider.charges == [7]
    assert site.record("charge:7").state is EffectState.FAILED


def test_a_final_exception_whose_arguments_are_no_json(site):
    """Its class and text are replayed, and its arguments are left out."""
    provider, guard = Provider(Declined(object())), site.guard(final=Declined)
    with pytest.raises(Declined):
        site.call(guard, "charge:7", provider.charge)
    with pytest.raises(EffectFailed) as replayed:
        site.call(guard, "charge:7", provider.charge)

    assert replayed.value.data is None
    assert "<object object" in replayed.value.message


def test_nothing_happened_releases_the_key(site):
    """An effect that says that it did nothing may run again, under another claim."""
    error, guard = NothingHappened("the provider is closed"), site.guard()
    provider = Provider(error)
    with pytest.raises(NothingHappened) as raised:
        site.call(guard, "charge:7", provider.charge)
    left = site.record("charge:7")
    provider.answer = "receipt"

    assert raised.value is error
    assert (left.state, left.owner) == (EffectState.FREE, None)
    assert site.call(guard, "charge:7", provider.charge) == "receipt"
    assert site.record("charge:7").attempts == 2


@pytest.mark.parametrize(
    "kind", [ValueError, TimeoutError, Declined], ids=lambda kind: kind.__name__
)
def test_any_other_exception_makes_it_unknown(site, kind):
    """It goes through unchanged; later calls name what nobody knows, and do not run the effect."""
    error = kind("the connection was reset")
    provider, guard = Provider(error), site.guard(final=KeyError)
    with pytest.raises(kind) as raised:
        site.call(guard, "charge:7", provider.charge)
    before = site.entry("charge:7")
    with pytest.raises(
        OutcomeUnknown, match=r"connection was reset.*ops\.resolve\('charge:7'"
    ) as again:
        site.call(guard, "charge:7", provider.charge)

    assert raised.value is error
    assert again.value.key == "charge:7"
    assert provider.charges == [7]
    assert site.entry("charge:7") == before
    assert site.record("charge:7").state is EffectState.UNKNOWN


def test_an_effect_reads_its_claim(site):
    """The effect sees its key, a fence that grows with each attempt, and how many there were."""
    seen, guard = [], site.guard(namespace="shop")

    def look():
        seen.append(claim())
        if len(seen) < 3:
            raise NothingHappened("not yet")

    for _ in range(2):
        with pytest.raises(NothingHappened):
            site.call(guard, "charge:7", look)
    site.call(guard, "charge:7", look)

    assert [each.idempotency_key for each in seen] == ["shop:charge:7"] * 3
    assert [each.attempt for each in seen] == [1, 2, 3]
    assert seen[0].fence < seen[1].fence < seen[2].fence
    with pytest.raises(ConfigurationError, match="no effect is running"):
        claim()


def test_claimed_tells_a_replay_from_a_run(site):
    """It is true from the claim on, whatever became of it, and false once the key is free."""
    watching = IdempotencyGuard(store=site.inner, retention=10)
    guard, seen = site.guard(retention=10), []
    before = watching.claimed("charge:7")
    site.call(guard, "charge:7", lambda: seen.append(watching.claimed("charge:7")))
    after = watching.claimed("charge:7")
    site.advance(10)

    assert (before, seen, after) == (False, [True], True)
    assert not watching.claimed("charge:7")


def test_after_its_retention_it_is_another_effect(site):
    """Until then it is replayed; then any payload may run, under a larger fence."""
    guard, fences = site.guard(retention=10), []

    def charge(order):
        fences.append(claim().fence)
        return [order, claim().attempt]

    first = site.call(guard, "charge", charge, 7)
    site.advance(9)
    replay = site.call(guard, "charge", charge, 7)
    site.advance(2)
    again = site.call(guard, "charge", charge, 8)

    assert (first, replay, again) == ([7, 1], [7, 1], [8, 1])
    assert len(fences) == 2
    assert fences[0] < fences[1]


def test_without_a_retention_it_is_replayed_for_ever(site):
    """The default forgets nothing."""
    provider, guard = Provider("receipt"), site.guard()
    site.call(guard, "charge:7", provider.charge)
    site.advance(10.0**9)

    assert site.call(guard, "charge:7", provider.charge) == "receipt"
    assert provider.charges == [7]
