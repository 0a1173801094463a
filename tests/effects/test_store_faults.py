# SPDX-License-Identifier: MIT
"""P4 with a store that fails at the Nth call of an effect, for every N until it passes clean."""

from __future__ import annotations

import itertools

import attrs
import pytest

from haltable import EffectFailed, EffectHeld, Operator, OutcomeUnknown, StoreError
from haltable._watch import shared
from haltable.effects import DontKnow, EffectState, Happened, NotHappened, NothingHappened
from tests.effects.sites import STRANGER, Site, dead_owner
from tests.faults.faulty import DOWN, FAULTS, AsyncFaulty, Fault, Faulty

KEY = "charge:7"
EACH = (
    ("once", Faulty),
    ("aonce on asyncio", Faulty),
    ("aonce on asyncio", AsyncFaulty),
    ("aonce on trio", AsyncFaulty),
)


def each_way(ways):
    """Returns the mark of a test that is told how to call an effect, and the kind of its store."""
    found = [pytest.param(*way, id=f"{way[0]}, {way[1].__name__}") for way in ways]
    return pytest.mark.parametrize(("way", "kind"), found)


EACH_WAY = each_way(EACH)
EACH_FAULT = pytest.mark.parametrize("fault", FAULTS + DOWN, ids=str)


class Life:
    """A key's life over a faulty store: one call under the fault, then calls without.

    Args:
        ends: what the effect returns, or which exception it raises, at each of its
            runs, the last for all that follow.
        left: whose claim is found, None for a key that nobody used.
        answer: what the outside says of it, without which nobody asks.
        options: the guard's other arguments.
    """

    def __init__(self, way, store, ends, *, left=None, answer=None, **options):
        self.store = store
        self.site = Site(way, store, store.inner, store.clock.advance)
        self.ends, self.answer = ends, answer
        self.ran = self.asked = 0
        #: What the effect raised last.
        self.raised = None
        if left is not None:
            self.site.leave(KEY, left)
        if answer is not None:
            options["reconcile"] = self.reconcile
        self.guard = self.site.guard(**options)

    def effect(self):
        self.ran += 1
        end = self.ends[min(self.ran, len(self.ends)) - 1]
        if isinstance(end, type):
            self.raised = end("no answer")
            raise self.raised
        return end

    def reconcile(self, key, record):
        self.asked += 1
        # The outside tells the truth: what ran has happened.
        answer = Happened("receipt") if self.ran else self.answer
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def call(self):
        """Returns what a call returns or raises."""
        try:
            return self.site.call(self.guard, KEY, self.effect)
        except BaseException as error:
            return error

    def resolve(self):
        """Says as an operator that it is done; returns what every call gets from then on."""
        Operator(self.store.inner).resolve(KEY, "done", by="ana", why="seen", result="resolved")
        return "resolved"


def lives(way, kind, fault, ends=("receipt",), **options):
    """Yields a life after its call under the fault, for every call of the store that it makes."""
    for at in itertools.count(1):
        life = Life(way, kind(fault, at), ends, **options)
        found = life.call()
        assert not shared.tokens()
        if not life.store.struck:
            assert at > 1
            return
        life.store.mend()
        yield life, found


def is_told(error):
    """Says whether an error of the store is told as what it is, and why."""
    return isinstance(error, StoreError) and (
        error.outcome == "refused" or isinstance(error.__cause__, OSError)
    )


@EACH_FAULT
@EACH_WAY
def test_an_effect_that_returns(way, kind, fault):
    """It runs at most once; its caller is told, and the key is replayed, runs, or is named."""
    for life, found in lives(way, kind, fault):
        if life.ran and isinstance(found, OutcomeUnknown):
            assert is_told(found.__cause__)
            assert "was carried out" in found.reason
        elif life.ran:
            assert found == "receipt"
            assert life.site.record(KEY).state is EffectState.DONE
        else:
            assert is_told(found)
        second = life.call()
        if isinstance(second, OutcomeUnknown):
            assert second.key == KEY
            second = life.resolve()

        assert life.call() == second
        assert life.ran <= 1
        assert life.ran == 1 or second == "resolved"


@EACH_FAULT
@EACH_WAY
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt], ids=lambda kind: kind.__name__)
def test_an_effect_that_raises(way, kind, fault, error):
    """Its own exception goes through, with a note if it was not recorded; it never runs again."""
    for life, found in lives(way, kind, fault, [error]):
        if life.ran:
            assert found is life.raised
            noted = any("did not take the end" in note for note in getattr(found, "__notes__", ()))
            assert noted or life.site.record(KEY).state is EffectState.UNKNOWN
        else:
            assert is_told(found)
            second = life.call()
            assert isinstance(second, OutcomeUnknown) or second is life.raised
        assert isinstance(life.call(), OutcomeUnknown)
        assert life.ran <= 1
        assert life.resolve() == life.call()


@EACH_FAULT
@EACH_WAY
def test_an_effect_that_fails_for_good(way, kind, fault):
    """Its answer goes through; later calls replay it, or say that nobody knows."""
    for life, found in lives(way, kind, fault, [LookupError], final=LookupError):
        assert found is life.raised if life.ran else is_told(found)
        later = [life.call() for _ in range(2)]

        assert life.ran <= 1
        assert isinstance(later[1], EffectFailed | OutcomeUnknown)
        assert not isinstance(later[1], EffectFailed) or "no answer" in str(later[1])


@EACH_FAULT
@EACH_WAY
def test_an_effect_that_did_nothing(way, kind, fault):
    """It runs again, unless the store did not take that it did nothing."""
    for life, found in lives(way, kind, fault, [NothingHappened, "receipt"]):
        assert found is life.raised if life.ran else is_told(found)
        later = [life.call() for _ in range(2)]

        assert later[1] == "receipt" or isinstance(later[1], OutcomeUnknown)
        assert life.ran <= 2


@EACH_FAULT
@EACH_WAY
def test_an_effect_that_may_be_repeated(way, kind, fault):
    """It is repeated until it returns, whatever the store did not take, within its attempts."""
    options = {"semantics": "at_least_once", "max_attempts": 3}
    for life, found in lives(way, kind, fault, [ValueError, "receipt"], **options):
        assert found is life.raised if life.ran else is_told(found)
        later = [life.call() for _ in range(3)]

        assert later[2] == "receipt"
        assert life.ran == 2


@EACH_FAULT
@EACH_WAY
def test_what_a_dead_owner_left(way, kind, fault):
    """Nobody runs it, however often the store fails to note that nobody knows."""
    for life, found in lives(way, kind, fault, left=dead_owner()):
        assert isinstance(found, OutcomeUnknown) or is_told(found)
        assert isinstance(life.call(), OutcomeUnknown)
        assert life.ran == 0
        assert life.resolve() == life.call()


@EACH_FAULT
@EACH_WAY
@pytest.mark.parametrize("answer", [Happened("receipt"), NotHappened()], ids=repr)
def test_what_the_outside_knows(way, kind, fault, answer):
    """With a reconciler that knows, every effect ends, done once, whatever the store did."""
    for life, found in lives(way, kind, fault, left=dead_owner(), answer=answer):
        if found == "receipt":
            assert life.site.record(KEY).state is EffectState.DONE
        elif life.ran:
            assert isinstance(found, OutcomeUnknown)
        else:
            assert is_told(found)

        assert life.call() == life.call() == "receipt"
        assert life.ran == (answer == NotHappened())


@EACH_FAULT
@EACH_WAY
@pytest.mark.parametrize("answer", [DontKnow(), RuntimeError("no network")], ids=repr)
def test_what_the_outside_does_not_know(way, kind, fault, answer):
    """It stays unknown under its name, and the reconciler's own error is the cause."""
    for life, found in lives(way, kind, fault, left=dead_owner(), answer=answer):
        assert isinstance(found, OutcomeUnknown) or is_told(found)
        if life.asked and isinstance(answer, RuntimeError):
            assert found.__cause__ is answer

        assert isinstance(life.call(), OutcomeUnknown)
        assert life.ran == 0
        assert life.resolve() == life.call()


@EACH_FAULT
@EACH_WAY
@pytest.mark.parametrize("kind_of", [KeyboardInterrupt, SystemExit], ids=lambda kind: kind.__name__)
def test_whoever_asks_is_interrupted(way, kind, fault, kind_of):
    """P9: the interruption goes on, whatever the store does; the effect stays unknown."""
    interrupt = kind_of("from outside")
    for life, found in lives(way, kind, fault, left=dead_owner(), answer=interrupt):
        assert found is interrupt if life.asked else is_told(found)
        life.answer = DontKnow()

        assert isinstance(life.call(), OutcomeUnknown)
        assert life.ran == 0


@attrs.frozen
class Interrupts(Fault):
    """The program is interrupted while the store is called."""

    def error(self):
        return KeyboardInterrupt("in the store")


INTERRUPTS = (Interrupts("interrupted before"), Interrupts("interrupted after", done=True))
EACH_INTERRUPT = pytest.mark.parametrize("fault", INTERRUPTS, ids=str)
#: In a task beside the call's, as an async store is called, asyncio ends itself at once.
EACH_INTERRUPTED_WAY = each_way(way for way in EACH if way != ("aonce on asyncio", AsyncFaulty))


@EACH_INTERRUPT
@EACH_INTERRUPTED_WAY
def test_an_interrupted_call(way, kind, fault):
    """P9: it goes on; what had not begun is free again, what ran is never repeated."""
    for life, found in lives(way, kind, fault):
        assert isinstance(found, KeyboardInterrupt)
        ran = life.ran
        second = life.call()

        assert life.ran == 1
        assert second == "receipt" or (ran and isinstance(second, OutcomeUnknown))


@EACH_INTERRUPT
@EACH_INTERRUPTED_WAY
def test_an_interrupted_question(way, kind, fault):
    """P9: whoever asked about a dead one's effect leaves it to be asked about again."""
    for life, found in lives(way, kind, fault, left=dead_owner(), answer=NotHappened()):
        assert isinstance(found, KeyboardInterrupt)
        assert life.call() == "receipt"
        assert life.ran == 1


@EACH_WAY
def test_a_refusal_is_final(way, kind):
    """What the store said no to is not sent again; what may be written is sent once more."""
    calls = {}
    for fault in FAULTS[:2]:
        life = Life(way, kind(fault, 2), ["receipt"])
        calls[fault.name] = life.call(), life.store.calls, life.site.entry(KEY)

    refused, (value, again, _) = calls["refuses"], calls["loses the request"]
    assert is_told(refused[0])
    # Read, the claim, and a look at whether it stands after all.
    assert refused[1:] == (3, None)
    assert not hasattr(refused[0], "__notes__")
    # Read, the claim twice, and the end.
    assert (value, again) == ("receipt", 4)


@EACH_FAULT
@EACH_WAY
def test_whoever_meets_anothers_claim(way, kind, fault):
    """It is told so, or that the store failed, and takes nothing from whoever is at it."""
    for life, found in lives(way, kind, fault, left=STRANGER):
        lapsed = fault.slow and isinstance(found, OutcomeUnknown)
        assert isinstance(found, EffectHeld) or lapsed or is_told(found)
        assert life.site.record(KEY).owner == STRANGER
        assert life.ran == 0
