# SPDX-License-Identifier: MIT
"""I6: one key names one effect; another payload is refused first, and changes nothing."""

from __future__ import annotations

import contextlib
import math

import pytest

from haltable import ConfigurationError, HaltableError, IdempotencyGuard, PayloadMismatch
from haltable.effects import EffectState, NothingHappened
from haltable.stores import MemoryStore
from tests.effects.sites import STRANGER, dead_owner

KEY = "charge:7"


class Cancelled(BaseException):
    """What leaves an effect without an end."""


def charge(*args, **kwargs):
    """An effect that takes anything."""
    return "receipt"


def decline(*args, **kwargs):
    """An effect that ends for good without having happened."""
    raise LookupError("no funds")


def close(*args, **kwargs):
    """An effect that did nothing."""
    raise NothingHappened("closed")


def cut(*args, **kwargs):
    """An effect that was cut off."""
    raise Cancelled


def ended_by(effect):
    """Returns what leaves behind the record of an effect that ended like this."""

    def leave(site):
        with contextlib.suppress(LookupError, NothingHappened, Cancelled):
            site.call(site.guard(final=LookupError), KEY, effect, 7)

    return leave


def held(site):
    """Leaves the claim of a living stranger behind."""
    site.leave(KEY, STRANGER, 7)


def lapsed(site):
    """Leaves a claim whose lease has lapsed."""
    site.leave(KEY, STRANGER, 7)
    site.advance(61)


def died(site):
    """Leaves the claim of somebody who is known to be dead."""
    site.leave(KEY, dead_owner(), 7)


LEFT = {
    "done": (ended_by(charge), EffectState.DONE),
    "failed": (ended_by(decline), EffectState.FAILED),
    "free": (ended_by(close), EffectState.FREE),
    "unknown": (ended_by(cut), EffectState.UNKNOWN),
    "held": (held, EffectState.CLAIMED),
    "lapsed": (lapsed, EffectState.CLAIMED),
    "its owner died": (died, EffectState.CLAIMED),
}


@pytest.mark.parametrize("left", LEFT)
@pytest.mark.parametrize(
    "options", [{}, {"semantics": "at_least_once"}, {"on_held": "skip"}], ids=repr
)
def test_another_payload_is_refused_and_nothing_changes(site, left, options):
    """However the effect stands, even unknown or lapsed, its record stays as it is to the byte."""
    leave, state = LEFT[left]
    leave(site)
    before = site.entry(KEY)
    guard, asked = site.guard(reconcile=lambda *_: asked.append(1), **options), []
    with pytest.raises(PayloadMismatch, match=r"'charge:7' was called before with other arguments"):
        site.call(guard, KEY, charge, 8)
    with pytest.raises(PayloadMismatch, match=r"'charge:7' was called before with another payload"):
        site.call(guard, KEY, charge, 7, payload={"order": 7})

    assert site.entry(KEY) == before
    assert site.record(KEY).state is state
    assert asked == []


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"a": 1, "b": [1, 2]}, {"b": (1, 2), "a": 1}),
        ([1, 2], (1, 2)),
        (None, None),
        ("é", "\u00e9"),
        (1.5, 3 / 2),
    ],
    ids=repr,
)
def test_the_same_payload_in_other_words(way, first, second):
    """The order of members, and whether a sequence is a list or a tuple, make no other payload."""
    way.call(way.guard(), KEY, lambda: "receipt", payload=first)

    assert way.call(way.guard(), KEY, lambda: "another", payload=second) == "receipt"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (10, 10.0),
        (1, True),
        (0, None),
        ("1", 1),
        ({"a": None}, {}),
        ([1, 2], [2, 1]),
        ([], {}),
        ("e\u0301", "\u00e9"),
        (["a", "b"], ["a,b"]),
    ],
    ids=repr,
)
def test_payloads_that_differ(way, first, second):
    """What another reader of JSON would tell apart is told apart."""
    way.call(way.guard(), KEY, charge, payload=first)

    with pytest.raises(PayloadMismatch):
        way.call(way.guard(), KEY, charge, payload=second)


def test_arguments_are_the_payload_unless_one_is_given(site):
    """Positions and names count; with payload= only that does."""
    guard = site.guard()
    site.call(guard, "by arguments", charge, 7, to="ana")
    site.call(guard, "by payload", charge, 7, payload="order 7")

    assert site.call(guard, "by payload", charge, 8, to="bob", payload="order 7") == "receipt"
    assert site.call(guard, "by arguments", charge, 7, to="ana") == "receipt"
    for args, kwargs in (((), {"order": 7, "to": "ana"}), ((7,), {"to": "bob"}), ((7, "ana"), {})):
        with pytest.raises(PayloadMismatch):
            site.call(guard, "by arguments", charge, *args, **kwargs)
    assert [site.record(f"by {what}").checked for what in ("arguments", "payload")] == [
        "arguments",
        "payload",
    ]


class Shy:
    """An object that cannot even be shown."""

    def __repr__(self):
        raise RuntimeError("detached")


class Odd(dict):
    """A mapping that cannot be read."""

    def items(self):
        raise LookupError("no items")


def nested(depth):
    """Returns a list in a list in a list."""
    value = []
    for _ in range(depth):
        value = [value]
    return value


#: Each kind of thing that is no payload, with what its error says.
NO_JSON = {
    "set": ({1, 2}, r"payload=\{1, 2\}: a set is no JSON"),
    "bytes": (b"7", r"payload=b'7': a bytes is no JSON"),
    "NaN": (math.nan, r"payload=nan: it is no number that JSON knows"),
    "infinity": (-math.inf, r"payload=-inf: it is no number that JSON knows"),
    "object": (object(), r"payload=<object object .*: a object is no JSON"),
    "shy": (Shy(), r"payload=<Shy>: a Shy is no JSON"),
    "shy key": ({Shy(): 1}, r"payload: the key <Shy> is no text"),
    "odd": (Odd(a=1), r"payload: it is no JSON: LookupError: no items"),
    "number as key": ({"a": {7: 1}}, r"payload\['a'\]: the key 7 is no text"),
    "deep inside": ({"a": [1, {"b": {2}}]}, r"payload\['a'\]\[1\]\['b'\]=\{2\}: a set"),
    "too deep": (nested(100_000), r"payload: it is nested too deeply"),
    "huge": (10**5000, r"payload: it is no JSON: ValueError: Exceeds the limit"),
}


@pytest.mark.parametrize("what", NO_JSON)
def test_a_payload_that_is_no_json(way, what):
    """It is refused before anything is claimed or run, and the error says what and where."""
    value, why = NO_JSON[what]
    guard, ran = way.guard(), []
    with pytest.raises(ConfigurationError, match=why):
        way.call(guard, KEY, lambda: ran.append(1), payload=value)

    assert ran == []
    assert way.entry(KEY) is None


@pytest.mark.parametrize("depth", range(300, 1100, 100))
def test_no_depth_of_a_payload_is_another_error(depth):
    """Just before the interpreter's limit as just behind it, there is a hash or our own error."""
    guard = IdempotencyGuard(store=MemoryStore())
    outcomes = set()
    for each in range(depth, depth + 100, 7):
        try:
            outcomes.add(guard.once(f"charge:{each}", charge, payload=nested(each)))
        except HaltableError as error:
            outcomes.add(type(error))

    assert outcomes <= {"receipt", ConfigurationError}


@pytest.mark.parametrize("what", NO_JSON)
def test_arguments_that_are_no_json_are_not_checked(way, what):
    """They are handed to the effect all the same, and the record says that nothing is compared."""
    value, _ = NO_JSON[what]
    guard, given = way.guard(), []
    for each in (value, object()):
        way.call(guard, KEY, lambda each: given.append(each) or "receipt", each)

    assert len(given) == 1
    assert given[0] is value
    assert way.record(KEY).checked == "nothing"


def test_a_call_without_a_payload_matches_any(site):
    """Arguments that cannot be compared replay what comparable ones did, and do not loosen it."""
    guard = site.guard()
    site.call(guard, KEY, charge, 7)
    replayed = site.call(guard, KEY, charge, object())

    assert replayed == "receipt"
    with pytest.raises(PayloadMismatch):
        site.call(guard, KEY, charge, 8)


def test_the_caller_keeps_what_it_passed(way):
    """Nothing that is passed is changed, and the effect gets the very objects."""
    order, guard, given = {"b": [2], "a": 1}, way.guard(), []
    way.call(
        guard, KEY, lambda *args, **kwargs: given.extend([*args, *kwargs.values()]), order, to=order
    )

    assert given[0] is order
    assert given[1] is order
    assert list(order.items()) == [("b", [2]), ("a", 1)]


def test_a_mismatch_beats_an_effect_that_runs_right_now():
    """I6: it is said at once, and does not wait for whoever is at the effect."""
    guard = IdempotencyGuard(store=MemoryStore(), on_held="wait")

    def inner(order):
        with pytest.raises(PayloadMismatch):
            guard.once(KEY, charge, 8)
        return order

    assert guard.once(KEY, inner, 7) == 7
