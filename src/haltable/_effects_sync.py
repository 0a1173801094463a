# SPDX-License-Identifier: MIT
"""Carries out one call of an effect, calling: the twin of ``_effects_async``.

Nothing is decided here: the effect ledger says how an effect stands and what is
written; this reads, writes, runs and asks, in that order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from haltable import _effect_ports_sync as ports, effect_ledger as ledger
from haltable._effect_call import EffectCall
from haltable.effect_ledger import Answer, Busy, Finished, InDoubt, Mismatch, Tenure
from haltable.effect_records import EffectRecord
from haltable.effects import DontKnow, EffectState, Happened, NotHappened, NothingHappened
from haltable.errors import EffectHeld, OutcomeUnknown, StoreError, in_words
from haltable.store import Conflict, Entry

__all__ = ["carry_out", "renew"]

#: How often a refused write is answered with a record that is older than mine.
_STALE_READS = 8
#: How a claim must stand for somebody who asks about another's attempt, or goes on waiting.
_CLAIM = (Tenure.MINE,)
#: How it may stand for the owner, who alone knows how its own attempt ended.
_OWN = (Tenure.MINE, Tenure.DOUBTED, Tenure.QUESTIONED)


def carry_out(call: EffectCall) -> Any:
    """Does an effect, or replays what it did.

    Raises:
        PayloadMismatch: if its key was used with another payload.
        EffectHeld: if somebody else is at it.
        OutcomeUnknown: if nobody knows whether it has happened.
        EffectFailed: if it failed for good.
        ResultNotStored: if it was done and its result was not kept.
        LeaseLost: if it was decided without this call while it ran.
    """
    while True:
        answer = look(call)
        if isinstance(answer, Mismatch):
            raise call.mismatch()
        if isinstance(answer, Finished):
            return call.replay(answer.record)
        if isinstance(answer, Busy):
            if call.policy.on_held == "skip":
                return None
            if call.policy.on_held == "raise" or ports.is_held_here(call):
                raise EffectHeld(call.key, str(answer.owner), answer.left)
            ports.rest(call, answer.left)
            continue
        with ports.alive(call, renew):
            settled, value = attempt(call, answer)
        if settled:
            return value


def look(call: EffectCall) -> Answer:
    """Reads how the effect stands."""
    entry = ports.read(call)
    call.see(entry)
    record = call.record
    held = record is not None and record.state is EffectState.CLAIMED
    dead = held and record is not None and ports.is_dead(record.owner)
    age = 0.0 if entry is None else entry.age
    return ledger.look(record, call.request, age=age, dead=dead)


def attempt(call: EffectCall, answer: InDoubt | ledger.Open) -> tuple[bool, Any]:
    """Claims the effect and runs it, or asks about it; False if somebody was quicker."""
    if isinstance(answer, InDoubt):
        return in_doubt(call, answer)
    if not claim(call, call.claiming(answer.record), ledger.released):
        return False, None
    return True, run(call)


def claim(
    call: EffectCall, record: EffectRecord, back: Callable[[EffectRecord], EffectRecord]
) -> bool:
    """Claims an effect; what interrupts that leaves no claim of an effect that has not begun."""
    try:
        claimed = offer(call, record)
        if claimed:
            ports.begin(call)
    except BaseException as error:
        with ports.sheltered(call):
            withdraw(call, error, back)
        raise
    return claimed


def withdraw(
    call: EffectCall, error: BaseException, back: Callable[[EffectRecord], EffectRecord]
) -> None:
    """Gives a claim back that may have been written; what goes wrong is noted on the error."""
    try:
        call.see(ports.read(call))
        put(call, back, of=_CLAIM)
    except StoreError as fault:
        error.add_note(f"effect {call.key!r} may be claimed: {in_words(fault)}")


def in_doubt(call: EffectCall, answer: InDoubt) -> tuple[bool, Any]:
    """Answers for an effect of which nobody knows whether it has happened."""
    reconcile = call.policy.reconcile
    if reconcile is None:
        if not answer.stored and not offer(call, answer.record):
            return False, None
        raise call.unknown(answer.record)
    # Known before the record is taken over; only death on this host is proof.
    suspect = answer.record.owner
    dead = ports.is_dead(suspect)
    why = answer.record.reason or "nobody was asked"
    if not claim(call, call.questioning(answer.record), call.doubting(why)):
        return False, None
    verdict = reconciled(call, reconcile)
    if isinstance(verdict, Happened):
        kept = put(call, call.happened(verdict), of=_CLAIM)
        return kept, call.value
    if isinstance(verdict, NotHappened) and dead:
        if not claim(call, call.claiming(call.record), ledger.released):
            return False, None
        return True, run(call)
    if isinstance(verdict, NotHappened):
        why = f"it had not happened when reconcile looked, but {suspect} may be at it still"
    elif isinstance(verdict, DontKnow):
        why = verdict.why
    else:
        why = f"reconcile returned {verdict!r}, which is no verdict"
    if not put(call, call.doubting(why), of=_CLAIM):
        return False, None
    raise call.unknown(call.record)


def reconciled(call: EffectCall, reconcile: Callable[..., Any]) -> object:
    """Asks the reconciler under its claim; whatever it raises leaves the effect unknown."""
    try:
        return ports.ask(call, reconcile)
    except BaseException as error:
        with ports.sheltered(call):
            why = f"reconcile raised {in_words(error)}"
            note(call, error, call.doubting(why), of=_CLAIM)
        if not isinstance(error, Exception):
            raise
        raise call.unknown(call.record) from error


def run(call: EffectCall) -> Any:
    """Runs a claimed effect and records how it ended."""
    call.fence, call.claimed_at = call.version, call.clock.now()
    call.ran = True
    try:
        value = ports.invoke(call)
    except BaseException as error:
        with ports.sheltered(call):
            note_end(call, error)
        raise
    return ended(call, value)


def ended(call: EffectCall, value: Any) -> Any:
    """Records that an effect was done, and returns its result."""
    try:
        kept = put(call, call.ending(value), of=_OWN)
    except StoreError as error:
        why = f"it was carried out, but the store did not take its end: {in_words(error)}"
        raise OutcomeUnknown(call.key, why, call.request.namespace) from error
    if not kept:
        raise call.lost(value)
    return call.value


def note_end(call: EffectCall, error: BaseException) -> None:
    """Records how an effect ended that did not return."""
    if isinstance(error, NothingHappened):
        note(call, error, ledger.released, of=_OWN)
    elif isinstance(error, call.policy.final) and isinstance(error, Exception):
        note(call, error, call.failing(error), of=_OWN)
    elif call.request.permits_another(call.claim.attempt):
        note(call, error, ledger.released, of=(Tenure.MINE, Tenure.DOUBTED))
    else:
        why = f"it ended with {in_words(error)}"
        note(call, error, call.doubting(why), of=_CLAIM)


def note(
    call: EffectCall,
    error: BaseException,
    change: Callable[[EffectRecord], EffectRecord],
    *,
    of: tuple[Tenure, ...],
) -> None:
    """Writes beside an exception that goes on; what goes wrong is noted on it."""
    try:
        if not put(call, change, of=of) and call.tenure is Tenure.LOST:
            error.add_note(f"effect {call.key!r} was decided meanwhile without this call")
    except StoreError as fault:
        error.add_note(f"the store did not take the end of effect {call.key!r}: {in_words(fault)}")


def put(
    call: EffectCall,
    change: Callable[[EffectRecord], EffectRecord],
    *,
    of: tuple[Tenure, ...],
) -> bool:
    """Applies a change to the effect's record; False if the claim does not stand like that.

    Raises:
        StoreError: if the store failed, or it is unknown whether it wrote.
    """
    with ports.locked(call):
        for _ in range(_STALE_READS):
            record = call.record
            if record is None or call.closed or call.tenure not in of:
                return False
            if replace(call, change(record)):
                return True
    raise StoreError(f"effect {call.key!r}: the store refused {_STALE_READS} writes in a row")


def offer(call: EffectCall, record: EffectRecord) -> bool:
    """Writes a record in place of the very one that was seen; False if somebody was quicker."""
    with ports.locked(call):
        return replace(call, record)


def replace(call: EffectCall, record: EffectRecord) -> bool:
    """Writes a record, or takes in what the store holds instead of what was seen."""
    moment = call.clock.now()
    draft = call.draft(record)
    reply = send(call, draft.value, draft.expected)
    if isinstance(reply, Entry):
        call.accepted(draft, reply.version, moment)
        return True
    found = reply.current
    if found is None or found.version <= draft.expected:
        # What came with the refusal may be older than the refusal itself.
        found = ports.read(call)
    return call.compare(found, draft)


def send(call: EffectCall, value: bytes, expected: int) -> Entry | Conflict:
    """Sends a write; one whose outcome is unknown is sent a second time."""
    try:
        return ports.write(call, value, expected)
    except StoreError as error:
        if error.outcome == "refused":
            raise
    return ports.write(call, value, expected)


def renew(call: EffectCall) -> None:
    """Renews the lease of an effect that takes its time."""
    now, hold = call.clock.now(), call.policy.max_hold
    if not call.ran or now - call.written_at < call.policy.lease / 3:
        return
    if hold is not None and now - call.claimed_at >= hold:
        return
    put(call, lambda record: ledger.renewed(record, lease=call.policy.lease), of=_CLAIM)
