# SPDX-License-Identifier: MIT
"""How stored records are written down, and read again.

A record's bytes read ``haltable 1 <crc32> <json>``: the format's number, a
checksum that finds damage (not forgery), and JSON that a person can read.  This
room knows no store and no rule.
"""

from __future__ import annotations

import functools
import json
import math
import zlib
from typing import Any, cast

import attrs

from haltable.errors import RecordError
from haltable.model import Ruling, Status
from haltable.records import Act, Apart, LoopRecord, Owner, Past, Running, StopRequest

__all__ = [
    "FORMAT",
    "Head",
    "decode_apart",
    "decode_loop",
    "decode_owner",
    "encode_apart",
    "encode_head",
    "encode_loop",
    "natural",
    "opened",
    "sealed",
    "seconds",
]

FORMAT = 1
# What `json.loads` ends at, without its search for white space, of which there is none.
_read = json.JSONDecoder().raw_decode
_quote = json.encoder.encode_basestring_ascii
# How the parts of a past read of which there is nothing to tell.
_NO_END = '"result":null,"result_lost":null,'
_NO_ERROR = '"error":null,"error_start":0,'
_UNSEEN = '"evidence":null,"evidence_start":0,'
_SEAL = b"haltable %d %%08x %%b%%b" % FORMAT


@attrs.frozen(slots=False)
class Head:
    """The part of a record's text that stays the same for many writes.

    Args:
        text: the bytes, from the first on.
        checksum: their checksum, which the rest's goes on from.
    """

    text: bytes
    checksum: int


def encode_head(past: Past, owner: Owner | None, writer: str) -> Head:
    """Returns the head of a record, for as long as these stay the same.

    Args:
        past: what changes seldom.
        owner: who holds the key.
        writer: the token of the run that writes; somebody who is no owner
            carries on the record's own.
    """
    # By hand, for it is written twice for each step: JSON's encoder takes three times as long.
    claimed = "null" if owner is None else _owner(owner)
    head = f'{{"past":{_past(past)},"writer":{_quote(writer)},"owner":{claimed},'.encode()
    return Head(head, zlib.crc32(head))


def encode_loop(record: LoopRecord, head: Head, serial: int) -> bytes:
    """Returns the record's bytes.

    Args:
        record: what to write.
        head: of the record's past, its owner and whoever writes, which the
            caller keeps as long as they stay the same objects.
        serial: the writing run's count of its writes; somebody who is no owner
            carries on the record's own.
    """
    running = record.running
    if running is None:
        claim = "null"
    else:
        pausing = "true" if running.pausing else "false"
        claim = f"[{running.lease!r},{running.start},{pausing}]"
    rest = (
        f'"epoch":{record.epoch},"starts":{record.starts},"failures":{record.failures},'
        f'"row":{record.row},"crashes":{record.crashes},"slips":{record.slips},'
        f'"elapsed":{record.elapsed!r},"wait":{record.wait!r},"extension":{record.extension},'
        f'"serial":{serial},"claim":{claim}}}'
    ).encode()
    return _SEAL % (zlib.crc32(rest, head.checksum), head.text, rest)


def _past(past: Past) -> str:
    ruling, stop, memory = past.ruling, past.stop, past.memory
    ruled, asked, history, ended, failed, seen = "null", "null", "[]", _NO_END, _NO_ERROR, _UNSEEN
    if ruling is not None:
        ruled = f"[{_quote(ruling.status)},{_quote(ruling.breaker)},{_quote(ruling.reason)}]"
    if stop is not None:
        asked = f"[{_quote(stop.by)},{_quote(stop.why)}]"
    if past.history:
        history = _text([attrs.astuple(act) for act in past.history])
    result, lost, error, evidence = past.result, past.result_lost, past.error, past.evidence
    if result is not None or lost is not None:
        ended = f'"result":{_perhaps(result)},"result_lost":{_perhaps(lost)},'
    if error is not None or past.error_start:
        failed = f'"error":{_perhaps(error)},"error_start":{past.error_start},'
    if evidence is not None or past.evidence_start:
        seen = f'"evidence":{_perhaps(evidence)},"evidence_start":{past.evidence_start},'
    remembered = '"{}"' if memory == "{}" else _quote(memory)
    return (
        f'{{"name":{_quote(past.name)},"ruling":{ruled},"stop":{asked},"history":{history},'
        f'{ended}{failed}{seen}"memory":{remembered},"limits":[{_limits(past.limits)}]}}'
    )


# A policy's, which all of its keys share.
@functools.lru_cache(maxsize=64)
def _limits(limits: tuple[tuple[str, str], ...]) -> str:
    return ",".join([f"[{_quote(what)},{_quote(limit)}]" for what, limit in limits])


def _owner(owner: Owner) -> str:
    return (
        f"[{_quote(owner.boot)},{_quote(owner.space)},{owner.pid},"
        f"{_quote(owner.born)},{_quote(owner.token)}]"
    )


def _perhaps(text: str | None) -> str:
    return "null" if text is None else _quote(text)


def decode_loop(value: bytes) -> LoopRecord:
    """Returns the record that the bytes hold.

    Raises:
        RecordError: if they are damaged or of another format.
    """
    data = opened(value)
    try:
        return LoopRecord(
            epoch=natural(data["epoch"]),
            starts=natural(data["starts"]),
            failures=natural(data["failures"]),
            row=natural(data["row"]),
            crashes=natural(data["crashes"]),
            slips=natural(data["slips"]),
            elapsed=seconds(data["elapsed"]),
            wait=seconds(data["wait"]),
            extension=natural(data["extension"]),
            writer=str(data["writer"]),
            serial=natural(data["serial"]),
            running=_decode_running([data["owner"], data["claim"]]),
            past=_decode_past(data["past"]),
        )
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise RecordError(f"the stored record is not a loop's: {error!r}") from error


def _decode_running(held: Any) -> Running | None:
    if held == [None, None]:
        return None
    owner, (lease, start, pausing) = held
    who = decode_owner(owner)
    if who is None:
        raise ValueError("a claim without an owner")
    return Running(who, seconds(lease), natural(start), bool(pausing))


def decode_owner(owner: Any) -> Owner | None:
    """Returns the owner whose fields these are, None for null.

    Raises:
        ValueError: if they are no owner's; a `TypeError` likewise.
    """
    if owner is None:
        return None
    boot, space, pid, born, token = owner
    return Owner(str(boot), str(space), natural(pid), str(born), str(token))


def _decode_past(data: Any) -> Past:
    ruling, stop = data["ruling"], data["stop"]
    return Past(
        name=str(data["name"]),
        ruling=None if ruling is None else _decode_ruling(*ruling),
        stop=None if stop is None else StopRequest(*stop),
        history=tuple(_decode_act(act) for act in data["history"]),
        result=data["result"],
        result_lost=data["result_lost"],
        error=data["error"],
        error_start=natural(data["error_start"]),
        evidence=data["evidence"],
        evidence_start=natural(data["evidence_start"]),
        memory=str(data["memory"]),
        limits=tuple((str(name), str(value)) for name, value in data["limits"]),
    )


def _decode_ruling(status: str, breaker: str, reason: str) -> Ruling:
    return Ruling(Status(status), breaker, reason)


def _decode_act(fields: Any) -> Act:
    act, by, why, at, epoch, starts, status, note = fields
    return Act(act, by, why, at, natural(epoch), natural(starts), Status(status), note)


def encode_apart(apart: Apart) -> bytes:
    """Returns the bytes of memory that is kept apart."""
    return sealed(_text({"name": apart.name, "epoch": apart.epoch, "memory": apart.memory}))


def decode_apart(value: bytes) -> Apart:
    """Returns the memory that the bytes hold.

    Raises:
        RecordError: if they are damaged or of another format.
    """
    data = opened(value)
    try:
        return Apart(str(data["name"]), natural(data["epoch"]), str(data["memory"]))
    except (KeyError, TypeError, ValueError) as error:
        raise RecordError(f"the stored memory cannot be read: {error!r}") from error


def sealed(text: str) -> bytes:
    """Returns the text as bytes, with format number and checksum before it."""
    body = text.encode()
    return _SEAL % (zlib.crc32(body), body, b"")


def opened(value: bytes) -> dict[str, Any]:
    """Returns the JSON object that was sealed.

    Raises:
        RecordError: if the bytes are damaged or of another format.
    """
    parts = value.split(b" ", 3)
    if len(parts) != 4 or parts[0] != b"haltable":
        raise RecordError(f"the stored record is no record of haltable's: {value[:40]!r}")
    if parts[1] != b"%d" % FORMAT:
        raise RecordError(
            f"the stored record has format {parts[1]!r}, this haltable reads {FORMAT}: "
            "upgrade it, or reset the key with the version that wrote it"
        )
    if parts[2] != b"%08x" % zlib.crc32(parts[3]):
        raise RecordError("the stored record is damaged: its checksum does not match")
    text = parts[3].decode()
    try:
        data, end = _read(text)
    except ValueError as error:
        raise RecordError(f"the stored record is no JSON: {error}") from error
    if not isinstance(data, dict) or end != len(text):
        raise RecordError("the stored record is not a JSON object")
    return cast("dict[str, Any]", data)


def _text(data: object) -> str:
    return json.dumps(data, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def natural(value: object) -> int:
    """Returns a count as it is.

    Raises:
        ValueError: if it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{value!r} is not a count")
    return value


def seconds(value: object) -> float:
    """Returns a duration.

    Raises:
        ValueError: if it is none.
    """
    # NaN compares with nothing: a deadline over it would never come.
    if not isinstance(value, (int, float)) or not 0 <= value < math.inf:
        raise ValueError(f"{value!r} is not a duration")
    return float(value)
