# SPDX-License-Identifier: MIT
"""Effects in an operator's hands: seen, resolved and purged beside whatever runs."""

from __future__ import annotations

import contextlib
import math
import os

import attrs
import pytest

from haltable import (
    ConfigurationError,
    EffectFailed,
    EffectHeld,
    IdempotencyGuard,
    IterationCap,
    LeaseLost,
    Loop,
    MemoryStore,
    Operator,
    OutcomeUnknown,
    SQLiteStore,
    StoreError,
)
from haltable.effect_records import EffectRecord, decode_effect, encode_effect
from haltable.effects import EffectState, NothingHappened
from haltable.errors import RecordError
from haltable.records import Owner
from haltable.store import Conflict, Entry
from haltable.testing import FakeClock
from tests.faults import children

KEY = "charge:7"
WHERE = f"haltable/effect//{KEY}"
#: On another machine, so that nobody here can tell whether it is dead.
FAR = Owner("another boot", "pid:[1]", 4242, "17", "their token")
UNKNOWN = EffectRecord("", KEY, EffectState.UNKNOWN, FAR, attempts=1, reason="nobody knows")
CLAIMED = attrs.evolve(UNKNOWN, state=EffectState.CLAIMED, lease=60.0, reason=None)
WORDS = {"by": "ana", "why": "the provider says so"}


@pytest.fixture
def clock():
    """The store's clock."""
    return FakeClock()


@pytest.fixture
def store(clock):
    """A store whose ages the test decides."""
    return MemoryStore(clock=clock.now)


@pytest.fixture
def ops(store):
    """Ana's handle."""
    return Operator(store)


@pytest.fixture
def guard(store):
    """Does effects over that store."""
    return IdempotencyGuard(store=store)


def plant(store, record, writer="somebody"):
    """Puts a record there, whoever wrote it."""
    where = f"haltable/effect/{record.namespace}/{record.key}"
    entry = store.read(where)
    expected = 0 if entry is None else entry.version
    assert isinstance(
        store.write(where, encode_effect(record, writer, 1), expected=expected), Entry
    )


def held(store):
    """Returns the stored record."""
    return decode_effect(store.read(WHERE).value)


def fail(message="the line broke"):
    """An effect of which nobody knows whether it has happened."""
    raise TimeoutError(message)


# Seen ------------------------------------------------------------------------------------------


def test_effects_are_listed(ops, guard, store):
    """Each effect is there once, by namespace and key, as it stands."""
    elsewhere = IdempotencyGuard(store=store, namespace="the shop", final=ValueError)
    guard.once("b", lambda: 7)
    with pytest.raises(TimeoutError):
        guard.once("a", fail)
    with pytest.raises(ValueError, match="declined"):
        elsewhere.once("c", lambda: int("declined"))
    with pytest.raises(NothingHappened):
        elsewhere.once("a/b", lambda: (_ for _ in ()).throw(NothingHappened("no line")))

    assert [(view.namespace, view.key, view.state.value) for view in ops.effects()] == [
        ("", "a", "unknown"),
        ("", "b", "done"),
        ("the shop", "a/b", "free"),
        ("the shop", "c", "failed"),
    ]
    assert [view.key for view in ops.effects("failed")] == ["c"]
    assert [view.key for view in ops.effects(EffectState.DONE)] == ["b"]
    assert [view.key for view in ops.effects(namespace="")] == ["a", "b"]
    assert [view.key for view in ops.effects("free", namespace="the shop")] == ["a/b"]
    assert ops.effects(namespace="the") == []


def test_a_list_of_no_state_is_an_error(ops):
    """A state that does not exist is no empty list."""
    with pytest.raises(ConfigurationError, match=r"state='lost'.*'unknown'"):
        ops.effects("lost")


def test_a_running_effect_is_claimed(ops, guard):
    """While it runs it is listed under the name of whoever is at it."""
    (view,) = guard.once(KEY, lambda: [attrs.asdict(view) for view in ops.effects()])

    assert (view["state"], view["owner"]) == ("claimed", f"process {os.getpid()}")


def test_a_lapsed_claim_is_listed_as_unknown(ops, store, clock):
    """Nobody needs to call an effect for it to be seen that its owner went silent."""
    plant(store, CLAIMED)
    before = [view.state for view in ops.effects()]
    clock.advance(60.0)
    (view,) = ops.effects("unknown")

    assert before == [EffectState.CLAIMED]
    assert "the lease of process 4242 has lapsed" in view.reason
    assert held(store).state is EffectState.CLAIMED


def killed(path):
    """Dies in the middle of an effect."""
    IdempotencyGuard(store=SQLiteStore(path)).once(KEY, os._exit, 9)


def test_a_dead_owners_claim_is_listed_as_unknown(tmp_path):
    """The effect of a process that was killed is listed at once, and set free without ado."""
    path = tmp_path / "loops.db"
    with SQLiteStore(path) as store:
        ops, guard = Operator(store), IdempotencyGuard(store=store)
        assert children.ended(children.start(killed, path)) == 9
        (view,) = ops.effects("unknown")
        ops.resolve(KEY, "free", **WORDS)

        assert "is dead" in view.reason
        assert guard.once(KEY, lambda code: "receipt", 9) == "receipt"


def test_an_unreadable_record_is_listed(ops, guard, store):
    """Damage hides neither itself nor the others; nobody knows whether that effect happened."""
    guard.once("a", lambda: 1)
    store.write("haltable/effect/the%20shop/x/y", b"scribble", expected=0)
    (view,) = ops.effects("unknown")

    assert (view.namespace, view.key, view.readable) == ("the shop", "x/y", False)
    assert "no record of haltable's" in view.reason
    assert [view.key for view in ops.effects()] == ["a", "x/y"]


def test_a_key_shows_its_unknown_effects(ops, store):
    """Whoever looks at a loop sees which of its effects are in doubt, and no other's."""
    guard = IdempotencyGuard()
    loop = Loop(IterationCap(1), guard, key="report-42", store=store)
    loop.run(lambda iteration: iteration.once(KEY, fail))
    loop.with_(key="report-43").run(lambda iteration: iteration.once("charge:8", fail))
    loop.with_(key="report-44").run(lambda iteration: iteration.once("charge:9", lambda: 9))

    assert ops.show("report-42").unknown_effects == (KEY,)
    assert "  unknown effects charge:7" in str(ops.show("report-42")).splitlines()
    assert ops.show("report-44").unknown_effects == ()


# Resolved --------------------------------------------------------------------------------------


@pytest.fixture
def unknown(guard):
    """An effect of which nobody knows whether it has happened."""
    with pytest.raises(TimeoutError):
        guard.once(KEY, fail)
    with pytest.raises(OutcomeUnknown):
        guard.once(KEY, fail)


@pytest.mark.usefixtures("unknown")
def test_resolved_as_done(ops, guard):
    """It has happened: what the operator says that it returned is replayed, and nothing runs."""
    view = ops.resolve(KEY, "done", result={"receipt": 7}, **WORDS)

    assert (view.state, view.result, view.reason) == (EffectState.DONE, '{"receipt":7}', None)
    assert guard.once(KEY, fail) == {"receipt": 7}
    assert ops.effects("unknown") == []


@pytest.mark.usefixtures("unknown")
def test_resolved_as_done_without_a_result(ops, guard):
    """What returned nothing that matters is replayed as None."""
    ops.resolve(KEY, "done", **WORDS)

    assert guard.once(KEY, fail) is None


@pytest.mark.usefixtures("unknown")
@pytest.mark.parametrize(
    ("message", "told"), [({}, "the provider says so"), ({"message": "declined"}, "declined")]
)
def test_resolved_as_failed(ops, guard, message, told):
    """It failed for good: each call is told so, and nothing runs."""
    view = ops.resolve(KEY, "failed", **message, **WORDS)

    assert (view.state, view.reason) == (EffectState.FAILED, f"operator: {told}")
    with pytest.raises(EffectFailed, match=told):
        guard.once(KEY, fail)


@pytest.mark.usefixtures("unknown")
def test_resolved_as_free(ops, guard):
    """Nothing has happened: the next call runs it, once."""
    view = ops.resolve(KEY, "free", **WORDS)
    ran = []

    assert view.state is EffectState.FREE
    assert [guard.once(KEY, lambda: ran.append(1) or len(ran)) for _ in range(2)] == [1, 1]
    assert held(ops._store).attempts == 2


@pytest.mark.usefixtures("unknown")
def test_the_history_is_kept(ops, guard, store):
    """Who decided what and why stays with the effect, through the next attempt too."""
    ops.resolve(KEY, "free", by="ana", why="the line was cut")
    with pytest.raises(TimeoutError):
        guard.once(KEY, fail)
    (view,) = [ops.resolve(KEY, "done", by="bob", why="it is on the bill")]

    assert [(act.act, act.by, act.why) for act in view.history] == [
        ("free", "ana", "the line was cut"),
        ("done", "bob", "it is on the bill"),
    ]
    assert "done by bob: it is on the bill" in str(ops.effects()[0])


def test_a_namespace_is_named(ops, store):
    """An effect is resolved in its own namespace and in no other."""
    guard = IdempotencyGuard(store=store, namespace="the shop")
    with pytest.raises(TimeoutError):
        guard.once(KEY, fail)
    with pytest.raises(KeyError, match=KEY):
        ops.resolve(KEY, "done", **WORDS)
    ops.resolve(KEY, "done", namespace="the shop", **WORDS)

    assert guard.once(KEY, fail) is None


def test_an_absent_effect_cannot_be_resolved(ops):
    """A misspelt key is an error, and makes nothing."""
    with pytest.raises(KeyError, match="no effect with the key 'charge:8'"):
        ops.resolve("charge:8", "done", **WORDS)
    assert ops.effects() == []


def test_a_live_claim_is_refused(ops, store, guard):
    """Whoever is at an effect is named, and decides alone."""
    with pytest.raises(EffectHeld, match=rf"process {os.getpid()}; its lease has 60 s left"):
        guard.once(KEY, lambda: ops.resolve(KEY, "done", **WORDS))


def test_a_reconcilers_claim_is_refused(ops, store):
    """While somebody asks the outside, nobody decides beside that."""

    def reconcile(key, record):
        with pytest.raises(EffectHeld, match=f"process {os.getpid()}"):
            ops.resolve(key, "done", **WORDS)
        raise ConnectionError("cannot see")

    plant(store, UNKNOWN)
    with pytest.raises(OutcomeUnknown, match="cannot see"):
        IdempotencyGuard(store=store, reconcile=reconcile).once(KEY, fail)


@pytest.mark.parametrize("state", ["done", "failed", "free"])
def test_what_is_not_in_doubt_is_refused(ops, store, state):
    """Done, failed and free absorb: an operator answers a question, and changes no answer."""
    plant(store, attrs.evolve(UNKNOWN, state=EffectState(state), reason=None))
    before = store.read(WHERE).value
    for outcome in ("done", "failed", "free"):
        with pytest.raises(ConfigurationError, match=f"it is {state} already"):
            ops.resolve(KEY, outcome, **WORDS)

    assert store.read(WHERE).value == before


def test_an_unreadable_record_is_refused(ops, store):
    """What cannot be read is not written over."""
    store.write(WHERE, b"scribble", expected=0)
    with pytest.raises(RecordError, match=f"effect '{KEY}': .*no record of haltable's"):
        ops.resolve(KEY, "done", **WORDS)
    assert store.read(WHERE).value == b"scribble"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"outcome": "undone"}, r"outcome='undone'.*'free'"),
        ({"by": " "}, "by=' '"),
        ({"why": ""}, "why=''"),
        ({"effect_key": ""}, "non-empty string"),
        ({"namespace": None}, "namespace=None"),
        ({"outcome": "failed", "result": 7}, "only what is done has a result"),
        ({"result": {1, 2}}, "not JSON"),
        ({"result": "x" * 300_000}, "more than"),
        ({"message": "no"}, "leave it out"),
        ({"outcome": "failed", "message": 7}, "message=7"),
    ],
)
def test_a_wrong_argument_changes_nothing(ops, store, changes, told):
    """Each is named before anything is read."""
    plant(store, UNKNOWN)
    given = {"effect_key": KEY, "outcome": "done", **WORDS, **changes}
    with pytest.raises(ConfigurationError, match=told):
        ops.resolve(**given)
    assert held(store).state is EffectState.UNKNOWN


# Rule 7 ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("found", [UNKNOWN, CLAIMED])
def test_free_needs_an_owner_that_is_gone(ops, store, clock, guard, found):
    """A silent owner may wake up: only who has made sure of it lets the effect run again."""
    plant(store, found, writer=FAR.token if found is CLAIMED else "a finder")
    clock.advance(60.0)
    with pytest.raises(ConfigurationError, match=r"process 4242 may be at it still.*owner_is_gone"):
        ops.resolve(KEY, "free", **WORDS)
    ops.resolve(KEY, "free", owner_is_gone=True, **WORDS)

    assert guard.once(KEY, lambda: 7) == 7


@pytest.mark.parametrize("outcome", ["done", "failed"])
def test_what_is_over_needs_no_dead_owner(ops, store, clock, outcome):
    """What runs nothing again can be said while the owner may still be there."""
    plant(store, CLAIMED)
    clock.advance(60.0)

    assert ops.resolve(KEY, outcome, **WORDS).state.value == outcome


def test_an_owner_that_gave_up_is_at_it_no_more(ops, store):
    """An attempt that ended with an exception was ended by its owner, on whatever machine."""
    plant(store, UNKNOWN, writer=FAR.token)

    assert ops.resolve(KEY, "free", **WORDS).state is EffectState.FREE


def test_the_one_in_question_is_asked_about(ops, store, clock):
    """Where a reconciler died, it is the attempt that must be over, and not the question."""
    asks = Owner("another boot", "pid:[1]", 4243, "18", "another token")
    suspected = attrs.evolve(CLAIMED, owner=asks, suspect=FAR)
    plant(store, suspected)
    clock.advance(60.0)
    with pytest.raises(ConfigurationError, match="may be at it still"):
        ops.resolve(KEY, "free", **WORDS)
    view = ops.resolve(KEY, "done", **WORDS)

    assert view.state is EffectState.DONE


def test_an_owner_that_wakes_up_is_told(ops, store, clock):
    """Its effect was resolved meanwhile: it gets both values, and changes nothing."""

    def slow():
        clock.advance(61.0)
        ops.resolve(KEY, "done", result="theirs", **WORDS)
        return "mine"

    store_with_lease = IdempotencyGuard(store=store, clock=FakeClock())
    with pytest.raises(LeaseLost) as lost:
        store_with_lease.once(KEY, slow)

    assert (lost.value.value, lost.value.stored_value) == ("mine", "theirs")
    assert "done by ana" in lost.value.stored


# Races -----------------------------------------------------------------------------------------


class Meddled:
    """A store in which somebody else does something right before each write."""

    def __init__(self, inner, *acts):
        self.inner = inner
        self.acts = [*acts]
        self.durability = inner.durability
        self.read, self.scan, self.delete = inner.read, inner.scan, self.erase

    def meddle(self):
        """Lets the next of the others act."""
        if self.acts:
            self.acts.pop(0)()

    def write(self, key, value, *, expected):
        self.meddle()
        return self.inner.write(key, value, expected=expected)

    def erase(self, key, *, expected):
        self.meddle()
        return self.inner.delete(key, expected=expected)


def test_the_first_to_resolve_wins(store):
    """Two who decide at once do not write over each other."""
    plant(store, UNKNOWN)
    bob = Operator(store)
    ana = Operator(Meddled(store, lambda: bob.resolve(KEY, "failed", by="bob", why="declined")))
    with pytest.raises(ConfigurationError, match="it is failed already"):
        ana.resolve(KEY, "done", **WORDS)

    assert [act.by for act in held(store).history] == ["bob"]


def test_a_claim_that_came_first_is_respected(store, clock):
    """An owner that renewed its lease between the look and the write is at it still."""
    plant(store, CLAIMED)
    clock.advance(60.0)
    ana = Operator(Meddled(store, lambda: plant(store, CLAIMED)))
    with pytest.raises(EffectHeld):
        ana.resolve(KEY, "done", **WORDS)


def test_a_busy_key_ends_in_an_error(store):
    """Who never gets through hears so instead of trying for ever."""
    plant(store, UNKNOWN)
    ana = Operator(Meddled(store, *[lambda: plant(store, UNKNOWN)] * 200))
    with pytest.raises(StoreError, match="100 times in a row") as busy:
        ana.resolve(KEY, "done", **WORDS)

    assert busy.value.outcome == "refused"


def test_an_operators_act_is_nobodys_lost_reply(store, ops, clock):
    """A claim whose reply was lost, and that was resolved since, is not taken for granted again."""
    ran = []

    class Deaf(Meddled):
        def write(self, key, value, *, expected):
            reply = super().write(key, value, expected=expected)
            if not self.acts and not isinstance(reply, Conflict) and not ran:
                clock.advance(61.0)
                ops.resolve(KEY, "done", result="theirs", **WORDS)
                ran.append("resolved")
                raise StoreError("the reply was lost")
            return reply

    found = IdempotencyGuard(store=Deaf(store), clock=FakeClock()).once(KEY, lambda: ran.append(1))

    assert (found, ran) == ("theirs", ["resolved"])


# Purged ----------------------------------------------------------------------------------------


def test_only_what_is_past_its_retention_is_purged(store, ops, clock, guard):
    """Rule 9: never what is claimed, unknown or free, nor a loop, nor what is kept for ever."""
    kept = IdempotencyGuard(store=store, retention=100.0, final=ValueError)
    Loop(IterationCap(1), key="report-42", store=store).run(lambda: None)
    guard.once("for ever", lambda: 1)
    kept.once("old", lambda: 1)
    with pytest.raises(ValueError, match="invalid"):
        kept.once("old failure", lambda: int("x"))
    with pytest.raises(TimeoutError):
        kept.once("unknown", fail)
    with contextlib.suppress(NothingHappened):
        kept.once("free", lambda: (_ for _ in ()).throw(NothingHappened))
    plant(store, attrs.evolve(CLAIMED, key="claimed", retention=100.0))
    store.write("haltable/effect//damaged", b"scribble", expected=0)
    clock.advance(99.0)
    kept.once("young", lambda: 1)
    early = ops.purge(older_than=0)
    clock.advance(1.0)
    later = ops.purge(older_than=101)
    purged = ops.purge(older_than=100)

    assert (early, later, [view.key for view in purged]) == ([], [], ["old", "old failure"])
    assert [view.key for view in ops.effects()] == (
        ["claimed", "damaged", "for ever", "free", "unknown", "young"]
    )
    assert ops.show("report-42").status == "tripped"
    assert purged[0].result == "1"


def test_what_was_purged_runs_again(store, ops, clock):
    """Past its retention an effect is a new one."""
    guard = IdempotencyGuard(store=store, retention=100.0)
    ran = []
    for _ in range(2):
        guard.once(KEY, lambda: ran.append(1))
        clock.advance(100.0)
        ops.purge(older_than=0)

    assert len(ran) == 2


def test_what_changed_meanwhile_is_not_purged(store, clock):
    """A key that somebody uses again between the look and the removal stays."""
    guard = IdempotencyGuard(store=store, retention=100.0)
    guard.once(KEY, lambda: 1)
    clock.advance(100.0)
    ops = Operator(Meddled(store, lambda: guard.once(KEY, lambda: 2)))

    assert ops.purge(older_than=0) == []
    assert guard.once(KEY, lambda: 3) == 2


@pytest.mark.parametrize("seconds", [-1, math.nan, math.inf, True, "1", None])
def test_purge_wants_seconds(ops, seconds):
    """What is no duration purges nothing."""
    with pytest.raises(ConfigurationError, match="older_than="):
        ops.purge(older_than=seconds)


class Rebooted(Meddled):
    """A store that cannot tell how old what it holds is, for it is of another boot."""

    def __init__(self, inner):
        super().__init__(inner)
        self.read = lambda key: self.ageless(inner.read(key))
        self.scan = lambda prefix: ((key, self.ageless(entry)) for key, entry in inner.scan(prefix))

    def ageless(self, entry):
        """Returns the entry as one of another boot."""
        return None if entry is None else attrs.evolve(entry, age=math.inf)


def test_a_boot_ends_no_retention(store, clock, ops):
    """P4: an effect is not run again because the machine was restarted within its retention."""
    guard = IdempotencyGuard(store=Rebooted(store), retention=100.0)
    ran = []
    for _ in range(2):
        guard.once(KEY, lambda: ran.append(1))
    purged = Operator(Rebooted(store)).purge(older_than=0)
    clock.advance(99.0)
    early = ops.purge(older_than=0)
    clock.advance(1.0)

    assert (len(ran), purged, early) == (1, [], [])
    assert [view.key for view in ops.purge(older_than=0)] == [KEY]
