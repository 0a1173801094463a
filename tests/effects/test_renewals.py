# SPDX-License-Identifier: MIT
"""Rule 8: an effect that takes its time keeps its claim, for as long as its guard allows."""

from __future__ import annotations

import functools
import threading

import anyio
import anyio.to_thread
import pytest

from haltable import EffectHeld, IdempotencyGuard, LeaseLost, Operator, OutcomeUnknown, _watch
from haltable.effects import EffectState
from haltable.testing import FakeClock
from tests.effects.sites import Site, store_key
from tests.faults.faulty import DOWN, AsyncFaulty, Faulty

KEY = "charge:7"
LEASE = 60.0
#: Seconds after which a test that hangs fails.
LIMIT = 30
#: Readings of the clock within which a whole renewal is begun and ended.
READINGS = 4
EACH = (
    ("once", Faulty),
    ("aonce on asyncio", Faulty),
    ("aonce on trio", Faulty),
    ("aonce on asyncio", AsyncFaulty),
    ("aonce on trio", AsyncFaulty),
)


class Clock(FakeClock):
    """The guard's clock, which while an effect runs only those read who renew its lease."""

    def __init__(self):
        super().__init__()
        self.readings = 0
        self.read = threading.Condition()

    def now(self):
        with self.read:
            self.readings += 1
            self.read.notify_all()
        return super().now()

    def wait_for(self, more):
        """Waits until it was read so many times more."""
        with self.read:
            wanted = self.readings + more
            assert self.read.wait_for(lambda: self.readings >= wanted, LIMIT), "nobody looked"


class Long:
    """A way to call an effect that is under way while others look after its claim."""

    def __init__(self, way, store):
        self.way, self.store, self.clock = way, store, Clock()
        self.site = Site(way, store, store.inner, self.advance)

    def advance(self, seconds):
        """Moves both clocks; nobody renews before the guard's has been moved."""
        self.store.clock.advance(seconds)
        self.clock.advance(seconds)

    @property
    def age(self):
        """How many seconds ago the record was written."""
        return self.store.inner.read(store_key(KEY)).age

    def call(self, script, **options):
        """Calls an effect that is a generator: at each yield it waits for those who renew."""
        guard = self.site.guard(lease=LEASE, clock=self.clock, **options)
        if self.way == "once":
            return guard.once(KEY, functools.partial(self.carry, script))
        call = functools.partial(guard.aonce, KEY, functools.partial(self.acarry, script))
        return anyio.run(call, backend=self.way.rpartition(" ")[2])

    def carry(self, script):
        for _ in script():
            self.clock.wait_for(READINGS)
        return "receipt"

    async def acarry(self, script):
        for _ in script():
            await anyio.to_thread.run_sync(self.clock.wait_for, READINGS)
        return "receipt"

    def contend(self):
        """Has somebody else call the effect; returns what that one is told."""
        other = IdempotencyGuard(store=self.store.inner)
        try:
            return other.once(KEY, lambda: "another receipt")
        except (EffectHeld, OutcomeUnknown) as error:
            return type(error)


@pytest.fixture(params=EACH, ids=[f"{way}, {kind.__name__}" for way, kind in EACH])
def long(request, monkeypatch):
    """Each way to call an effect, looked after many times a second."""
    monkeypatch.setattr(_watch, "INTERVAL", 0.001)
    monkeypatch.setattr(_watch.shared, "_interval", 0.001)
    way, kind = request.param
    return Long(way, kind(None, 0))


def test_a_long_effect_keeps_its_claim(long):
    """However often its lease would have lapsed, whoever comes meanwhile finds it held."""
    found = []

    def script():
        for _ in range(6):
            long.advance(LEASE / 2)
            yield
            found.append((long.age, long.contend()))

    assert long.call(script) == "receipt"
    assert found == [(0.0, EffectHeld)] * 6
    assert long.site.record(KEY).state is EffectState.DONE


def test_a_lease_is_renewed_after_a_third(long):
    """Before that nothing is written: a short effect costs two writes."""
    ages = []

    def script():
        for seconds in (LEASE / 3 - 1, 1):
            long.advance(seconds)
            yield
            ages.append(long.age)

    assert long.call(script) == "receipt"
    assert ages == [LEASE / 3 - 1, 0.0]


def test_what_hangs_is_not_renewed_for_ever(long):
    """Past ``max_hold`` the lease lapses and others may say so; its end still counts."""
    found = []

    def script():
        for seconds in (LEASE, LEASE, LEASE):
            long.advance(seconds)
            yield
            found.append((long.age, long.contend()))

    assert long.call(script, max_hold=LEASE * 1.5) == "receipt"
    assert found == [(0.0, EffectHeld), (LEASE, OutcomeUnknown), (LEASE, OutcomeUnknown)]
    assert long.contend() == "receipt"


def test_a_store_that_is_down_for_a_while(long, caplog):
    """A renewal that fails is logged and tried again; the effect goes on."""
    ages = []

    def script():
        for fault, at in ((DOWN[0], long.store.calls + 1), (None, 0)):
            long.store.fault, long.store.at = fault, at
            long.advance(LEASE / 2)
            yield
            ages.append(long.age)

    assert long.call(script) == "receipt"
    assert ages == [LEASE / 2, 0.0]
    why = "Broken: the connection was reset"
    assert {record.getMessage() for record in caplog.records} == {
        f"effect {KEY!r}: could not look at its record: writing {store_key(KEY)!r} failed: {why}"
    }


def test_what_was_decided_is_not_renewed(long):
    """A renewal that meets an operator's word changes nothing, and the owner is told at its end."""
    versions = []

    def script():
        long.store.clock.advance(LEASE + 1)
        Operator(long.store.inner).resolve(KEY, "done", by="ana", why="seen")
        versions.append(long.site.entry(KEY))
        for _ in range(2):
            long.clock.advance(LEASE)
            yield
            versions.append(long.site.entry(KEY))

    with pytest.raises(LeaseLost, match="done by ana: seen"):
        long.call(script)

    assert versions == [versions[0]] * 3 == [long.site.entry(KEY)] * 3
