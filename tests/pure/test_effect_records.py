# SPDX-License-Identifier: MIT
"""Effect records: what was written is what is read, or an error, never something else."""

from __future__ import annotations

import json

import attrs
import pytest
from hypothesis import given, strategies as st

from haltable.effect_records import (
    EffectAct,
    EffectFault,
    EffectRecord,
    decode_effect,
    encode_effect,
)
from haltable.effects import EffectState
from haltable.encoding import opened, sealed
from haltable.errors import RecordError
from haltable.records import Owner, changed

COUNTS = st.integers(0, 10**12)
SECONDS = st.floats(0, 1e12)
WORDS = st.text(max_size=20)
#: What the kernel and `token_hex` give: printable, without quotes or backslashes.
TOKENS = st.text("0123456789abcdef-[]:pid", max_size=36)
OWNERS = st.builds(Owner, boot=TOKENS, space=TOKENS, pid=COUNTS, born=TOKENS, token=TOKENS)
RECORDS = st.builds(
    EffectRecord,
    namespace=WORDS,
    key=WORDS,
    state=st.sampled_from(EffectState),
    owner=st.none() | OWNERS,
    lease=SECONDS,
    suspect=st.none() | OWNERS,
    fingerprint=st.none() | WORDS,
    checked=st.sampled_from(["payload", "arguments", "nothing"]),
    attempts=COUNTS,
    result=st.none() | WORDS,
    result_lost=st.none() | WORDS,
    fault=st.none() | st.builds(EffectFault, WORDS, WORDS, st.none() | WORDS),
    reason=st.none() | WORDS,
    retention=st.none() | SECONDS,
    loop=st.none() | WORDS,
    history=st.lists(st.builds(EffectAct, WORDS, WORDS, WORDS, WORDS), max_size=3).map(tuple),
)
OWNER = Owner("b-1", "pid:[4]", 77, "123", "c0ffee")
SUSPECT = Owner("b-1", "pid:[4]", 78, "123", "decaf")
RECORD = EffectRecord(
    "shop",
    "charge:7",
    EffectState.FAILED,
    OWNER,
    60.0,
    SUSPECT,
    fingerprint="abc",
    checked="payload",
    attempts=2,
    result='"a \\"receipt\\""',
    result_lost="it is too long",
    fault=EffectFault("bank.Declined", "no funds", "[402]"),
    reason="its owner is dead",
    retention=3600.0,
    loop="report-42",
    history=(EffectAct("failed", "ana", "the bank says so", "2026-11-23T10:00:00+00:00"),),
    writer="c0ffee",
    serial=3,
)


@given(RECORDS, TOKENS, COUNTS)
def test_what_is_written_is_read(record, writer, serial):
    """Every field survives, and the record names who wrote it last."""
    found = decode_effect(encode_effect(record, writer, serial))

    assert found == attrs.evolve(record, writer=writer, serial=serial)


def test_what_a_record_reads_like():
    """The stored format, to the letter: other versions and other processes read it too."""
    assert opened(encode_effect(RECORD, "c0ffee", 3)) == {
        "namespace": "shop",
        "key": "charge:7",
        "state": "failed",
        "checked": "payload",
        "attempts": 2,
        "lease": 60.0,
        "writer": "c0ffee",
        "serial": 3,
        "fingerprint": "abc",
        "result": '"a \\"receipt\\""',
        "result_lost": "it is too long",
        "reason": "its owner is dead",
        "loop": "report-42",
        "owner": ["b-1", "pid:[4]", 77, "123", "c0ffee"],
        "suspect": ["b-1", "pid:[4]", 78, "123", "decaf"],
        "retention": 3600.0,
        "fault": ["bank.Declined", "no funds", "[402]"],
        "history": [["failed", "ana", "the bank says so", "2026-11-23T10:00:00+00:00"]],
    }


def test_what_is_none_is_left_out():
    """A short record costs a short write."""
    record = EffectRecord("", "k", EffectState.FREE)
    value = encode_effect(record, "", 0)

    assert value.partition(b"{")[2] == (
        b'"namespace":"","key":"k","state":"free","checked":"nothing","attempts":0,"lease":0.0,'
        b'"writer":"","serial":0}'
    )
    assert decode_effect(value) == record


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("state", "finished"),
        ("state", None),
        ("namespace", 7),
        ("key", None),
        ("owner", ["b-1", "pid:[4]"]),
        ("owner", 7),
        ("suspect", ["b-1", "pid:[4]", -1, "123", "c0ffee"]),
        ("lease", "long"),
        ("lease", -1),
        ("retention", None),
        ("attempts", -1),
        ("attempts", True),
        ("attempts", 1.5),
        ("serial", "3"),
        ("writer", None),
        ("result", {"receipt": 1}),
        ("reason", 7),
        ("fault", []),
        ("fault", ["kind", "words", "data", "more"]),
        ("fault", [7, "words"]),
        ("history", [["done", "ana"]]),
        ("history", [["done", "ana", "why", 7]]),
        ("history", 7),
        ("another field", 1),
    ],
)
def test_a_field_that_cannot_be_right(field, value):
    """Whatever passes the checksum and is no effect's is an error, never a guess."""
    data = {**opened(encode_effect(RECORD, "c0ffee", 3)), field: value}
    with pytest.raises(RecordError, match="not an effect's"):
        decode_effect(sealed(json.dumps(data)))


@pytest.mark.parametrize("field", ["namespace", "key", "state"])
def test_a_field_that_is_missing(field):
    """A record without a name or a state is an error."""
    data = opened(encode_effect(RECORD, "c0ffee", 3))
    del data[field]
    with pytest.raises(RecordError, match="not an effect's"):
        decode_effect(sealed(json.dumps(data)))


def test_damage_is_an_error():
    """No flipped bit and no cut makes another record of one."""
    value = encode_effect(RECORD, "c0ffee", 3)
    damaged = [value[:end] for end in range(len(value))]
    damaged += [value[:i] + bytes([value[i] ^ 1]) + value[i + 1 :] for i in range(len(value))]
    for each in damaged:
        with pytest.raises(RecordError):
            decode_effect(each)


def test_a_changed_record_leaves_the_old_one():
    """It is what attrs would make, and what it was made of stays as it is."""
    before = attrs.evolve(RECORD)
    found = changed(RECORD, state=EffectState.DONE, fault=None)

    assert found == attrs.evolve(RECORD, state=EffectState.DONE, fault=None)
    assert before == RECORD
