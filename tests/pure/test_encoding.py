# SPDX-License-Identifier: MIT
"""Stored records: what was written is what is read, or an error, never something else."""

from __future__ import annotations

import json
import zlib

import attrs
import pytest
from hypothesis import given, settings, strategies as st

from haltable.encoding import (
    FORMAT,
    decode_apart,
    decode_loop,
    encode_apart,
    encode_head,
    encode_loop,
    opened,
    sealed,
)
from haltable.errors import RecordError
from haltable.model import Ruling, Status
from haltable.records import Act, Apart, LoopRecord, Owner, Past, Running, StopRequest, new_record

COUNTS = st.integers(0, 10**12)
SECONDS = st.floats(0, 1e12)
WORDS = st.text(max_size=20)
#: What the kernel and `token_hex` give: printable, without quotes or backslashes.
TOKENS = st.text("0123456789abcdef-[]:pid", max_size=36)
OWNERS = st.builds(Owner, boot=TOKENS, space=TOKENS, pid=COUNTS, born=TOKENS, token=TOKENS)
RULINGS = st.builds(Ruling, st.sampled_from(Status), WORDS, WORDS)
ACTS = st.builds(
    Act,
    act=st.sampled_from(["stop", "reset", "extend"]),
    by=WORDS,
    why=WORDS,
    at=WORDS,
    epoch=COUNTS,
    starts=COUNTS,
    status=st.sampled_from(Status),
    note=WORDS,
)
PASTS = st.builds(
    Past,
    name=WORDS,
    ruling=st.none() | RULINGS,
    stop=st.none() | st.builds(StopRequest, WORDS, WORDS),
    history=st.lists(ACTS, max_size=3).map(tuple),
    result=st.none() | WORDS,
    result_lost=st.none() | WORDS,
    error=st.none() | WORDS,
    error_start=COUNTS,
    evidence=st.none() | WORDS,
    evidence_start=COUNTS,
    memory=WORDS,
    limits=st.lists(st.tuples(WORDS, WORDS), max_size=3).map(tuple),
)
RECORDS = st.builds(
    LoopRecord,
    *[COUNTS] * 6,
    elapsed=SECONDS,
    wait=SECONDS,
    extension=COUNTS,
    writer=TOKENS,
    serial=COUNTS,
    running=st.none()
    | st.builds(Running, owner=OWNERS, lease=SECONDS, start=COUNTS, pausing=st.booleans()),
    past=PASTS,
)
RECORD = attrs.evolve(
    new_record("report-42"),
    starts=3,
    failures=2,
    elapsed=12.5,
    writer="c0ffee",
    serial=7,
    running=Running(Owner("b-1", "pid:[4]", 77, "123", "c0ffee"), 60.0, 3),
    past=Past("report-42", history=(Act("stop", "ana", "why", "2026", 1, 3, Status.OPEN),)),
)


def written(record):
    """Returns the record's bytes, as its own writer writes them."""
    return signed(record, record.writer, record.serial)


def signed(record, writer, serial):
    """Returns the record's bytes, signed by whoever writes."""
    owner = None if record.running is None else record.running.owner
    return encode_loop(record, encode_head(record.past, owner, writer), serial)


def parts_of(value):
    """Returns the JSON of sealed bytes, to change something in it."""
    return json.loads(value.split(b" ", 3)[3])


def refused(value, decode=decode_loop):
    """Returns the error that the bytes get."""
    with pytest.raises(RecordError) as error:
        decode(value)
    return str(error.value)


# There and back ----------------------------------------------------------------------------------


@given(RECORDS)
def test_a_record_comes_back_as_it_was(record):
    """Whatever is in a record, reading gives the very same one."""
    assert decode_loop(written(record)) == record


@given(WORDS, COUNTS, WORDS)
def test_memory_kept_apart_comes_back_as_it_was(name, epoch, memory):
    """The same for memory that has a record of its own."""
    apart = Apart(name, epoch, memory)

    assert decode_apart(encode_apart(apart)) == apart


@given(RECORDS, TOKENS, COUNTS)
def test_whoever_writes_signs(record, writer, serial):
    """The signature is the writer's own, and all else stays."""
    value = signed(record, writer, serial)

    assert decode_loop(value) == attrs.evolve(record, writer=writer, serial=serial)


def test_a_record_can_be_read_by_people():
    """The bytes say whose they are, in which format, and hold plain JSON."""
    value = written(RECORD)
    head, data = value.split(b" ", 3)[:3], parts_of(value)

    assert head == [b"haltable", b"1", b"%08x" % zlib.crc32(value.split(b" ", 3)[3])]
    assert (data["starts"], data["owner"][2], data["past"]["name"]) == (3, 77, "report-42")
    assert value.isascii()


def test_a_new_record_counts_nothing():
    """A key that never started is in its first epoch, open, and held by nobody."""
    record = new_record("k")

    assert (record.epoch, record.starts, record.failures, record.elapsed) == (1, 0, 0, 0.0)
    assert (record.status, record.running, record.past) == (Status.OPEN, None, Past("k"))


@pytest.mark.parametrize("status", [status for status in Status if status.terminal])
def test_a_record_stands_as_it_was_ruled(status):
    """The status is the ruling's; nothing else says how a key stands."""
    past = attrs.evolve(RECORD.past, ruling=Ruling(status, "who", "why"))

    assert attrs.evolve(RECORD, past=past).status is status


def test_an_owner_reads_as_its_process():
    """A receipt says which process holds a key."""
    assert str(RECORD.running.owner) == "process 77"


# Damage ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "decode"),
    [(written(RECORD), decode_loop), (encode_apart(Apart("k", 3, '{"a":{}}')), decode_apart)],
)
def test_every_flipped_bit_is_found(value, decode):
    """No single bit can be wrong without an error."""
    for place in range(len(value)):
        for bit in range(8):
            damaged = bytearray(value)
            damaged[place] ^= 1 << bit
            refused(bytes(damaged), decode)


@pytest.mark.parametrize(
    ("value", "decode"),
    [(written(RECORD), decode_loop), (encode_apart(Apart("k", 3, '{"a":{}}')), decode_apart)],
)
def test_every_truncation_is_found(value, decode):
    """Bytes that were cut short, at either end, are no record."""
    for length in range(len(value)):
        refused(value[:length], decode)
        refused(value[len(value) - length :], decode)


@given(RECORDS, st.data())
@settings(max_examples=200)
def test_larger_damage_is_found(record, data):
    """A stretch that was overwritten is found, wherever it lies."""
    value = written(record)
    start = data.draw(st.integers(0, len(value) - 1))
    noise = data.draw(st.binary(min_size=1, max_size=4))
    damaged = value[:start] + noise + value[start + len(noise) :]

    assert damaged == value or refused(damaged)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_no_record(value):
    """What somebody else put under the key is refused, not understood."""
    refused(value)
    refused(value, decode_apart)


# Other formats -----------------------------------------------------------------------------------


def test_a_record_of_somebody_else_is_named():
    """The error shows how the bytes begin, so that one can tell whose they are."""
    assert refused(b'{"json": true}') == (
        "the stored record is no record of haltable's: b'{\"json\": true}'"
    )


def test_a_record_of_another_format_says_what_to_do():
    """A newer format is no damage: the way out is an upgrade."""
    value = written(RECORD).replace(b"haltable 1 ", b"haltable 2 ", 1)

    assert refused(value) == (
        "the stored record has format b'2', this haltable reads 1: "
        "upgrade it, or reset the key with the version that wrote it"
    )
    assert FORMAT == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[1]", "is not a JSON object"),
        ("3", "is not a JSON object"),
        ("{", "is no JSON"),
        ('{"a": tru}', "is no JSON"),
    ],
)
def test_sealed_nonsense_is_refused(text, words):
    """A right checksum over the wrong text is still no record."""
    with pytest.raises(RecordError, match=words):
        opened(sealed(text))


@pytest.mark.parametrize("decode", [decode_loop, decode_apart])
def test_a_record_of_the_other_kind_is_refused(decode):
    """A loop's record is no memory, and the other way round."""
    other = {decode_apart: written(RECORD), decode_loop: encode_apart(Apart("k", 1, "{}"))}

    assert "the stored" in refused(other[decode], decode)


@pytest.mark.parametrize("name", parts_of(written(RECORD)))
def test_a_record_with_a_part_missing_is_refused(name):
    """No part has a value that could stand for its absence."""
    data = parts_of(written(RECORD))
    del data[name]

    assert "is not a loop's" in refused(sealed(json.dumps(data)))


@pytest.mark.parametrize(
    "name", ["epoch", "starts", "failures", "row", "crashes", "slips", "extension", "serial"]
)
@pytest.mark.parametrize("value", [-1, 1.5, True, "3", None])
def test_a_count_is_a_whole_number(name, value):
    """A negative, broken or boolean count is refused: no cap may be compared with it."""
    data = {**parts_of(written(RECORD)), name: value}

    assert "is not a count" in refused(sealed(json.dumps(data)))


@pytest.mark.parametrize("name", ["elapsed", "wait"])
@pytest.mark.parametrize("value", ["soon", None, [], float("nan"), float("inf"), -1.0])
def test_a_duration_is_a_finite_number(name, value):
    """A duration that nothing can be compared with is refused, too."""
    data = {**parts_of(written(RECORD)), name: value}

    assert "is not a loop's" in refused(sealed(json.dumps(data)))


@pytest.mark.parametrize(
    ("owner", "claim"),
    [
        ([], [60.0, 1, False]),
        (["b", "s", 1, "n", "t"], []),
        (["b", "s", 1, "n", "t"], None),
        (None, [60.0, 1, False]),
        (["b"] * 5, [60.0, 1, False]),
        (["b", "s", -1, "n", "t"], [60.0, 1, False]),
        (["b", "s", 1, "n", "t"], ["x", 1, False]),
        (["b", "s", 1, "n", "t"], [float("nan"), 1, False]),
        (7, [60.0, 1, False]),
        (["b", "s", 1, "n", "t"], 7),
    ],
)
def test_a_claim_is_whole(owner, claim):
    """A claim with something missing or out of range would hold a key for nobody."""
    data = {**parts_of(written(RECORD)), "owner": owner, "claim": claim}

    assert "is not a loop's" in refused(sealed(json.dumps(data)))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ruling", ["finished", "who", "why"]),
        ("ruling", ["open"]),
        ("stop", ["ana"]),
        ("history", [["stop"]]),
        ("history", [["stop", "ana", "why", "2026", -1, 3, "open", ""]]),
        ("limits", [["starts"]]),
        ("error_start", -1),
    ],
)
def test_a_past_is_whole(name, value):
    """A verdict or an act that cannot be understood is no reason to go on."""
    data = parts_of(written(RECORD))
    data["past"][name] = value

    assert "is not a loop's" in refused(sealed(json.dumps(data)))


def test_memory_with_a_part_missing_is_refused():
    """Memory belongs to a key and an epoch, or to nobody."""
    assert "the stored memory cannot be read" in refused(sealed("{}"), decode_apart)
    bad = sealed('{"name":"k","epoch":-1,"memory":"{}"}')
    assert "the stored memory cannot be read" in refused(bad, decode_apart)
