# SPDX-License-Identifier: MIT
"""What a store holds of an effect, as values, and how that is written down.

A record knows nothing of who may change it: the rules are in
``haltable.effect_ledger``.
"""

from __future__ import annotations

import json
from typing import Any, cast

import attrs

from haltable.effects import EffectState
from haltable.encoding import decode_owner, natural, opened, sealed, seconds
from haltable.errors import RecordError
from haltable.records import Owner

__all__ = [
    "EffectAct",
    "EffectFault",
    "EffectRecord",
    "decode_effect",
    "encode_effect",
]


@attrs.frozen
class EffectFault:
    """An exception as it is stored: never the object itself, so that reading it imports nothing.

    Args:
        type: its class, as the module and the qualified name.
        message: its text.
        data: its arguments as JSON text, None if they are none.
    """

    type: str
    message: str
    data: str | None = None


@attrs.frozen
class EffectAct:
    """One thing that somebody other than an owner decided about an effect.

    Args:
        act: ``done``, ``failed``, ``free`` or ``reconciled``.
        by: who.
        why: why.
        at: the wall-clock time as ISO text; shown, never compared.
    """

    act: str
    by: str
    why: str
    at: str


@attrs.frozen(slots=False)
class EffectRecord:
    """Everything a store holds of one effect.

    Args:
        namespace: the guard's.
        key: the effect's.
        state: how it stands.
        owner: who is at it, or was last; None if nobody ever was.
        lease: seconds after the last write for which the owner's claim holds.
        suspect: while a reconciler holds the claim, the owner whose attempt is in question.
        fingerprint: of the payload; None if it is not checked.
        checked: what the fingerprint was made of: ``payload``, ``arguments`` or ``nothing``.
        attempts: how often it was claimed to be run.
        result: what it returned, as JSON text; None if there is none.
        result_lost: why there is no result although it was done.
        fault: why it failed for good.
        reason: why it is unknown.
        retention: seconds after its end for which it is replayed; None for ever.
        loop: the key or name of the loop that it last ran in.
        history: what operators and reconcilers decided, oldest first.
        writer: the token of the claim that wrote last.
        serial: that claim's count of its writes.
    """

    namespace: str
    key: str
    state: EffectState
    owner: Owner | None = None
    lease: float = 0.0
    suspect: Owner | None = None
    fingerprint: str | None = None
    checked: str = "nothing"
    attempts: int = 0
    result: str | None = None
    result_lost: str | None = None
    fault: EffectFault | None = None
    reason: str | None = None
    retention: float | None = None
    loop: str | None = None
    history: tuple[EffectAct, ...] = ()
    writer: str = ""
    serial: int = 0


def encode_effect(record: EffectRecord) -> bytes:
    """Returns the record's bytes."""
    plain = dict(vars(record))
    plain["owner"] = record.owner and attrs.astuple(record.owner)
    plain["suspect"] = record.suspect and attrs.astuple(record.suspect)
    plain["fault"] = record.fault and attrs.astuple(record.fault)
    plain["history"] = [attrs.astuple(act) for act in record.history]
    return sealed(json.dumps(plain, separators=(",", ":"), allow_nan=False))


def decode_effect(value: bytes) -> EffectRecord:
    """Returns the record that the bytes hold.

    Raises:
        RecordError: if they are damaged or of another format.
    """
    data = opened(value)
    try:
        return EffectRecord(
            namespace=str(data["namespace"]),
            key=str(data["key"]),
            state=EffectState(data["state"]),
            owner=decode_owner(data["owner"]),
            lease=seconds(data["lease"]),
            suspect=decode_owner(data["suspect"]),
            fingerprint=_text(data["fingerprint"]),
            checked=str(data["checked"]),
            attempts=natural(data["attempts"]),
            result=_text(data["result"]),
            result_lost=_text(data["result_lost"]),
            fault=None if data["fault"] is None else EffectFault(*_texts(data["fault"])),
            reason=_text(data["reason"]),
            retention=None if data["retention"] is None else seconds(data["retention"]),
            loop=_text(data["loop"]),
            history=tuple(EffectAct(*_texts(act)) for act in data["history"]),
            writer=str(data["writer"]),
            serial=natural(data["serial"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise RecordError(f"the stored record is not an effect's: {error!r}") from error


def _text(value: object) -> str | None:
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{value!r} is no text")
    return value


def _texts(values: Any) -> tuple[Any, ...]:
    return tuple(_text(value) for value in cast("list[object]", values))
