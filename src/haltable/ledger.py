# SPDX-License-Identifier: MIT
"""The rules over stored records, as pure functions: from a record to the next.

1. Every write of a loop's record is one of these functions applied to the very
   record that it replaces, so that a lost race is answered by applying it again
   to what is there, never by putting an old record under a new version.
2. This room does no I/O and reads no clock: ages and deaths come in as
   arguments, and it decides nothing about breakers.

The theory.  A key is *terminal* (it has a ruling) or open; open, it is *free*,
*held* by a run, or was *left* by one that died.  What changes it:

    free  --charge-->  held  --settle, charge-->  held  --settle-->  free
    left  --take over (counts a crash), charge-->  held
    free or left  --too many starts, a stop request-->  terminal
    held  --ruling of the owner, while its body runs-->  terminal and held
    held  --ruling of the owner-->  terminal
    any   --operator: stop (a request where held), reset, extend-->

A write by somebody else than the owner carries the owner's claim on unchanged,
with the lease shortened by what has passed of it: the store's age starts again
at each write, and nobody may refresh a lease but its owner.
"""

from __future__ import annotations

import enum
from typing import TypeAlias

import attrs

from haltable.model import Outcome, Ruling
from haltable.records import LoopRecord, Owner, Running, changed

__all__ = [
    "MINE",
    "Admission",
    "Free",
    "Held",
    "Left",
    "Standing",
    "Terminal",
    "admit",
    "aged",
    "charged",
    "condemned",
    "held",
    "is_settled",
    "is_written",
    "judged",
    "may_start",
    "released",
    "settled",
    "standing",
]


@attrs.frozen
class Terminal:
    """The key has ended; nothing is charged."""

    ruling: Ruling


@attrs.frozen
class Held:
    """Another run holds the key.

    Args:
        owner: the run that does.
        left: seconds until its lease lapses.
    """

    owner: Owner
    left: float


@attrs.frozen
class Free:
    """Nobody holds the key.

    Args:
        record: what to go on from.
        wait: seconds before which a start is too early.
    """

    record: LoopRecord
    wait: float


@attrs.frozen
class Left:
    """The run that held the key is dead, or its lease has lapsed.

    Args:
        record: what to go on from, the crash counted if it was one.
        owner: who left it.
        crashed: whether it died inside a body.
        wait: seconds before which a start is too early.
    """

    record: LoopRecord
    owner: Owner
    crashed: bool
    wait: float


Admission: TypeAlias = Terminal | Held | Free | Left


def admit(record: LoopRecord, *, age: float, dead: bool) -> Admission:
    """Says how the key stands for a run that would like to start.

    Args:
        record: what the store holds.
        age: seconds since it was written, by the store's clock.
        dead: whether its owner is known to be dead on this host.
    """
    ruling, running = record.past.ruling, record.running
    if ruling is not None:
        return Terminal(ruling)
    if running is not None and not dead and age < running.lease:
        return Held(running.owner, running.lease - age)
    wait = max(0.0, record.wait - age)
    if running is None:
        # Between two steps the loop is alive up to the wait that was asked for.
        return Free(aged(record, min(age, record.wait)), wait)
    if running.pausing or running.start != record.starts:
        # Between two iterations, or in one of an epoch that an operator has ended.
        return Left(changed(record, running=None), running.owner, crashed=False, wait=wait)
    left = changed(
        settled(record, Outcome.CRASHED, elapsed=record.elapsed),
        running=None,
        wait=0.0,
        past=changed(
            record.past,
            error=f"crashed: {running.owner} ended without a word",
            error_start=record.starts,
        ),
    )
    return Left(left, running.owner, crashed=True, wait=0.0)


def may_start(admission: Admission) -> bool:
    """Says whether a run that found this may start at once."""
    return isinstance(admission, (Free, Left)) and admission.wait <= 0


@enum.unique
class Standing(enum.Enum):
    """What the owner of a claim finds when it looks at the record again."""

    #: The claim stands and nobody asks anything of it.
    MINE = "mine"
    #: The record is gone although this run wrote it.
    LOST = "lost"
    #: It shows an earlier epoch, or fewer starts, than this run wrote.
    BACKWARDS = "backwards"
    #: An operator has begun a new epoch.
    RESET = "reset"
    #: The lease had lapsed and another run holds the key, or held it.
    TAKEN = "taken"
    #: The key was ended by somebody else.
    ENDED = "ended"
    #: This process is a copy, forked from the one that holds the claim.
    FORKED = "forked"
    #: An operator asks the owner to stop.
    STOP_ASKED = "stop asked"


#: The common case, looked at in every write.
MINE = Standing.MINE


def standing(record: LoopRecord | None, *, token: str, epoch: int, starts: int) -> Standing:
    """Says how a claim stands, given what the owner knows that it wrote.

    Args:
        record: what the store holds now.
        token: the owner's.
        epoch: in which it was charged.
        starts: how many starts there were when it last wrote.
    """
    if record is None:
        return Standing.LOST
    if record.epoch < epoch or (record.epoch == epoch and record.starts < starts):
        return Standing.BACKWARDS
    mine = record.running is not None and record.running.owner.token == token
    if record.epoch > epoch:
        return Standing.RESET if mine else Standing.TAKEN
    if not mine:
        return Standing.TAKEN if record.past.ruling is None else Standing.ENDED
    if record.past.ruling is not None:
        return Standing.MINE  # Condemned by its own run, whose body goes on.
    return Standing.MINE if record.past.stop is None else Standing.STOP_ASKED


def settled(
    record: LoopRecord, outcome: Outcome | None, *, elapsed: float, wait: float = 0.0
) -> LoopRecord:
    """Counts the end of an iteration; the claim stays."""
    failures, row, crashes, slips = record.failures, record.row, record.crashes, record.slips
    if outcome is Outcome.RETURNED:
        row = slips = 0
    elif outcome is Outcome.FAILED or outcome is Outcome.CRASHED:
        failures, row, slips = failures + 1, row + 1, slips + 1
        crashes += outcome is Outcome.CRASHED
    elif outcome is Outcome.TRANSIENT:
        slips += 1
    return LoopRecord(
        record.epoch,
        record.starts,
        failures,
        row,
        crashes,
        slips,
        elapsed,
        wait,
        record.extension,
        record.writer,
        record.serial,
        record.running,
        record.past,
    )


def is_settled(record: LoopRecord, outcome: Outcome) -> bool:
    """Says whether an iteration that ended so leaves the counts as they are."""
    return outcome is Outcome.RETURNED and not record.row and not record.slips


def charged(record: LoopRecord, owner: Owner, *, lease: float, elapsed: float) -> LoopRecord:
    """Counts one more start and claims the key for it."""
    starts = record.starts + 1
    return LoopRecord(
        record.epoch,
        starts,
        record.failures,
        record.row,
        record.crashes,
        record.slips,
        elapsed,
        0.0,
        record.extension,
        record.writer,
        record.serial,
        Running(owner, lease, starts),
        record.past,
    )


def held(record: LoopRecord, owner: Owner, *, lease: float, pausing: bool) -> LoopRecord:
    """Renews the owner's claim; ``pausing`` if it is between two iterations."""
    return changed(record, running=Running(owner, lease, record.starts, pausing))


def released(record: LoopRecord) -> LoopRecord:
    """Gives the key back."""
    return changed(record, running=None)


def condemned(record: LoopRecord, ruling: Ruling, *, elapsed: float) -> LoopRecord:
    """Makes the key terminal while the body goes on; the first ruling stands.

    The claim stays: whoever resets the key must not start beside that body.
    """
    past = changed(record.past, ruling=record.past.ruling or ruling, stop=None)
    return changed(record, elapsed=elapsed, wait=0.0, past=past)


def judged(
    record: LoopRecord,
    ruling: Ruling,
    *,
    elapsed: float,
    result: str | None = None,
    result_lost: str | None = None,
) -> LoopRecord:
    """Makes the key terminal and gives it back; the first ruling stands."""
    past = record.past
    first = past.ruling
    if first is not None and record.running is None:
        return record
    past = changed(past, ruling=first or ruling, stop=None, result=result, result_lost=result_lost)
    return changed(record, elapsed=elapsed, wait=0.0, past=past, running=None)


def is_written(record: LoopRecord, *, token: str, serial: int) -> bool:
    """Says whether a write of mine, whose reply was lost, was done after all.

    The token is mine alone and the serial grows with each of my writes, so a
    record that shows them can only come from that write or a later one; a
    write by somebody else carries both on.
    """
    return record.writer == token and record.serial >= serial


def aged(record: LoopRecord, seconds: float) -> LoopRecord:
    """Adds live seconds in which nobody wrote."""
    return record if seconds <= 0 else changed(record, elapsed=record.elapsed + seconds)
