# SPDX-License-Identifier: MIT
"""P4, rules 7 to 9: somebody is quicker at exactly the wrong moment, and every word stays true."""

from __future__ import annotations

import attrs
import pytest

from haltable import EffectHeld, LeaseLost, Operator, OutcomeUnknown, StoreError
from haltable.effect_ledger import doubted, finished, questioned, released
from haltable.effects import DontKnow, EffectState, Happened, NotHappened, NothingHappened
from haltable.stores import Conflict
from tests.effects.sites import STRANGER, Site, dead_owner
from tests.faults.faulty import AsyncFaulty, Faulty

KEY = "charge:7"
EACH = (
    ("once", Faulty),
    ("aonce on asyncio", Faulty),
    ("aonce on asyncio", AsyncFaulty),
    ("aonce on trio", AsyncFaulty),
)
#: The calls of a store in which an effect is read and then claimed.
CLAIM = 2


@pytest.fixture(params=EACH, ids=[f"{way}, {kind.__name__}" for way, kind in EACH])
def site(request):
    """Each way to call an effect."""
    way, kind = request.param
    store = kind(None, 0)
    return Site(way, store, store.inner, store.clock.advance)


def before(site, call, act):
    """Has somebody act just before the store gets its so-and-so-many-th call."""
    strike = site.store.strike

    def struck(key):
        fault = strike(key)
        if site.store.calls == call:
            act()
        return fault

    site.store.strike = struck


def never():
    """An effect that must not run."""
    raise AssertionError("the effect ran")


def test_two_claim(site):
    """Of two who found it free one claims it; the other is told who."""
    before(site, CLAIM, lambda: site.leave(KEY, STRANGER))
    with pytest.raises(EffectHeld) as held:
        site.call(site.guard(), KEY, never)

    assert held.value.holder == str(STRANGER)


def test_two_find_it_dead(site):
    """Of two who note that nobody knows one is enough; both say the same."""
    left = site.leave(KEY, dead_owner())
    before(site, CLAIM, lambda: site.put(doubted(left, "the other saw it first")))
    with pytest.raises(OutcomeUnknown, match="the other saw it first"):
        site.call(site.guard(), KEY, never)

    assert site.record(KEY).reason == "the other saw it first"


def test_an_owner_ends_while_it_is_found_lapsed(site):
    """What was done in the last moment is replayed, not called unknown."""
    left = site.leave(KEY, STRANGER)
    site.advance(61)
    before(site, CLAIM, lambda: site.put(finished(left, result='"receipt"')))

    assert site.call(site.guard(), KEY, never) == "receipt"


def test_two_ask(site):
    """I12: of two who want to ask the outside one does; the other finds it held."""
    left = doubted(site.leave(KEY, dead_owner()), "it was cut off")
    before(site, CLAIM, lambda: site.put(questioned(left, STRANGER, lease=60.0)))

    def ask(key, record):
        raise AssertionError("both asked")

    with pytest.raises(EffectHeld) as held:
        site.call(site.guard(reconcile=ask), KEY, never)

    assert held.value.holder == str(STRANGER)


@pytest.mark.parametrize("answer", [DontKnow(), NotHappened(), Happened("a guess")], ids=repr)
def test_it_is_ended_while_the_outside_is_asked(site, answer):
    """Whatever the outside said, what was stored meanwhile is what every call returns."""
    left = site.leave(KEY, dead_owner())

    def ask(key, record):
        site.put(finished(left, result='"receipt"'))
        return answer

    assert site.call(site.guard(reconcile=ask), KEY, never) == "receipt"
    assert site.record(KEY).history == ()


def test_it_is_taken_while_the_outside_is_asked(site):
    """Rule 9: a reconciler whose lease lapsed runs nothing, whatever it found out."""
    left = doubted(site.leave(KEY, dead_owner()), "it was cut off")

    def ask(key, record):
        site.put(questioned(left, STRANGER, lease=60.0))
        return NotHappened()

    with pytest.raises(EffectHeld):
        site.call(site.guard(reconcile=ask), KEY, never)

    assert site.record(KEY).owner == STRANGER


def test_it_is_ended_while_the_outside_fails(site):
    """The reconciler's error is told, with what became of the effect, which stays as it is."""
    left = site.leave(KEY, dead_owner())

    def ask(key, record):
        site.put(finished(left, result='"receipt"'))
        raise RuntimeError("no network")

    with pytest.raises(OutcomeUnknown) as raised:
        site.call(site.guard(reconcile=ask), KEY, never)

    assert isinstance(raised.value.__cause__, RuntimeError)
    assert "decided meanwhile without this call" in raised.value.__cause__.__notes__[0]
    assert site.call(site.guard(), KEY, never) == "receipt"


def resolve(site, outcome="done"):
    """Has an operator find the running effect lapsed and decide it."""
    site.advance(61)
    options = {"owner_is_gone": True} if outcome == "free" else {"result": "as ana says"}
    Operator(site.inner).resolve(KEY, outcome, by="ana", why="seen", **options)


@pytest.mark.parametrize(
    ("error", "options"),
    [
        (ValueError("reset"), {}),
        (KeyboardInterrupt("now"), {}),
        (LookupError("no funds"), {"final": LookupError}),
        (NothingHappened("closed"), {}),
        (ValueError("reset"), {"semantics": "at_least_once"}),
    ],
    ids=["raises", "interrupted", "final", "nothing", "at least once"],
)
def test_it_is_decided_before_it_raises(site, error, options):
    """The exception goes through and says so; what was decided stands."""

    def late():
        resolve(site)
        raise error

    with pytest.raises(type(error)) as raised:
        site.call(site.guard(**options), KEY, late)

    assert raised.value is error
    assert error.__notes__ == [f"effect {KEY!r} was decided meanwhile without this call"]
    assert site.call(site.guard(), KEY, never) == "as ana says"
    del error.__notes__


def test_it_is_freed_before_it_returns(site):
    """Its owner gets the value beside what was decided; nobody is told that it is done."""

    def late():
        resolve(site, "free")
        return "receipt"

    with pytest.raises(LeaseLost) as lost:
        site.call(site.guard(), KEY, late)

    assert lost.value.value == "receipt"
    assert "free by ana: seen" in lost.value.stored
    assert site.record(KEY).state is EffectState.FREE


def test_its_record_is_gone_before_it_returns(site):
    """Whoever deleted it has decided too: its owner is told, and writes nothing."""

    def late():
        where = site.guard().policy.prefix + KEY
        assert site.inner.delete(where, expected=site.inner.read(where).version)
        return "receipt"

    with pytest.raises(LeaseLost, match="its record is gone") as lost:
        site.call(site.guard(), KEY, late)

    assert lost.value.value == "receipt"
    assert site.entry(KEY) is None


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (NothingHappened("closed"), EffectState.FREE),
        (LookupError("no funds"), EffectState.FAILED),
        (ValueError("reset"), EffectState.UNKNOWN),
    ],
    ids=repr,
)
def test_it_is_doubted_before_it_raises(site, error, state):
    """What others found lapsed, and nobody decided, ends as its owner says."""

    def late():
        site.advance(61)
        with pytest.raises(OutcomeUnknown):
            beside(site, never)
        raise error

    with pytest.raises(type(error)) as raised:
        site.call(site.guard(final=LookupError), KEY, late)

    assert raised.value is error
    assert site.record(KEY).state is state


def beside(site, effect):
    """Calls the effect as somebody else over the same data."""
    other = Site("once", site.inner, site.inner, site.advance)
    return other.call(other.guard(), KEY, effect)


def test_what_did_nothing_is_released_once(site):
    """An effect that another attempt took over is not freed under it."""

    def late():
        site.advance(61)
        record = site.record(KEY)
        site.put(attrs.evolve(released(record), state=EffectState.CLAIMED, owner=STRANGER))
        raise NothingHappened("closed")

    with pytest.raises(NothingHappened):
        site.call(site.guard(), KEY, late)

    assert (site.record(KEY).state, site.record(KEY).owner) == (EffectState.CLAIMED, STRANGER)


def test_a_store_that_lags_for_ever(site):
    """A store that refuses every write with an old record is an error, and the key is named."""
    refusals = []

    def lagging():
        entry = site.inner.read(site.guard().policy.prefix + KEY)

        def refuse(key, value, *, expected):
            refusals.append(expected)
            return Conflict(entry)

        async def arefuse(key, value, *, expected):
            return refuse(key, value, expected=expected)

        site.store.write = arefuse if isinstance(site.store, AsyncFaulty) else refuse
        return "receipt"

    with pytest.raises(OutcomeUnknown, match="refused 8 writes in a row") as raised:
        site.call(site.guard(), KEY, lagging)

    assert isinstance(raised.value.__cause__, StoreError)
    assert len(refusals) == 8


def test_a_store_that_lags_a_little(site):
    """What comes with a refusal may be older than the refusal: the record itself is read."""

    def lagging():
        record, key = site.record(KEY), site.guard().policy.prefix + KEY
        old, write = site.inner.read(key), site.inner.write
        site.put(doubted(record, "somebody found it lapsed"))

        def lag(key, value, *, expected):
            reply = write(key, value, expected=expected)
            return Conflict(old) if isinstance(reply, Conflict) else reply

        async def alag(key, value, *, expected):
            return lag(key, value, expected=expected)

        site.store.write = alag if isinstance(site.store, AsyncFaulty) else lag
        return "receipt"

    assert site.call(site.guard(), KEY, lagging) == "receipt"
    assert site.record(KEY).state is EffectState.DONE
