# SPDX-License-Identifier: MIT
"""One key, several runs, and whatever can befall them: the promises hold at every write.

Runs of this process and of elsewhere begin, work, pause, leave, crash and come
back after their lease; operators stop, reset and extend; the store loses
requests and replies, refuses, and lets others in between.
"""

from __future__ import annotations

import attrs
import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from haltable import _book, _claim_sync, interventions, ledger
from haltable.model import Outcome
from tests.machines.world import BEFALLS, BrokenPromise, World

ENDS = {"returned": None, "failed": ValueError("no"), "transient": TimeoutError("slow")}
OUTCOMES = st.lists(st.sampled_from([*ENDS, "returned"]), min_size=1, max_size=3)
#: What befalls the calls of the store in one step, one after the other.
FATES = st.just([]) | st.lists(st.sampled_from(BEFALLS), min_size=1, max_size=4)
PAST = st.sampled_from([1.0, 25.0, 59.0, 61.0, 1000.0])


class Keys(RuleBasedStateMachine):
    """Everything that may happen to one key, in any order."""

    world: World

    @initialize(pausing=st.booleans())
    def begin(self, pausing):
        self.world = World(pausing=pausing)

    def teardown(self):
        try:
            self.world.recover()
        finally:
            self.world.close()

    @property
    def busy(self):
        """Those whose body has control."""
        return [actor for actor in self.world.actors if actor.iteration is not None]

    def pick(self, number):
        """Returns one of those whose body has control."""
        return self.busy[number % len(self.busy)]

    @precondition(lambda self: len(self.world.actors) < 3)
    @rule(remote=st.booleans(), fate=FATES)
    def somebody_comes(self, remote, fate):
        self.world.schedule = fate
        self.world.proceed(self.world.begin(remote=remote))

    @precondition(lambda self: self.busy)
    @rule(number=st.integers(0, 2), outcomes=OUTCOMES, fate=FATES)
    def bodies_end(self, number, outcomes, fate):
        actor = self.pick(number)
        self.world.schedule = fate
        for outcome in outcomes:
            if actor.iteration is not None:
                self.world.proceed(actor, ENDS[outcome])

    @precondition(lambda self: self.busy)
    @rule(number=st.integers(0, 2), fate=FATES)
    def a_body_is_left(self, number, fate):
        self.world.schedule = fate
        self.world.leave(self.pick(number))

    @precondition(lambda self: self.busy)
    @rule(number=st.integers(0, 2), seconds=PAST)
    def somebody_crashes(self, number, seconds):
        self.world.crash(self.pick(number))
        self.world.clock.advance(seconds)

    @precondition(lambda self: self.busy)
    @rule(number=st.integers(0, 2), seconds=PAST, fate=FATES)
    def the_watcher_looks(self, number, seconds, fate):
        self.world.clock.advance(seconds)
        self.world.schedule = fate
        self.world.look(self.pick(number))

    @precondition(lambda self: self.busy)
    @rule(seconds=PAST)
    def a_body_takes_its_time(self, seconds):
        self.world.clock.advance(seconds)

    @precondition(lambda self: self.world.record is not None)
    @rule(act=st.sampled_from(["reset", "extend", "stop"]), fate=FATES)
    def an_operator_acts(self, act, fate):
        self.world.schedule = fate
        self.world.operate(act)


def live(examples, *, steps=30, phases=tuple(Phase)):
    """Lives so many lives, always the same ones."""
    run_state_machine_as_test(
        Keys,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            derandomize=True,
            deadline=None,
            phases=phases,
            print_blob=False,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_the_promises_hold():
    """Whatever happens in whatever order, no promise of a key is broken."""
    live(250)


# The machine has teeth: each rule of the ledger, broken once -------------------------------------

RIGHT = {name: getattr(ledger, name) for name in ledger.__all__}
ACTS = {name: getattr(interventions, name) for name in interventions.__all__}


def uncounted(record, owner, **claim):
    """A start that is claimed and not counted."""
    return attrs.evolve(RIGHT["charged"](record, owner, **claim), starts=record.starts)


def unleased(record, owner, *, lease, elapsed):
    """A start whose claim lapses at once."""
    return RIGHT["charged"](record, owner, lease=0.0, elapsed=elapsed)


def impatient(record, *, age, dead):
    """Who would like to start does not wait for a lease."""
    return RIGHT["admit"](record, age=age, dead=True)


def undeterred(record, *, age, dead):
    """A key that has ended is taken for an open one."""
    reopened = attrs.evolve(record.past, ruling=None)
    return RIGHT["admit"](attrs.evolve(record, past=reopened), age=age, dead=dead)


def forgiving(record, *, age, dead):
    """A run that died in its body has not crashed."""
    found = RIGHT["admit"](record, age=age, dead=dead)
    if isinstance(found, ledger.Left):
        return attrs.evolve(found, record=attrs.evolve(record, running=None))
    return found


def refreshing(record, age):
    """An operator's act begins the lease anew."""
    return record


def evicting(record, act, *, age):
    """A reset takes the key from the run that holds it."""
    return attrs.evolve(ACTS["reset"](record, act, age=age), running=None)


def nostalgic(record, act, *, age):
    """A reset keeps what breakers remember."""
    found = ACTS["reset"](record, act, age=age)
    return attrs.evolve(found, past=attrs.evolve(found.past, memory=record.past.memory))


def generous(record, act, *, starts, age):
    """An extension forgets the starts so far."""
    return attrs.evolve(ACTS["extended"](record, act, starts=starts, age=age), starts=0)


def strict(record, outcome, **ending):
    """A transient counts as a failure."""
    outcome = Outcome.FAILED if outcome is Outcome.TRANSIENT else outcome
    return RIGHT["settled"](record, outcome, **ending)


def restless(record, owner, *, lease, pausing):
    """A pause is recorded as a body."""
    return RIGHT["held"](record, owner, lease=lease, pausing=False)


def overlooking(one):
    """Returns a look at a claim that overlooks one standing."""

    def standing(record, **known):
        found = RIGHT["standing"](record, **known)
        return ledger.MINE if found is one else found

    return standing


Standing = ledger.Standing
#: What is replaced by what, and the promise that is the first to break.
PLANTED = [
    (ledger, "charged", uncounted, "P2: charged before it runs"),
    (ledger, "charged", unleased, "rule 1: no two bodies of a key"),
    (ledger, "settled", strict, "only failures count"),
    (ledger, "held", restless, "rule 5: a pause is told from a body"),
    (_claim_sync, "admit", impatient, "rule 1: nobody else writes a held key"),
    (_claim_sync, "admit", undeterred, "P3: terminal absorbs"),
    (_claim_sync, "admit", forgiving, "a body that was left has crashed"),
    (_book, "is_written", lambda record, **mine: False, "P1: a charge a body|only failures count"),
    (_book, "is_written", lambda record, **mine: True, "rule 4: what was written is known"),
    (_book, "standing", overlooking(Standing.RESET), "in its epoch|of this epoch|after a stop"),
    (
        _book,
        "standing",
        overlooking(Standing.TAKEN),
        "P2: charged|claimed by its owner|left has crashed",
    ),
    (_book, "standing", overlooking(Standing.STOP_ASKED), "rule 3: nothing starts after a stop"),
    (interventions, "_kept", refreshing, "only its owner refreshes a lease"),
    (interventions, "reset", evicting, "an operator keeps the claim"),
    (interventions, "reset", nostalgic, "memory is of this epoch"),
    (interventions, "extended", generous, "starts come one by one"),
]


@pytest.mark.one_python
@pytest.mark.parametrize(("where", "name", "wrong", "promised"), PLANTED)
def test_a_broken_rule_is_found(where, name, wrong, promised, monkeypatch):
    """A ledger that breaks one rule breaks the promise that the rule is there for."""
    monkeypatch.setattr(where, name, wrong)

    # A few need a rare order of things, some hundred lives away; the search ends at the first.
    with pytest.raises(BrokenPromise, match=promised):
        live(5000, phases=(Phase.generate,))
