# SPDX-License-Identifier: MIT
"""Rule 1 between hosts: who holds a key there is judged by the server's clock, and by nothing else.

The hosts are processes in PID namespaces of their own, in which each is number
1, and the clocks of which the tests shift.
"""

from __future__ import annotations

import time
import uuid

import pytest

from haltable import ExitCondition, IterationCap, Loop, LoopBusy, Operator
from haltable.conditions import never
from tests.fleet.hosts import DAY, host

LEASE = 1.5
#: Renewals that a holder makes in more than one lease.
RENEWALS = 4
#: What the age of a record may be off by when it is asked for, and when it is judged.
EARLY, LATE = 0.05, 20.0


@pytest.fixture
def key():
    """A key that no other test uses."""
    return uuid.uuid4().hex


def record_of(store, key):
    """The key's record, and when it was asked for, by a clock that nobody shifts."""
    asked = time.monotonic()
    return store.read(f"haltable/loop/{key}"), asked


def next_record(store, key, entry):
    """Waits until the record is another one; returns it likewise."""
    limit = time.monotonic() + 60
    while True:
        found, asked = record_of(store, key)
        if found.version != entry.version:
            return found, asked
        assert time.monotonic() < limit


@pytest.mark.parametrize(("holder", "asker"), [(1, -1), (-1, 1)], ids=["ahead", "behind"])
def test_clocks_that_are_two_days_apart_change_nothing(place, key, holder, asker):
    """A holder whose clocks are a day off keeps its key while it lives, and for its lease then."""
    with (
        place.open() as store,
        host("hold", place, key, lease=LEASE, days=holder) as held,
    ):
        _, *_, wall, steady = held.hear()
        assert held.hear() == ["holding"]
        with host("ask", place, key, lease=LEASE, days=asker) as asked:
            _, *_, other_wall, other_steady = asked.hear()
            busy, left = asked.hear()
            entry, _ = record_of(store, key)
            for _ in range(RENEWALS):
                entry, _ = next_record(store, key, entry)
            while_it_lived = Operator(store).show(key)
            held.kill()
            last, before = record_of(store, key)
            taken, after = next_record(store, key, last)
            granted, starts, failures, refusals = asked.hear()

    for mine, other in ((wall, other_wall), (steady, other_steady)):
        assert float(mine) - float(other) == pytest.approx((holder - asker) * DAY, abs=60)
    assert (busy, 0 < float(left) <= LEASE) == ("busy", True)
    assert (while_it_lived.starts, while_it_lived.crashes) == (1, 0)
    assert LEASE - EARLY <= last.age + (after - before) - taken.age <= LEASE + LATE
    assert (granted, starts, failures) == ("granted", "2", "1")
    assert int(refusals) > 1


def test_an_owner_in_another_pid_namespace_is_not_taken_for_dead(place, key):
    """Two hosts' processes with one boot and one number are not each other, and not dead."""
    with place.open() as store, host("hold", place, key, lease=60) as held:
        _, boot, space, pid, *_ = held.hear()
        assert held.hear() == ["holding"]
        with host("ask", place, key, lease=60) as asked:
            _, other_boot, other_space, other_pid, *_ = asked.hear()
            busy, left = asked.hear()
        loop = Loop(IterationCap(5), ExitCondition(success=never), key=key, store=store)
        with pytest.raises(LoopBusy) as here:
            loop.step(lambda: None)
        # Whom nobody here can see is not known to be dead when it is, either.
        held.kill()
        with pytest.raises(LoopBusy):
            loop.step(lambda: None)

    assert (boot, pid, space != other_space) == (other_boot, other_pid, True)
    assert pid == "1"
    assert (busy, 30 < float(left) <= 60, 30 < here.value.lease_left <= 60) == ("busy", True, True)
