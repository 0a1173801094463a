# SPDX-License-Identifier: MIT
"""Payloads: one text for each, the same in every process, and keys that cannot collide."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given, strategies as st

from haltable.errors import ConfigurationError
from haltable.payload import (
    ABSENT,
    as_result,
    canonical,
    check_effect_key,
    effect_prefix,
    fingerprint,
)

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.floats(allow_nan=False, allow_infinity=False)
)
PAYLOADS = st.recursive(
    SCALARS, lambda each: st.lists(each) | st.dictionaries(st.text(), each), max_leaves=10
)


@given(PAYLOADS)
def test_a_text_is_its_payloads(payload):
    """It is JSON of the same value, so that no two payloads share one."""
    assert json.loads(canonical(payload)) == payload


@given(st.dictionaries(st.text(), PAYLOADS, max_size=5), st.randoms())
def test_the_order_of_members_does_not_matter(payload, random):
    """However an object was built, its text is the same."""
    shuffled = list(payload.items())
    random.shuffle(shuffled)

    assert canonical(dict(shuffled)) == canonical(payload)


def test_a_fingerprint_is_for_ever():
    """Another one for the same payload would be a second charge after an upgrade."""
    assert fingerprint({"order": 7, "by": ["ana"]}, (), {}) == (
        "117c95a9040290d3998c3e72d22485029cd3ce4297a2864a7fab2a1d62dae594",
        "payload",
    )
    assert fingerprint(ABSENT, (7, "EUR"), {}) == (
        "da1b303dac02b90a495bd1d67933e056ab5e0274c356ca31ff35a79bbff12166",
        "arguments",
    )


@given(st.lists(PAYLOADS, max_size=3), st.dictionaries(st.text(), PAYLOADS, max_size=3))
def test_arguments_have_one_fingerprint(args, kwargs):
    """The short way for scalars says what the long way does."""
    long_way = fingerprint([args, kwargs], (), {})[0]

    assert fingerprint(ABSENT, tuple(args), kwargs) == (long_way, "arguments")


def test_arguments_that_are_no_json_are_not_compared():
    """A text that differs between two processes is worse than none."""
    assert fingerprint(ABSENT, (object(),), {}) == (None, "nothing")
    assert fingerprint(ABSENT, (), {"to": b"bytes"}) == (None, "nothing")


class Silent:
    """An object that cannot even say what it is."""

    def __repr__(self):
        raise RuntimeError("no words")


class Broken(dict):
    """A mapping that raises what it likes."""

    def items(self):
        raise LookupError("no items")


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (object, "payload=<class 'object'>: a type is no JSON"),
        ({"a": [1, {2}]}, r"payload\['a'\]\[1\]=\{2\}: a set is no JSON"),
        ({"a": float("inf")}, r"payload\['a'\]=inf: it is no number that JSON knows"),
        ({7: 1}, "payload: the key 7 is no text"),
        ([Silent()], r"payload\[0\]=<Silent>: a Silent is no JSON"),
        ({Silent(): 1}, "payload: the key <Silent> is no text"),
        (Broken(a=1), "payload: it is no JSON: LookupError: no items"),
        (10**5000, "payload: it is no JSON: ValueError"),
    ],
    ids=["type", "set", "infinite", "key", "silent", "silent key", "broken", "huge"],
)
def test_a_payload_that_is_no_json(payload, why):
    """The message says where and what."""
    with pytest.raises(ConfigurationError, match=why):
        canonical(payload)


def test_a_payload_that_contains_itself():
    """It is told as what it is."""
    payload = []
    payload.append(payload)
    with pytest.raises(ConfigurationError, match="contains itself"):
        canonical(payload)


@pytest.mark.parametrize("key", ["", None, 7, b"k"])
def test_a_key_is_text(key):
    """Anything else cannot name an effect."""
    with pytest.raises(ConfigurationError, match=r"once\(key=.*non-empty string"):
        check_effect_key(key)


def test_a_key_is_valid_text():
    """What no store can write down cannot name an effect either."""
    with pytest.raises(ConfigurationError, match="no valid text"):
        check_effect_key("charge:\ud800", "effect")
    check_effect_key("charge:7/ä %")


NAMESPACES = st.text("a/%2F", max_size=4) | st.text(st.characters(codec="utf-8"))


@given(NAMESPACES, NAMESPACES)
@example("shop/eu", "shop")
@example("shop%2Feu", "shop/eu")
def test_namespaces_share_nothing(one, other):
    """I6: the keys of no namespace begin with what another's begin with."""
    first, second = effect_prefix("haltable", one), effect_prefix("haltable", other)

    assert first.startswith(second) is (one == other)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, ("null", None)),
        ({"receipt": (1, 2)}, ('{"receipt":[1,2]}', None)),
        ("x" * 18, (f'"{"x" * 18}"', None)),
        ("x" * 19, (None, "as JSON the result has 21 bytes, more than 20")),
        (
            b"x",
            (
                None,
                "the result is not JSON: TypeError: Object of type bytes is not JSON serializable",
            ),
        ),
    ],
    ids=repr,
)
def test_a_result_is_kept_or_it_is_said_why_not(value, expected):
    """Up to its limit in bytes."""
    assert as_result(value, 20) == expected
