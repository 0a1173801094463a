# SPDX-License-Identifier: MIT
"""The rules over effect records, as pure functions: from a record to the next.

Every write is one of these applied to the very record that it replaces.  This
room does no I/O and reads no clock: ages and deaths come in as arguments.

The theory.  An effect is *free*, *claimed*, *done*, *failed* or *unknown*:

    free  --claim-->  claimed  --finish-->  done | failed | unknown, or --release--> free
    claimed, its owner dead or its lease lapsed  --doubt-->  unknown
    unknown  --question-->  claimed by a reconciler  --its answer-->  done | claimed anew | unknown
    unknown  --its own owner's finish, an operator-->  done | failed | free

A claim says that the effect may have begun: there is no second write at its
start, for that could not narrow the gap between the effect and its record.  A
lapsed lease is permission to ask, never proof that nothing happened or will.
"""

from __future__ import annotations

import enum
import math
from typing import TypeAlias

import attrs

from haltable.effect_records import EffectAct, EffectFault, EffectRecord
from haltable.effects import EffectState, Semantics
from haltable.records import Owner, changed

__all__ = [
    "Answer",
    "Busy",
    "Finished",
    "InDoubt",
    "Mismatch",
    "Open",
    "Request",
    "Tenure",
    "claimed",
    "doubted",
    "finished",
    "in_question",
    "is_purgeable",
    "is_written",
    "look",
    "questioned",
    "released",
    "renewed",
    "resolved",
    "tenure",
]


@attrs.frozen(slots=False)
class Request:
    """What somebody who calls an effect asks for.

    Args:
        namespace: the guard's.
        key: the effect's.
        fingerprint: of the payload; None if it is not checked.
        checked: what the fingerprint was made of.
        semantics: what may follow a claim that has lapsed.
        attempts: how often it may be claimed at most, where a claim may be repeated.
        retention: seconds after its end for which it is replayed; None for ever.
        loop: the loop that it runs in, None without one.
    """

    namespace: str
    key: str
    fingerprint: str | None
    checked: str
    semantics: Semantics
    attempts: int
    retention: float | None
    loop: str | None

    def permits_another(self, attempts: int) -> bool:
        """Says whether an attempt whose end nobody knows may be followed by another."""
        return self.semantics == "at_least_once" and attempts < self.attempts


@attrs.frozen
class Mismatch:
    """The key was used with another payload; nothing may change."""

    record: EffectRecord


@attrs.frozen
class Finished:
    """It is over: what is stored is replayed."""

    record: EffectRecord


@attrs.frozen
class Busy:
    """Somebody else is at it.

    Args:
        record: what the store holds.
        owner: who is at it.
        left: seconds until that one's lease lapses.
    """

    record: EffectRecord
    owner: Owner
    left: float


@attrs.frozen
class InDoubt:
    """Nobody knows whether it has happened.

    Args:
        record: as unknown, with its reason.
        stored: whether the store says so already.
    """

    record: EffectRecord
    stored: bool


@attrs.frozen
class Open:
    """It may be claimed.

    Args:
        record: what to go on from; None if there is none.
    """

    record: EffectRecord | None


Answer: TypeAlias = Mismatch | Finished | Busy | InDoubt | Open


def look(record: EffectRecord | None, request: Request, *, age: float, dead: bool) -> Answer:
    """Says how an effect stands for somebody who calls it.

    Args:
        record: what the store holds, None if nothing.
        request: what is asked for.
        age: seconds since it was written, by the store's clock.
        dead: whether its owner is known to be dead on this host.
    """
    if record is None:
        return Open(None)
    if _is_over(record, age):
        return Open(_forgotten(record))
    known, asked = record.fingerprint, request.fingerprint
    if known is not None and asked is not None and known != asked:
        return Mismatch(record)
    if record.state.finished:
        return Finished(record)
    if record.state is EffectState.FREE:
        return Open(record)
    return _look_at_attempt(record, request, age, dead=dead)


def _look_at_attempt(record: EffectRecord, request: Request, age: float, *, dead: bool) -> Answer:
    doubt = in_question(record, age=age, dead=dead)
    if doubt.state is EffectState.CLAIMED and doubt.owner is not None:
        return Busy(record, doubt.owner, record.lease - age)
    if request.permits_another(record.attempts):
        return Open(changed(doubt, state=EffectState.FREE))
    return InDoubt(doubt, stored=doubt is record)


def in_question(record: EffectRecord, *, age: float, dead: bool) -> EffectRecord:
    """Returns a claim that is none any more as what it is, unknown; anything else as it is."""
    if record.state is not EffectState.CLAIMED or not (dead or age >= record.lease):
        return record
    why = f"{record.owner} is dead" if dead else f"the lease of {record.owner} has lapsed"
    return doubted(record, f"{why}, and it did not say how the effect ended")


def _is_over(record: EffectRecord, age: float) -> bool:
    """Says whether an effect is known to be past its retention; another boot's age is not known."""
    if not record.state.finished or record.retention is None:
        return False
    return record.retention <= age < math.inf


def _forgotten(record: EffectRecord) -> EffectRecord:
    """Returns an effect past its retention: a new chain, whose attempts begin anew."""
    return EffectRecord(
        record.namespace, record.key, EffectState.FREE, record.owner, history=record.history
    )


def claimed(
    record: EffectRecord | None, request: Request, owner: Owner, *, lease: float
) -> EffectRecord:
    """Claims an effect that is open, for one attempt."""
    base = record or EffectRecord(request.namespace, request.key, EffectState.FREE)
    return changed(
        base,
        state=EffectState.CLAIMED,
        owner=owner,
        suspect=None,
        lease=lease,
        fingerprint=request.fingerprint or base.fingerprint,
        checked=request.checked if request.fingerprint is not None else base.checked,
        attempts=base.attempts + 1,
        result=None,
        result_lost=None,
        fault=None,
        reason=None,
        retention=request.retention,
        loop=request.loop,
    )


def doubted(record: EffectRecord, reason: str) -> EffectRecord:
    """Makes an effect unknown; its owner, or the one in question, may still finish it."""
    return changed(
        record,
        state=EffectState.UNKNOWN,
        owner=record.suspect or record.owner,
        suspect=None,
        lease=0.0,
        reason=reason,
    )


def questioned(record: EffectRecord, reconciler: Owner, *, lease: float) -> EffectRecord:
    """Claims an unknown effect for whoever asks the outside; the attempt stays in question."""
    return changed(
        record,
        state=EffectState.CLAIMED,
        owner=reconciler,
        suspect=record.owner,
        lease=lease,
    )


def renewed(record: EffectRecord, *, lease: float) -> EffectRecord:
    """Renews the owner's lease."""
    return changed(record, lease=lease)


def finished(
    record: EffectRecord,
    *,
    result: str | None = None,
    result_lost: str | None = None,
    fault: EffectFault | None = None,
) -> EffectRecord:
    """Ends an effect: failed with a fault, done without."""
    return changed(
        record,
        state=EffectState.DONE if fault is None else EffectState.FAILED,
        owner=None,
        suspect=None,
        lease=0.0,
        result=result,
        result_lost=result_lost,
        fault=fault,
        reason=None,
    )


def released(record: EffectRecord) -> EffectRecord:
    """Gives an effect back that certainly did nothing; the attempt stays counted."""
    return changed(record, state=EffectState.FREE, owner=None, suspect=None, lease=0.0, reason=None)


def resolved(
    record: EffectRecord, act: EffectAct, *, result: str | None = None, message: str = ""
) -> EffectRecord:
    """Ends an unknown effect as somebody says who has looked: done, failed or free."""
    history = (*record.history, act)
    if act.act == "free":
        return changed(released(record), history=history)
    fault = EffectFault("operator", message) if act.act == "failed" else None
    return changed(finished(record, result=result, fault=fault), history=history)


class Tenure(enum.Enum):
    """What the holder of a claim finds when it looks at the record again."""

    #: The claim stands.
    MINE = "mine"
    #: Somebody thought that it had lapsed, and nobody has decided since: it may be finished still.
    DOUBTED = "doubted"
    #: Somebody asks the outside about it just now: it may be finished still.
    QUESTIONED = "questioned"
    #: It was resolved, or taken.
    LOST = "lost"


def tenure(record: EffectRecord | None, token: str) -> Tenure:
    """Says how a claim stands.

    Args:
        record: what the store holds now.
        token: the claim's own.
    """
    if record is None or record.owner is None:
        return Tenure.LOST
    mine, claimed_now = record.owner.token == token, record.state is EffectState.CLAIMED
    if mine and claimed_now:
        # Also of one that asks about itself, after a claim of which it was told nothing.
        return Tenure.MINE
    if record.suspect is not None and record.suspect.token == token:
        return Tenure.QUESTIONED if claimed_now else Tenure.LOST
    return Tenure.DOUBTED if mine and record.state is EffectState.UNKNOWN else Tenure.LOST


def is_written(record: EffectRecord | None, *, token: str, serial: int) -> bool:
    """Says whether a write of mine, whose reply was lost, was done after all."""
    return record is not None and record.writer == token and record.serial >= serial


def is_purgeable(record: EffectRecord, *, age: float, older_than: float) -> bool:
    """Says whether an effect may be forgotten: finished, and past its retention."""
    return _is_over(record, age) and age >= older_than
