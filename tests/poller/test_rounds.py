# SPDX-License-Identifier: MIT
"""The poller's memory by itself: which key is attempted in which round, without any clock."""

from __future__ import annotations

import math

import pytest

from haltable import LoopBusy, MemoryStore, Status, StoreError
from haltable._rounds import LOOK_AGAIN, SLIPS, Rounds
from tests.poller.sources import Attempts, policy

BUSY = LoopBusy("k", "somebody", 5)


@pytest.fixture
def rounds():
    """Rounds of ten seconds that begin at zero."""
    return Rounds(every=10, seconds=math.inf, now=0)


def reported(outcome, **options):
    """Returns the report of a step that ended so."""
    act = Attempts(*(["k"] if outcome == "failed" else []))
    return policy(**options).with_(key="k").step(act, "k")


class Burning(MemoryStore):
    """A store that fails."""

    def read(self, key):
        raise StoreError("the disk is on fire")

    def write(self, key, value, *, expected):
        raise StoreError("the disk is on fire", outcome="refused")


def wanted(rounds, *moments):
    """Says at which of the moments the key is wanted."""
    found = []
    for moment in moments:
        if rounds.wants("k", moment):
            found.append(moment)
            rounds.landed("k", BUSY, moment)
    return found


def test_a_key_in_the_air_is_not_attempted_again(rounds):
    """Until it lands it is not wanted, whatever the time."""
    rounds.asked(single=False)

    assert rounds.wants("k", 0)
    assert not rounds.wants("k", 99)
    assert rounds.report(99).in_air == 1


def test_a_busy_key_waits_for_the_next_round(rounds):
    """Once a round it is tried whether somebody still holds it."""
    assert wanted(rounds, 0, 1, 9, 10, 11, 19, 20) == [0, 10, 20]
    assert rounds.report(20).busy == 3


@pytest.mark.parametrize(("delay", "due"), [(0, 10), (4, 10), (33, 33)])
def test_an_open_key_waits_for_its_delay_and_the_next_round(rounds, delay, due):
    """Whichever is later."""
    rounds.wants("k", 0)
    rounds.landed("k", reported("failed", delay=delay), 0)

    assert wanted(rounds, due - 1, due) == [due]


@pytest.mark.parametrize("outcome", [None, ValueError("no such loop")])
def test_an_ended_or_refused_key_is_looked_at_later(rounds, outcome):
    """It keeps nobody busy, and is not forgotten."""
    rounds.asked(single=False)
    rounds.wants("k", 0)
    rounds.landed("k", outcome or reported("done"), 0)
    rounds.asked(single=False)

    assert not rounds.wants("k", LOOK_AGAIN - 1)
    assert rounds.pause(LOOK_AGAIN - 1, 0.5) > 0
    assert rounds.report(LOOK_AGAIN - 1).idle
    assert rounds.wants("k", LOOK_AGAIN)


def test_a_source_of_single_tasks_is_asked_until_it_repeats_itself(rounds):
    """In each round what it hands out for nothing is news once."""
    rounds.wants("k", 0)
    rounds.landed("k", BUSY, 0)
    pauses = []
    for moment in (1, 2):
        rounds.asked(single=True)
        rounds.wants("k", moment)
        pauses.append(rounds.pause(moment, 0.5))
    rounds.wants("k", 10)
    rounds.landed("k", BUSY, 10)
    rounds.asked(single=True)
    rounds.wants("k", 11)

    assert pauses == [0, 8]
    assert rounds.pause(11, 0.5) == 0


def test_a_good_step_ends_the_row_of_spoilt_rounds(rounds):
    """Only rounds in a row that the store has spoilt end a poller."""
    fault = reported("done", store=Burning())
    for _ in range(2):
        for moment in range(SLIPS - 1):
            rounds.landed("k", fault, moment)
            assert rounds.pause(moment, 0.5) > 0
        rounds.landed("k", reported("done"), SLIPS)

    assert not rounds.over(SLIPS)
    for moment in range(SLIPS):
        rounds.landed("k", fault, moment)
        rounds.pause(moment, 0.5)
    assert rounds.over(SLIPS)
    assert rounds.report(SLIPS).breaker == "store"


def test_a_whole_answer_ends_the_row_of_broken_ones(rounds):
    """Only answers in a row that broke off are too many."""
    error = OSError("lost")
    broke = [rounds.broke(error) for _ in range(SLIPS - 1)]
    rounds.read()

    assert not any(broke)
    assert [rounds.broke(error) for _ in range(SLIPS)] == [False] * (SLIPS - 1) + [True]


def test_the_first_end_stands(rounds):
    """What ends it later changes nothing, and neither does time."""
    rounds.end(Status.STOPPED, "stop", "enough", 3)
    rounds.end(Status.TRIPPED, "ready", "gone", 4)

    assert rounds.over(5)
    assert (rounds.report(9).reason, rounds.report(9).elapsed) == ("enough", 3)


def test_the_skips_are_what_cannot_be_attempted_now(rounds):
    """Keys in the air and keys that wait, and no others."""
    rounds.wants("k", 0)
    rounds.landed("k", BUSY, 0)
    rounds.wants("other", 0)

    assert rounds.skips(1) == {"k", "other"}
    assert rounds.skips(10) == {"other"}
