# SPDX-License-Identifier: MIT
"""What others do to the memory that is kept apart from a key's record, while a run keeps it."""

from __future__ import annotations

import contextvars

import pytest

from haltable import MemoryStore, Operator
from haltable._watch import shared
from haltable.encoding import decode_apart
from haltable.errors import RecordError
from haltable.stores import Conflict
from haltable.testing import FakeClock
from tests.faults.points import (
    CAP,
    KEY,
    AsyncPointedStore,
    PointedStore,
    Points,
    bare_loop,
    pointed_loop,
)
from tests.faults.ways import ASYNC, BARE, ONE_RUN, SYNC, WAYS

RECORD, APART = f"haltable/loop/{KEY}", f"haltable/apart/{KEY}"
EACH = (
    [(way, PointedStore) for way in SYNC]
    + [(way, AsyncPointedStore) for way in ASYNC]
    + [(way, PointedStore) for way in BARE]
)
EACH_WAY = pytest.mark.parametrize(("way", "kind"), EACH, ids=[way for way, _ in EACH])


class Life:
    """A key in memory, to whose apart record something happens just before a write of it."""

    def __init__(self, carry, kind, act, *, number=2, inner=None):
        self.inner, self.carry = inner or MemoryStore(), carry
        self.bodies = []
        points = Points(number, "apart sent", act=lambda: act(self), note=lambda name: None)
        self.loop = pointed_loop(points, kind(self.inner, points))

    def run(self):
        return self.carry(self.loop, lambda: self.bodies.append("ours"))

    def kept(self):
        """What the breaker's large memory holds, as it is stored."""
        return decode_apart(self.inner.read(APART).value).memory

    @property
    def state(self):
        return Operator(self.inner).show(KEY)


def delete(life):
    """Somebody tidies up."""
    life.inner.delete(APART, expected=life.inner.read(APART).version)


def touch(life):
    """Somebody puts a backup of it back, the very same bytes."""
    entry = life.inner.read(APART)
    life.inner.write(APART, entry.value, expected=entry.version)


@EACH_WAY
@pytest.mark.parametrize("act", [delete, touch])
def test_memory_that_somebody_else_wrote_is_written_over(way, kind, act):
    """Who holds the key keeps its memory: what it knows is stored, whatever lay there."""
    plain = Life(WAYS[way], kind, lambda life: None)
    plain.run()
    life = Life(WAYS[way], kind, act)
    report = life.run()

    assert (report.status, report.starts, report.durable) == ("tripped", CAP, True)
    assert life.kept() == plain.kept()
    assert not shared.tokens()


@EACH_WAY
def test_memory_that_is_damaged_is_not_written_over(way, kind):
    """P7: damage ends the run where it is found, and stays there to be looked at."""

    def damage(life):
        entry = life.inner.read(APART)
        life.inner.write(APART, b"damaged" + entry.value, expected=entry.version)

    life = Life(WAYS[way], kind, damage)
    report = life.run()

    assert (report.status, report.breaker, report.durable) == ("open", "store", False)
    assert isinstance(report.error, RecordError)
    assert life.inner.read(APART).value.startswith(b"damaged")
    assert not shared.tokens()


@EACH_WAY
def test_memory_of_a_key_that_was_taken_is_left_to_who_has_it(way, kind):
    """Rule 1: a run whose lease lapsed just then writes nothing more, and charges nothing more."""
    clock = FakeClock()

    def take(life):
        clock.advance(60)
        contextvars.Context().run(bare_loop(life.inner).step, lambda: life.bodies.append("theirs"))
        life.left = life.inner.read(RECORD), life.inner.read(APART)

    inner = MemoryStore(clock=clock.now)
    life = Life(ONE_RUN[way], kind, take, number=1, inner=inner)
    report = life.run()

    assert (report.status, report.breaker, report.durable) == ("open", "run", False)
    assert "lost the key" in report.reason
    assert (life.inner.read(RECORD), life.inner.read(APART)) == life.left
    assert not shared.tokens()


class Stubborn(MemoryStore):
    """A store that refuses each write of what lies apart, and shows no reason."""

    refused = 0

    def write(self, key, value, *, expected):
        if key == APART:
            self.refused += 1
            return Conflict(self.read(key))
        return super().write(key, value, expected=expected)


@EACH_WAY
def test_a_store_that_refuses_the_memory_without_a_reason_is_a_fault(way, kind):
    """P5, P7: it is asked a few times and not for ever; the key stays open, the start counted."""
    stubborn, bodies = Stubborn(), []
    points = Points(act=lambda: None, note=lambda name: None)
    loop = pointed_loop(points, kind(stubborn, points))
    report = ONE_RUN[way](loop, lambda: bodies.append(1))
    state = Operator(stubborn).show(KEY)

    assert stubborn.refused == 8
    assert (report.status, report.breaker, report.durable) == ("open", "store", False)
    assert "refused 8 writes in a row" in report.reason
    assert (state.status, len(bodies)) == ("open", state.starts - 1)
    assert not shared.tokens()
