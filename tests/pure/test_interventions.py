# SPDX-License-Identifier: MIT
"""An operator's acts on records: stop, reset, extend, and what they leave alone."""

from __future__ import annotations

import math

import attrs
import pytest

from haltable.interventions import extended, reset, stop_requested, stopped_by
from haltable.ledger import Free, Held, Left, Standing, Terminal, admit, standing
from haltable.model import Ruling, Status
from haltable.records import Act, Owner, Past, Running, StopRequest, new_record

ME = Owner("boot", "pid:[1]", 7, "100", "mine")
EARLIER = Act("reset", "bob", "again", "2026-01-01", 1, 9, Status.TRIPPED)
ACT = Act("stop", "ana", "runaway", "2026-01-02", 2, 3, Status.OPEN)
TRIP = Ruling(Status.TRIPPED, "IterationCap", "all 3 starts are used")
FREE = attrs.evolve(
    new_record("k"),
    epoch=2,
    starts=3,
    failures=2,
    row=2,
    crashes=1,
    slips=4,
    elapsed=20.0,
    wait=30.0,
    extension=5,
    writer="mine",
    serial=5,
    past=Past(
        "k",
        history=(EARLIER,),
        result="3",
        result_lost="why",
        error="OSError",
        error_start=2,
        evidence="rows",
        evidence_start=1,
        memory='{"CostCap":{"spent":3.0}}',
        limits=(("starts", "3"),),
    ),
)
BUSY = attrs.evolve(FREE, wait=0.0, running=Running(ME, 60.0, 3))
PAUSING = attrs.evolve(FREE, running=Running(ME, 60.0, 3, pausing=True))


def ended(record):
    """Returns the record after a verdict."""
    return attrs.evolve(record, running=None, wait=0.0, past=attrs.evolve(record.past, ruling=TRIP))


# Stop --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("record", "age", "dead"),
    [(FREE, 0.0, False), (BUSY, 60.0, False), (BUSY, 0.0, True), (PAUSING, 60.0, False)],
)
def test_a_stop_ends_a_key_that_nobody_holds(record, age, dead):
    """Free, left by a dead run, or lapsed: the key is stopped at once, with who and why."""
    found = stop_requested(record, ACT, age=age, dead=dead)

    assert found.past.ruling == Ruling(Status.STOPPED, "operator", "stopped by ana: runaway")
    assert (found.running, found.wait, found.past.stop) == (None, 0.0, None)
    assert found.past.history == (EARLIER, ACT)
    assert isinstance(admit(found, age=0.0, dead=False), Terminal)


@pytest.mark.parametrize("record", [BUSY, PAUSING])
def test_a_stop_asks_the_run_that_holds_the_key(record):
    """Its owner obeys: the key stays open until then, and its claim stays whole."""
    found = stop_requested(record, ACT, age=10.0, dead=False)

    assert found.past.stop == StopRequest("ana", "runaway")
    assert (found.status, found.past.history) == (Status.OPEN, (EARLIER, ACT))
    assert standing(found, token=ME.token, epoch=2, starts=3) is Standing.STOP_ASKED


def test_a_stop_of_an_ended_key_changes_no_verdict():
    """The first verdict stands, also against an operator."""
    found = stop_requested(ended(FREE), ACT, age=0.0, dead=False)

    assert found.past.ruling == TRIP


def test_a_stop_is_a_ruling_with_a_name():
    """Whoever obeys the request says the same as the record does."""
    assert stopped_by("ana", "runaway") == Ruling(
        Status.STOPPED, "operator", "stopped by ana: runaway"
    )


# Reset -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("record", [FREE, BUSY, PAUSING, ended(FREE)])
def test_a_reset_begins_an_epoch(record):
    """Counts, memory, evidence, time and verdict are as at the beginning; history stays."""
    found = reset(record, ACT, age=0.0)

    assert found == attrs.evolve(
        new_record("k"),
        epoch=3,
        writer="mine",
        serial=5,
        running=record.running,
        past=Past("k", history=(EARLIER, ACT), limits=(("starts", "3"),)),
    )


def test_a_reset_frees_nobodys_claim():
    """The run that holds the key keeps it, learns of the reset, and gives it back."""
    found = reset(BUSY, ACT, age=0.0)

    assert admit(found, age=0.0, dead=False) == Held(ME, 60.0)
    assert standing(found, token=ME.token, epoch=2, starts=3) is Standing.RESET


def test_a_reset_after_a_crash_counts_no_crash():
    """What died belonged to the epoch before: the new one begins with nothing."""
    found = admit(reset(BUSY, ACT, age=0.0), age=0.0, dead=True)

    assert isinstance(found, Left)
    assert (found.crashed, found.record.failures, found.record.row) == (False, 0, 0)


# Extend ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("record", [FREE, BUSY, PAUSING, ended(FREE)])
def test_an_extension_reopens_the_same_epoch(record):
    """More starts, no row of failures, no verdict; all else that was counted stays."""
    found = extended(record, ACT, starts=30, age=0.0)

    assert found == attrs.evolve(
        record,
        extension=35,
        row=0,
        slips=0,
        wait=0.0,
        past=attrs.evolve(
            record.past, ruling=None, history=(EARLIER, ACT), result=None, result_lost=None
        ),
    )


def test_an_extension_takes_back_a_stop():
    """Who gives more starts wants the key to go on."""
    asked = stop_requested(BUSY, ACT, age=0.0, dead=False)

    assert extended(asked, ACT, starts=1, age=0.0).past.stop is None


def test_an_extended_key_may_start_at_once():
    """A wait that was asked for is over."""
    found = admit(extended(FREE, ACT, starts=1, age=0.0), age=0.0, dead=False)

    assert isinstance(found, Free)
    assert found.wait == 0.0


# Leases ------------------------------------------------------------------------------------------


ACTS = [
    lambda record, age: stop_requested(record, ACT, age=age, dead=False),
    lambda record, age: reset(record, ACT, age=age),
    lambda record, age: extended(record, ACT, starts=1, age=age),
]


@pytest.mark.parametrize("act", ACTS, ids=["stop", "reset", "extend"])
@pytest.mark.parametrize("record", [BUSY, PAUSING])
@pytest.mark.parametrize("age", [0.0, 0.5, 30.0, 59.0])
def test_no_act_refreshes_a_lease(act, record, age):
    """The store's age begins again at each write, so what has passed is taken off the lease."""
    found = act(record, age)

    assert found.running == attrs.evolve(record.running, lease=60.0 - age)


@pytest.mark.parametrize("act", ACTS[1:], ids=["reset", "extend"])
@pytest.mark.parametrize("age", [60.0, 10**9, math.inf])
def test_a_lapsed_lease_stays_lapsed(act, age):
    """An act on a record whose lease is over leaves a lease of nothing, not a negative one."""
    found = act(BUSY, age)

    assert found.running.lease == 0.0
    assert isinstance(admit(found, age=0.0, dead=False), Left)


@pytest.mark.parametrize("act", ACTS, ids=["stop", "reset", "extend"])
@pytest.mark.parametrize("record", [BUSY, PAUSING, FREE])
def test_no_act_signs_for_the_owner(act, record):
    """Writer and serial are carried on, so an owner still recognizes its own last write."""
    found = act(record, 1.0)

    assert (found.writer, found.serial) == ("mine", 5)


def test_a_wait_goes_on_under_an_act():
    """Asking a pausing run to stop neither lengthens its pause nor loses live seconds."""
    found = stop_requested(PAUSING, ACT, age=10.0, dead=False)

    assert (found.wait, found.elapsed) == (20.0, 20.0)


def test_live_seconds_between_steps_are_not_lost():
    """An extension of a key that waits between steps counts the seconds that have passed."""
    assert extended(FREE, ACT, starts=1, age=10.0).elapsed == 30.0
