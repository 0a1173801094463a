# SPDX-License-Identifier: MIT
"""The rules over effect records: who may run, what is replayed, what nobody knows."""

from __future__ import annotations

import math

import attrs
import pytest
from hypothesis import given, strategies as st

from haltable.effect_ledger import (
    Busy,
    Finished,
    InDoubt,
    Mismatch,
    Open,
    Request,
    Tenure,
    claimed,
    doubted,
    finished,
    in_question,
    is_purgeable,
    is_written,
    look,
    questioned,
    released,
    renewed,
    resolved,
    tenure,
)
from haltable.effect_records import EffectAct, EffectFault, EffectRecord
from haltable.effects import EffectState
from haltable.records import Owner

ME = Owner("boot", "pid:[1]", 7, "100", "mine")
OTHER = Owner("boot", "pid:[1]", 8, "100", "other")
LEASE = 60.0
REQUEST = Request("shop", "charge:7", "f", "payload", "at_most_once", 3, None, "report-42")
AGAIN = attrs.evolve(REQUEST, semantics="at_least_once")
CLAIMED = claimed(None, REQUEST, ME, lease=LEASE)
UNKNOWN = doubted(CLAIMED, "it was cut off")
ASKED = questioned(UNKNOWN, OTHER, lease=LEASE)
DONE = finished(CLAIMED, result='"receipt"')
FAILED = finished(CLAIMED, fault=EffectFault("bank.Declined", "no funds"))
FREE = released(CLAIMED)
EACH = {
    "claimed": CLAIMED,
    "asked": ASKED,
    "unknown": UNKNOWN,
    "done": DONE,
    "failed": FAILED,
    "free": FREE,
}
ACT = EffectAct("done", "ana", "seen", "2026-11-23T10:00:00+00:00")


def seen(record, request=REQUEST, age=0.0, *, dead=False):
    """Returns how an effect stands for whoever calls it."""
    return look(record, request, age=age, dead=dead)


# Who may run -------------------------------------------------------------------------------------


def test_what_nobody_used_is_open():
    """Absent reads as never claimed."""
    assert seen(None) == Open(None)


def test_what_was_released_is_open():
    """It goes on from what is there, so that its attempts stay counted."""
    assert seen(FREE) == Open(FREE)


@pytest.mark.parametrize("record", [DONE, FAILED], ids=["done", "failed"])
@pytest.mark.parametrize("age", [0.0, 1e12, math.inf])
@pytest.mark.parametrize("request_", [REQUEST, AGAIN], ids=lambda each: each.semantics)
def test_what_is_finished_is_replayed(record, age, request_):
    """I4: for ever without a retention, whatever may be repeated."""
    assert seen(record, request_, age) == Finished(record)


@pytest.mark.parametrize(("age", "over"), [(9.0, False), (10.0, True), (math.inf, False)])
def test_a_retention_ends(age, over):
    """Past it the key begins anew; what another boot wrote has no known age."""
    record = attrs.evolve(DONE, retention=10.0, history=(ACT,))
    found = seen(record, attrs.evolve(REQUEST, fingerprint="another"), age)

    if over:
        again = claimed(found.record, REQUEST, OTHER, lease=LEASE)
        assert again == attrs.evolve(CLAIMED, owner=OTHER, history=(ACT,))
    else:
        assert found == Mismatch(record)


@pytest.mark.parametrize("record", EACH.values(), ids=EACH)
def test_another_payload_is_refused(record):
    """In every state, whoever is at it; a call that has none matches any."""
    assert seen(record, attrs.evolve(REQUEST, fingerprint="another")) == Mismatch(record)
    assert not isinstance(seen(record, attrs.evolve(REQUEST, fingerprint=None)), Mismatch)
    unchecked = attrs.evolve(record, fingerprint=None)
    assert not isinstance(seen(unchecked), Mismatch)


@pytest.mark.parametrize("request_", [REQUEST, AGAIN], ids=lambda each: each.semantics)
@pytest.mark.parametrize("record", [CLAIMED, ASKED], ids=["claimed", "asked"])
def test_a_claim_holds_until_its_lease_lapses(record, request_):
    """Whoever comes is told who is at it, and for how long at most."""
    assert seen(record, request_, LEASE - 1) == Busy(record, record.owner, 1.0)


@pytest.mark.parametrize(
    ("age", "dead", "why"), [(LEASE, False, "has lapsed"), (0.0, True, "is dead")]
)
def test_a_claim_that_is_none_any_more(age, dead, why):
    """It is unknown, not free: a lapsed lease is permission to ask, and so is a death."""
    found = seen(CLAIMED, age=age, dead=dead)

    assert isinstance(found, InDoubt)
    assert not found.stored
    assert found.record.state is EffectState.UNKNOWN
    assert str(ME) in found.record.reason
    assert why in found.record.reason
    assert found.record.owner == ME


def test_what_is_unknown_stays_so():
    """Its stored reason is told, and nothing need be written."""
    assert seen(UNKNOWN, age=1e9) == InDoubt(UNKNOWN, stored=True)


@pytest.mark.parametrize(("attempts", "open_"), [(1, True), (2, True), (3, False), (4, False)])
@pytest.mark.parametrize("record", [UNKNOWN, CLAIMED], ids=["unknown", "dead"])
def test_what_may_be_repeated_is_open_while_attempts_are_left(record, attempts, open_):
    """I2: its attempts are counted over all who made them, and then it is unknown as any other."""
    found = seen(attrs.evolve(record, attempts=attempts), AGAIN, dead=record is CLAIMED)

    assert isinstance(found, Open) is open_
    assert isinstance(found, InDoubt) is not open_
    assert not open_ or found.record.state is EffectState.FREE
    assert not open_ or found.record.attempts == attempts


def test_a_claim_without_an_owner_is_no_claim():
    """Whoever cannot be named holds nothing; what nobody says stays unknown."""
    found = seen(attrs.evolve(CLAIMED, owner=None))

    assert isinstance(found, InDoubt)


@given(st.floats(0, 1e12) | st.just(math.inf), st.booleans(), st.sampled_from(sorted(EACH)))
def test_only_a_free_effect_runs_at_most_once(age, dead, name):
    """I1: whatever the age and whoever is dead, nothing but what is free is open."""
    assert isinstance(seen(EACH[name], age=age, dead=dead), Open) is (name == "free")


# From a record to the next -----------------------------------------------------------------------


def test_a_claim_names_everything():
    """Who claims, for how long, what is compared, where it runs, and which attempt it is."""
    assert (
        EffectRecord(
            "shop",
            "charge:7",
            EffectState.CLAIMED,
            ME,
            LEASE,
            fingerprint="f",
            checked="payload",
            attempts=1,
            loop="report-42",
        )
        == CLAIMED
    )


@pytest.mark.parametrize("record", EACH.values(), ids=EACH)
def test_a_claim_begins_clean(record):
    """Of earlier attempts only their count and history are left."""
    found = claimed(attrs.evolve(record, history=(ACT,)), REQUEST, OTHER, lease=5.0)

    assert found == attrs.evolve(CLAIMED, owner=OTHER, lease=5.0, attempts=2, history=(ACT,))


def test_a_claim_without_a_payload_keeps_the_first():
    """Once a payload is known, it is what later calls are held to."""
    unchecked = attrs.evolve(REQUEST, fingerprint=None, checked="nothing")
    kept = claimed(FREE, unchecked, ME, lease=LEASE)
    none = claimed(None, unchecked, ME, lease=LEASE)

    assert (kept.fingerprint, kept.checked) == ("f", "payload")
    assert (none.fingerprint, none.checked) == (None, "nothing")


def test_a_doubt_keeps_the_owner_of_the_attempt():
    """Also when the reconciler is the one that died: the question is about the attempt."""
    assert (UNKNOWN.owner, UNKNOWN.lease, UNKNOWN.reason) == (ME, 0.0, "it was cut off")
    again = doubted(ASKED, "nobody answered")
    assert (again.owner, again.suspect, again.reason) == (ME, None, "nobody answered")
    assert (ASKED.owner, ASKED.suspect, ASKED.attempts) == (OTHER, ME, 1)


def test_what_holds_is_not_in_question():
    """A claim within its lease, and whatever is no claim, is left as it is."""
    for record in EACH.values():
        assert in_question(record, age=LEASE - 1, dead=False) is record
    for record in (UNKNOWN, DONE, FAILED, FREE):
        assert in_question(record, age=1e9, dead=True) is record


def test_a_renewal_changes_the_lease_alone():
    """Everything else stays."""
    assert renewed(CLAIMED, lease=5.0) == attrs.evolve(CLAIMED, lease=5.0)


def test_an_end_has_no_owner():
    """Done or failed, with what is replayed and without what is over."""
    assert (DONE.state, DONE.result, DONE.owner, DONE.lease) == (
        EffectState.DONE,
        '"receipt"',
        None,
        0.0,
    )
    assert (FAILED.state, FAILED.fault.message) == (EffectState.FAILED, "no funds")
    ended = finished(ASKED, result_lost="too long")
    assert (ended.suspect, ended.reason, ended.result_lost) == (None, None, "too long")


def test_a_release_keeps_the_count():
    """The key is free, and the attempt was one."""
    assert (FREE.state, FREE.owner, FREE.lease, FREE.attempts) == (EffectState.FREE, None, 0.0, 1)
    assert released(ASKED).suspect is None


@pytest.mark.parametrize(
    ("outcome", "state"),
    [("done", EffectState.DONE), ("failed", EffectState.FAILED), ("free", EffectState.FREE)],
)
def test_an_operator_decides(outcome, state):
    """What was said, by whom and why is kept behind what was said before."""
    act = attrs.evolve(ACT, act=outcome)
    found = resolved(attrs.evolve(UNKNOWN, history=(ACT,)), act, result="7", message="declined")

    assert found.state is state
    assert found.history == (ACT, act)
    assert (found.owner, found.reason) == (None, None)
    assert found.fault == (EffectFault("operator", "declined") if outcome == "failed" else None)
    assert found.result == (None if outcome == "free" else "7")


# Whose claim stands ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("record", "token", "expected"),
    [
        (None, "mine", Tenure.LOST),
        (CLAIMED, "mine", Tenure.MINE),
        (CLAIMED, "other", Tenure.LOST),
        (UNKNOWN, "mine", Tenure.DOUBTED),
        (UNKNOWN, "other", Tenure.LOST),
        (ASKED, "mine", Tenure.QUESTIONED),
        (ASKED, "other", Tenure.MINE),
        (ASKED, "a third", Tenure.LOST),
        (DONE, "mine", Tenure.LOST),
        (attrs.evolve(DONE, owner=ME), "mine", Tenure.LOST),
        (attrs.evolve(ASKED, state=EffectState.DONE), "mine", Tenure.LOST),
        (FREE, "mine", Tenure.LOST),
    ],
)
def test_whose_claim_stands(record, token, expected):
    """An owner's word counts until somebody has decided; nobody else's does."""
    assert tenure(record, token) is expected


def test_who_asks_about_itself_holds_the_claim_that_it_asks_under():
    """A call that was told nothing of its claim, and finds it in doubt, is no stranger to it."""
    asking = questioned(UNKNOWN, ME, lease=LEASE)

    assert tenure(asking, ME.token) is Tenure.MINE


@pytest.mark.parametrize(
    ("writer", "serial", "expected"),
    [("mine", 3, True), ("mine", 4, True), ("mine", 2, False), ("other", 3, False)],
)
def test_a_lost_reply_is_found_again(writer, serial, expected):
    """A write of mine was done if the record is mine, of that write or a later one."""
    record = attrs.evolve(CLAIMED, writer=writer, serial=serial)

    assert is_written(record, token=ME.token, serial=3) is expected
    assert not is_written(None, token=ME.token, serial=3)


@pytest.mark.parametrize(
    ("record", "age", "older_than", "expected"),
    [
        (attrs.evolve(DONE, retention=10.0), 10.0, 0.0, True),
        (attrs.evolve(FAILED, retention=10.0), 20.0, 20.0, True),
        (attrs.evolve(DONE, retention=10.0), 15.0, 20.0, False),
        (attrs.evolve(DONE, retention=10.0), 9.0, 0.0, False),
        (attrs.evolve(DONE, retention=10.0), math.inf, 0.0, False),
        (DONE, 1e12, 0.0, False),
        (attrs.evolve(UNKNOWN, retention=10.0), 1e12, 0.0, False),
        (attrs.evolve(CLAIMED, retention=10.0), 1e12, 0.0, False),
        (attrs.evolve(FREE, retention=10.0), 1e12, 0.0, False),
    ],
)
def test_what_may_be_forgotten(record, age, older_than, expected):
    """Only what is finished and past its retention; never what nobody knows."""
    assert is_purgeable(record, age=age, older_than=older_than) is expected
