# SPDX-License-Identifier: MIT
"""The promises of an effect, checked at every write, every run and every end.

It compares records as they are committed and remembers what no record holds:
how often the effect has happened in the world outside, and what was ever stored.
"""

from __future__ import annotations

from typing import NamedTuple

from haltable import effect_ledger
from haltable.effect_records import EffectRecord
from haltable.effects import EffectState, NothingHappened
from haltable.errors import EffectHeld, HaltableError, LeaseLost
from tests.model.effect_calls import Manner
from tests.model.explorer import promise
from tests.model.strands import TICK, End
from tests.model.worlds import Writer

CLAIMED, UNKNOWN, FREE = EffectState.CLAIMED, EffectState.UNKNOWN, EffectState.FREE


class Books(NamedTuple):
    """What the auditor remembers.

    Attributes:
        happened: how often the effect has happened, by chain of attempts; the newest is last.
        outcomes: what was ever stored as an end.
    """

    happened: tuple[int, ...] = ()
    outcomes: tuple[str, ...] = ()


class Seat(NamedTuple):
    """Who has to do with a record, as the auditor sees it.

    Attributes:
        owner: its owner's token.
        suspect: the token of the owner in question.
    """

    owner: int | None
    suspect: int | None


def wrote(
    books: Books,
    manner: Manner,
    old: tuple[EffectRecord, Seat, int] | None,
    new: tuple[EffectRecord, Seat] | None,
    by: Writer,
) -> Books:
    """Judges a write or a delete; returns what is to be remembered of it.

    Args:
        books: what was remembered.
        manner: how the guard is configured.
        old: what is replaced, and its age in ticks.
        new: what replaces it; None if it is deleted.
        by: who writes.
    """
    over = old is not None and _is_over(old[0], old[2])
    if new is None:
        promise("I7: only what is finished and past its retention is purged", kept=over)
        return books
    if old is None or over:
        books = books._replace(happened=(*books.happened, 0))
        first = new[0].state is CLAIMED and new[0].attempts == 1 and new[1].owner == by.token
        promise("I4: a chain begins with its first claim", kept=first)
    else:
        _judge_change(manner, old, new, by)
    record = new[0]
    if record.state.finished:
        outcome = record.result if record.fault is None else record.fault.message
        books = books._replace(outcomes=tuple(sorted({*books.outcomes, str(outcome)})))
        if record.state is EffectState.DONE:
            promise("I2: what is done has happened", kept=books.happened[-1] > 0)
    if record.state is FREE:
        free = books.happened[-1] == 0 or manner.semantics == "at_least_once"
        promise("P4: only what has not happened is free", kept=free)
    return books


def _judge_change(
    manner: Manner,
    old: tuple[EffectRecord, Seat, int],
    new: tuple[EffectRecord, Seat],
    writer: Writer,
) -> None:
    (before, seat, age), (after, taken) = old, new
    by, live = writer.token, writer.live
    promise("I4: done and failed absorb", kept=not before.state.finished)
    same = before.fingerprint == after.fingerprint
    promise("I6: another payload changes nothing", kept=same)
    holds = before.state is CLAIMED and age * TICK < before.lease and seat.owner in live
    mine = by is not None and by == seat.owner
    own = mine or (by is not None and by == seat.suspect)
    acquired = after.state is CLAIMED and taken.suspect is None and after.attempts > before.attempts
    grown = after.attempts - before.attempts
    promise("I9: an attempt is counted once", kept=grown == int(acquired))
    promise("I2: no more attempts than are allowed", kept=after.attempts <= manner.attempts)
    if after.state is CLAIMED:
        promise("I3: who claims is who writes", kept=taken.owner == by)
        if not mine:
            promise("I3: nobody takes a claim that holds", kept=not holds)
        if before.state is not FREE and manner.semantics == "at_most_once":
            _judge_taken(before, seat, taken, live, mine=mine, acquired=acquired)
    elif after.state.finished or after.state is FREE:
        may = own or (by is None and not holds)
        promise("I4: a stale owner changes nothing", kept=may)
        if before.state is FREE:
            promise("I12: only what was begun ends", kept=False)
    elif after.state is UNKNOWN:
        promise("I3: nobody doubts a claim that holds", kept=mine or not holds)
        promise("P4: what is unknown says why", kept=bool(after.reason) and after.owner is not None)


def _judge_taken(
    before: EffectRecord,
    seat: Seat,
    taken: Seat,
    live: frozenset[int],
    *,
    mine: bool,
    acquired: bool,
) -> None:
    """Judges a claim of what may have happened."""
    suspect = seat.owner if seat.suspect is None else seat.suspect
    if acquired:
        asked = mine and before.state is CLAIMED and seat.suspect is not None
        promise("I12: only a verdict under a claim runs it again", kept=asked)
        promise("rule 7: nothing runs again beside its owner", kept=suspect not in live)
    elif not mine:
        promise("I12: who asks keeps whom it asks about", kept=taken.suspect == suspect)


def acted(books: Books, manner: Manner, chain: int) -> Books:
    """Judges that the effect happens; returns what is to be remembered of it.

    Args:
        books: what was remembered.
        manner: how the guard is configured.
        chain: the chain of the claim under which it does; 0 if there is none.
    """
    promise("P2: claimed before it runs", kept=chain > 0)
    happened = list(books.happened)
    happened[chain - 1] += 1
    if manner.semantics == "at_most_once":
        promise("P4: at most once", kept=happened[chain - 1] <= 1)
    else:
        promise("I2: no more often than attempted", kept=happened[chain - 1] <= manner.attempts)
    return books._replace(happened=tuple(happened))


def ended(books: Books, end: End, *, wrote_it: bool, owns_it: bool) -> None:
    """Judges how a call ended.

    Args:
        books: what was remembered.
        end: what the caller was given.
        wrote_it: whether the record over which it ended is of its own writing.
        owns_it: whether it holds that record's claim.
    """
    if end.error is None:
        known = f'"{end.value}"' in books.outcomes
        promise("I5: what a call returns is what is stored", kept=known)
        return
    lost = isinstance(end.error, LeaseLost) and wrote_it
    held = isinstance(end.error, EffectHeld) and owns_it
    promise("I8: a lost reply is no lost race", kept=not (lost or held))
    named = isinstance(end.error, HaltableError | NothingHappened)
    own = isinstance(end.error, ValueError | LookupError | KeyboardInterrupt)
    promise("P5: a call ends with a name", kept=named or own)


def is_named(record: EffectRecord | None, *, age: int, dead: bool) -> bool:
    """Says whether an effect with which nobody has to do any more blocks nobody without a name."""
    if record is None:
        return True
    seen = effect_ledger.in_question(record, age=age * TICK, dead=dead)
    if seen.state is UNKNOWN:
        return bool(seen.reason) and seen.owner is not None
    return seen.state is FREE or seen.state.finished


def _is_over(record: EffectRecord, age: int) -> bool:
    retention = record.retention
    return record.state.finished and retention is not None and age * TICK >= retention
