# SPDX-License-Identifier: MIT
"""P4, rule 7: what nobody knows is asked of the outside, by one at a time, and never guessed."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from haltable import EffectHeld, LeaseLost, OutcomeUnknown, ResultNotStored
from haltable._owner import new_owner
from haltable._watch import shared
from haltable.effect_ledger import doubted, questioned
from haltable.effects import DontKnow, EffectState, Happened, NotHappened, claim
from tests.effects.sites import STRANGER, awaited, dead_owner

KEY = "charge:7"


class Asked:
    """A reconciler that notes what it was asked, and answers as it was told."""

    def __init__(self, answer):
        self.answer = answer
        self.records = []

    def __call__(self, key, record):
        assert key == KEY
        self.records.append(record)
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer() if callable(self.answer) else self.answer


class Effect:
    """An effect that counts its runs."""

    def __init__(self):
        self.ran = 0

    def __call__(self, *args):
        self.ran += 1
        return f"run {self.ran}, attempt {claim().attempt}"


@pytest.fixture
def effect():
    """The effect of each test."""
    return Effect()


def dead(site):
    """Leaves the claim of an owner that is known to be dead."""
    site.leave(KEY, dead_owner())


def unknown(site):
    """Leaves what was found unknown already, its owner known to be dead."""
    site.put(doubted(site.leave(KEY, dead_owner()), "it was cut off"))


def lapsed(site):
    """Leaves the claim of somebody on another host, whose lease has lapsed."""
    site.leave(KEY, STRANGER)
    site.advance(61)


LEFT = {"dead": dead, "unknown": unknown, "lapsed": lapsed}


@pytest.mark.parametrize("left", LEFT)
def test_without_a_reconciler_it_is_unknown_for_good(site, effect, left):
    """It is written down as unknown by whoever finds it, named, and never run again."""
    LEFT[left](site)
    guard = site.guard()
    for _ in range(2):
        with pytest.raises(OutcomeUnknown, match="'charge:7'") as raised:
            site.call(guard, KEY, effect)
        found = site.record(KEY)
        assert found.state is EffectState.UNKNOWN
        assert raised.value.reason == found.reason
    before = site.entry(KEY)
    with pytest.raises(OutcomeUnknown):
        site.call(guard, KEY, effect)

    assert effect.ran == 0
    assert site.entry(KEY) == before


@pytest.mark.parametrize("left", LEFT)
def test_it_has_happened(site, effect, left):
    """What the reconciler found is the result from then on; the effect does not run."""
    LEFT[left](site)
    asked = Asked(Happened({"receipt": (1, 2)}))
    first = site.call(site.guard(reconcile=asked), KEY, effect)
    replays = [site.call(site.guard(), KEY, effect) for _ in range(2)]

    assert [first, *replays] == [{"receipt": [1, 2]}] * 3
    assert effect.ran == 0
    (record,) = asked.records
    assert (record.key, record.state) == (KEY, EffectState.CLAIMED)
    found = site.record(KEY)
    assert found.state is EffectState.DONE
    assert [(act.act, act.by) for act in found.history] == [("done", "reconcile")]


@pytest.mark.parametrize("left", ["dead", "unknown"])
def test_it_has_not_happened_and_its_owner_is_dead(site, effect, left):
    """Then it runs, once, as another attempt."""
    LEFT[left](site)
    asked = Asked(NotHappened())
    guard = site.guard(reconcile=asked)
    first = site.call(guard, KEY, effect)

    assert first == "run 1, attempt 2"
    assert site.call(guard, KEY, effect) == first
    assert (effect.ran, len(asked.records)) == (1, 1)


def test_it_has_not_happened_but_its_owner_may_live(site, effect):
    """Rule 7: a lapsed lease is no proof that it will not happen yet, whatever was seen outside."""
    lapsed(site)
    guard = site.guard(reconcile=Asked(NotHappened()))
    for _ in range(2):
        with pytest.raises(OutcomeUnknown, match="may be at it still"):
            site.call(guard, KEY, effect)

    assert effect.ran == 0
    found = site.record(KEY)
    assert (found.state, found.owner) == (EffectState.UNKNOWN, STRANGER)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (DontKnow("the provider is closed"), "the provider is closed"),
        (DontKnow(), "the reconciler does not know"),
        (None, "reconcile returned None, which is no verdict"),
        (True, "reconcile returned True, which is no verdict"),
        (Happened, "reconcile returned <class .*Happened'>, which is no verdict"),
        (RuntimeError("no network"), "reconcile raised RuntimeError: no network"),
    ],
    ids=repr,
)
def test_it_does_not_know(site, effect, answer, why):
    """The effect stays unknown, with the reconciler's reason, and the next call asks again."""
    dead(site)
    asked = Asked(lambda: answer)
    if isinstance(answer, BaseException):
        asked.answer = answer
    guard = site.guard(reconcile=asked)
    with pytest.raises(OutcomeUnknown, match=why) as raised:
        site.call(guard, KEY, effect)
    found = site.record(KEY)
    asked.answer = Happened("receipt")

    assert (found.state, found.suspect) == (EffectState.UNKNOWN, None)
    assert raised.value.__cause__ is (answer if isinstance(answer, BaseException) else None)
    assert site.call(guard, KEY, effect) == "receipt"
    assert effect.ran == 0


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_it_is_interrupted(way, effect, kind):
    """P9: the interruption goes on, the claim is given back, and the effect stays unknown."""
    dead(way)
    with pytest.raises(kind):
        way.call(way.guard(reconcile=Asked(kind("from outside"))), KEY, effect)

    assert way.record(KEY).state is EffectState.UNKNOWN
    assert effect.ran == 0
    assert not shared.tokens()


def test_an_async_reconciler(site, effect):
    """It is awaited where the effect is; a synchronous call says that it cannot."""
    dead(site)
    guard = site.guard(reconcile=awaited(Asked(Happened("receipt"))))
    if not site.is_async:
        with pytest.raises(OutcomeUnknown, match="async"):
            site.call(guard, KEY, effect)
        assert site.record(KEY).state is EffectState.UNKNOWN
        return

    assert site.call(guard, KEY, effect) == "receipt"
    assert effect.ran == 0


def test_what_was_found_cannot_be_kept(site, effect):
    """It counts as done; its finder gets the value, a replay says why there is none."""
    dead(site)
    value = object()
    guard = site.guard(reconcile=Asked(Happened(value)))
    first = site.call(guard, KEY, effect)

    assert first is value
    with pytest.raises(ResultNotStored):
        site.call(guard, KEY, effect)
    assert effect.ran == 0


@pytest.mark.parametrize("suspect", [STRANGER, "dead"], ids=["stranger", "dead"])
def test_a_reconciler_that_died(site, effect, suspect):
    """The question is about the attempt, not about whoever asked: only its owner's death counts."""
    owner = dead_owner() if suspect == "dead" else suspect
    left = doubted(site.leave(KEY, owner), "it was cut off")
    site.put(questioned(left, dead_owner(), lease=60.0))
    guard = site.guard(reconcile=Asked(NotHappened()))
    if suspect is STRANGER:
        with pytest.raises(OutcomeUnknown, match="may be at it still"):
            site.call(guard, KEY, effect)
        assert site.record(KEY).owner == STRANGER
    else:
        site.call(guard, KEY, effect)

    assert effect.ran == (suspect == "dead")


def test_one_asks_at_a_time(site, effect):
    """I12: whoever comes while another asks waits for that answer, and does not ask."""
    dead(site)
    asked = Asked(None)
    second = []

    def ask_twice():
        with ThreadPoolExecutor(1) as pool:
            call = pool.submit(site.call, site.guard(reconcile=asked), KEY, effect)
            second.append(call.exception())
        return Happened("receipt")

    asked.answer = ask_twice
    first = site.call(site.guard(reconcile=asked), KEY, effect)

    assert first == "receipt"
    assert isinstance(second[0], EffectHeld)
    assert len(asked.records) == 1


def test_its_owner_finishes_while_it_is_asked(site):
    """The owner alone knows how its attempt ended: its word stands, and both learn the same."""
    begun, go_on = threading.Event(), threading.Event()

    def slow():
        begun.set()
        go_on.wait(30)
        return "the owner's receipt"

    with ThreadPoolExecutor(1) as pool:
        owner = pool.submit(site.call, site.guard(lease=60), KEY, slow)
        begun.wait(30)
        site.advance(61)

        def late():
            go_on.set()
            owner.result(30)
            return Happened("a guess")

        found = site.call(site.guard(reconcile=Asked(late)), KEY, slow)

    assert found == owner.result() == "the owner's receipt"
    assert site.record(KEY).state is EffectState.DONE


def test_its_owner_comes_too_late(site):
    """An owner whose effect was decided without it gets both values, and changes nothing."""
    begun, go_on = threading.Event(), threading.Event()

    def slow():
        begun.set()
        go_on.wait(30)
        return "the owner's receipt"

    with ThreadPoolExecutor(1) as pool:
        owner = pool.submit(site.call, site.guard(lease=60), KEY, slow)
        begun.wait(30)
        site.advance(61)
        guard = site.guard(reconcile=Asked(Happened("seen outside")))
        found = site.call(guard, KEY, slow)
        before = site.entry(KEY)
        go_on.set()
        lost = owner.exception(30)

    assert found == "seen outside"
    assert isinstance(lost, LeaseLost)
    assert (lost.value, lost.stored_value) == ("the owner's receipt", "seen outside")
    assert "done by reconcile" in lost.stored
    assert site.entry(KEY) == before


def test_an_owner_finishes_its_own_unknown(site):
    """What others found lapsed, and nobody decided, ends as its owner says."""
    begun, go_on = threading.Event(), threading.Event()

    def slow():
        begun.set()
        go_on.wait(30)
        return "receipt"

    with ThreadPoolExecutor(1) as pool:
        owner = pool.submit(site.call, site.guard(lease=60), KEY, slow)
        begun.wait(30)
        site.advance(61)
        with pytest.raises(OutcomeUnknown, match="lapsed"):
            site.call(site.guard(), KEY, slow)
        between = site.record(KEY).state
        go_on.set()

    assert between is EffectState.UNKNOWN
    assert owner.result() == site.call(site.guard(), KEY, slow) == "receipt"


def test_owners_are_told_apart():
    """I3: each acquisition has an owner of its own, also in one process."""
    assert len({new_owner().token for _ in range(100)}) == 100
