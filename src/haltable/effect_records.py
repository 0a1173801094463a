# SPDX-License-Identifier: MIT
"""What a store holds of an effect, as values, and how that is written down.

A record knows nothing of who may change it: the rules are in
``haltable.effect_ledger``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

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


def encode_effect(record: EffectRecord, writer: str, serial: int) -> bytes:
    """Returns the record's bytes, of which those fields are left out that have their first value.

    Args:
        record: what to write.
        writer: the token of the claim that writes; somebody who has none
            carries on the record's own.
        serial: that claim's count of its writes, likewise.
    """
    # By hand, for it is written twice for each effect: JSON's encoder takes five times as long.
    parts = [
        (
            f'"namespace":{_quote(record.namespace)},"key":{_quote(record.key)},'
            f'"state":"{record.state.value}","checked":{_quote(record.checked)},'
            f'"attempts":{record.attempts},"lease":{record.lease!r},'
            f'"writer":"{writer}","serial":{serial}'
        )
    ]
    for name in _TEXTS:
        value = getattr(record, name)
        if value is not None:
            parts.append(f'"{name}":{_quote(value)}')
    owner = record.owner
    if owner is not None:
        parts.append(f'"owner":{_owner(owner)}')
    if record.suspect is not None:
        parts.append(f'"suspect":{_owner(record.suspect)}')
    if record.retention is not None:
        parts.append(f'"retention":{record.retention!r}')
    if record.fault is not None:
        parts.append(f'"fault":{json.dumps(attrs.astuple(record.fault))}')
    if record.history:
        parts.append(f'"history":{json.dumps([attrs.astuple(act) for act in record.history])}')
    return sealed(f"{{{','.join(parts)}}}")


def decode_effect(value: bytes) -> EffectRecord:
    """Returns the record that the bytes hold.

    Raises:
        RecordError: if they are damaged or of another format.
    """
    try:
        fields = {name: _DECODERS[name](raw) for name, raw in opened(value).items()}
        return EffectRecord(**fields)
    except (KeyError, TypeError, ValueError) as error:
        raise RecordError(f"the stored record is not an effect's: {error!r}") from error


def _owner(owner: Owner) -> str:
    # Its texts come from the kernel and from `token_hex`: no quotes.
    return f'["{owner.boot}","{owner.space}",{owner.pid},"{owner.born}","{owner.token}"]'


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _texts(values: Any) -> tuple[Any, ...]:
    return tuple(None if value is None else _text(value) for value in values)


_quote = json.encoder.encode_basestring_ascii
_TEXTS = ("fingerprint", "result", "result_lost", "reason", "loop")
_DECODERS: dict[str, Callable[[Any], Any]] = {
    "namespace": _text,
    "key": _text,
    "state": EffectState,
    "owner": decode_owner,
    "lease": seconds,
    "suspect": decode_owner,
    "fingerprint": _text,
    "checked": _text,
    "attempts": natural,
    "result": _text,
    "result_lost": _text,
    "fault": lambda raw: EffectFault(*_texts(raw)),
    "reason": _text,
    "retention": seconds,
    "loop": _text,
    "history": lambda raw: tuple(EffectAct(*_texts(act)) for act in raw),
    "writer": _text,
    "serial": natural,
}
