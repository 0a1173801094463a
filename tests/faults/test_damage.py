# SPDX-License-Identifier: MIT
"""P7: a record that was damaged is never read as another one, and never as none."""

from __future__ import annotations

import random

import attrs
import pytest

from haltable import (
    Breaker,
    ExitCondition,
    IterationCap,
    Loop,
    LoopHalted,
    MemoryStore,
    Operator,
    remembered,
)
from haltable._watch import shared
from haltable.conditions import never
from haltable.encoding import RecordError, decode_apart, decode_loop
from haltable.records import LoopRecord
from tests.faults.ways import WAYS

KEY = "job"
RECORD, APART = f"haltable/loop/{KEY}", f"haltable/apart/{KEY}"
CAP = 4
EACH_WAY = pytest.mark.parametrize("way", WAYS)
EACH_KEY = pytest.mark.parametrize("key", [RECORD, APART], ids=["record", "apart"])


@attrs.define
class Remembering(Breaker):
    """A breaker with a memory that is kept apart."""

    seen: list[int] = remembered(factory=list, apart=True)

    def after(self, iteration):
        self.seen = [*self.seen, iteration.starts]


def loop_on(store):
    """The loop of these tests; only its cap ends it."""
    never_done = ExitCondition(success=never)
    return Loop(IterationCap(CAP), Remembering(), never_done, key=KEY, store=store)


@pytest.fixture
def store():
    """A store with a key that has begun and is free, and an operator's act in its history."""
    store, bodies = MemoryStore(), []

    def body(iteration):
        bodies.append(1)
        if len(bodies) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        loop_on(store).run(body)
    Operator(store).extend(KEY, starts=1, by="ana", why="so that there is a history")
    return store


def put(store, key, value):
    """Writes what is no record's business to write."""
    entry = store.read(key)
    store.write(key, value, expected=0 if entry is None else entry.version)


def flipped(value, bit):
    """The bytes with one bit turned over."""
    damaged = bytearray(value)
    damaged[bit // 8] ^= 1 << bit % 8
    return bytes(damaged)


def check_refused(store, key, damaged, carry):
    """Holds a run over a damaged record to ending at once, in words, with nothing touched."""
    put(store, key, damaged)
    bodies = []
    report = carry(loop_on(store), lambda: bodies.append(1))

    assert (report.status, report.breaker, report.durable) == ("open", "store", False)
    assert (report.ran, bodies) == (False, [])
    with pytest.raises(LoopHalted) as halted:
        report.unwrap()
    assert isinstance(halted.value.__cause__, RecordError)
    assert store.read(key).value == damaged
    assert not shared.tokens()


@EACH_KEY
def test_each_flipped_bit_is_found(store, key):
    """P7: whichever bit of a stored record turns over, the record is unreadable, in one way."""
    value, decode = store.read(key).value, decode_loop if key == RECORD else decode_apart

    assert isinstance(decode_loop(store.read(RECORD).value), LoopRecord)
    for bit in range(8 * len(value)):
        with pytest.raises(RecordError):
            decode(flipped(value, bit))


@EACH_KEY
def test_each_cut_is_found(store, key):
    """P7: a record that was cut short anywhere is unreadable, too."""
    value, decode = store.read(key).value, decode_loop if key == RECORD else decode_apart

    for length in range(len(value)):
        with pytest.raises(RecordError):
            decode(value[:length])


@EACH_KEY
@EACH_WAY
def test_a_damaged_record_starts_nothing(store, key, way):
    """P7: over damage no body starts in any way in; once it is mended, the key goes on."""
    value, chance = store.read(key).value, random.Random(7)
    for _ in range(4):
        check_refused(store, key, flipped(value, chance.randrange(8 * len(value))), WAYS[way])
    for strange in (b"", b"\x00" * 64, value + b" ", b"haltable 2 00000000 {}", value[::-1]):
        check_refused(store, key, strange, WAYS[way])
    put(store, key, value)
    report = WAYS[way](loop_on(store), lambda: None)

    assert (report.status, report.starts) == ("tripped", CAP + 1)


@EACH_WAY
def test_damaged_under_its_feet(store, way):
    """P7: a run that finds its record damaged ends in words, and starts nothing more."""
    bodies, value = [], []

    def body():
        bodies.append(1)
        if len(bodies) == 2:
            value.append(store.read(RECORD).value)
            put(store, RECORD, flipped(value[0], 700))

    report = WAYS[way](loop_on(store), body)

    assert (report.status, report.breaker, report.durable) == ("open", "store", False)
    assert isinstance(report.error, RecordError)
    assert len(bodies) == 2
    check_refused(store, RECORD, store.read(RECORD).value, WAYS[way])
    put(store, RECORD, value[0])
    last = WAYS[way](loop_on(store), body)
    assert (last.status, last.starts) == ("tripped", CAP + 1)
    assert len(bodies) == CAP + 1 - 2


def test_an_operator_sees_damage_and_not_zero(store):
    """P7: for an operator, too, a damaged record is an error in words, and one key's only."""
    ops = Operator(store)
    put(store, RECORD, flipped(store.read(RECORD).value, 700))

    with pytest.raises(RecordError, match="damaged"):
        ops.show(KEY)
    with pytest.raises(RecordError, match="damaged"):
        ops.stop(KEY, by="ana", why="because")
    [state] = ops.list()
    assert (state.key, state.status) == (KEY, "open")
    assert "damaged" in state.reason
