# SPDX-License-Identifier: MIT
"""What a store holds of a loop, as values.

A record knows nothing of who may change it (the rules are in
``haltable.ledger``) nor of how it is written down (``haltable.encoding``).
Durations only; the single wall-clock time is the one an operator's act is
stamped with, for people, and nothing compares it.
"""

from __future__ import annotations

from typing import Any, TypeVar

import attrs

from haltable.model import Ruling, Status

__all__ = [
    "RESULT_LIMIT",
    "Act",
    "Apart",
    "LoopRecord",
    "Owner",
    "Past",
    "Running",
    "StopRequest",
    "changed",
    "new_record",
]

#: The largest result, as JSON, that a record carries.
RESULT_LIMIT = 256 * 1024

R = TypeVar("R", bound=attrs.AttrsInstance)


@attrs.frozen
class Owner:
    """Who runs a key: enough to tell, on the same host, that it is dead.

    Args:
        boot: the boot of the machine; empty where there is no such number.
        space: the PID namespace.
        pid: the process.
        born: the process's start time, in the kernel's own ticks.
        token: random, one for each run: equality decides, order means nothing.
    """

    boot: str
    space: str
    pid: int
    born: str
    token: str

    def __str__(self) -> str:
        return f"process {self.pid}"


@attrs.frozen(slots=False)
class Running:
    """The claim of the run that holds the key.

    Args:
        owner: who holds it.
        lease: seconds after the last write for which it holds.
        start: the number of the start it was charged for.
        pausing: whether it is between two iterations, so that its death is no crash.
    """

    owner: Owner
    lease: float
    start: int
    pausing: bool = False


@attrs.frozen
class StopRequest:
    """An operator asked the key to stop; its owner, or the next start, obeys."""

    by: str
    why: str


@attrs.frozen
class Act:
    """One thing that an operator did, for the history.

    Args:
        act: ``stop``, ``reset`` or ``extend``.
        by: who.
        why: why.
        at: the wall-clock time as ISO text; shown, never compared.
        epoch: the epoch that the act left behind.
        starts: how many starts it had then.
        status: how it stood then.
        note: more, in words.
    """

    act: str
    by: str
    why: str
    at: str
    epoch: int
    starts: int
    status: Status
    note: str = ""


@attrs.frozen(slots=False)
class Past:
    """What changes seldom: kept together, and encoded once for many writes.

    Args:
        name: the key as the user gave it.
        ruling: the standing verdict, None while the key is open.
        stop: an operator's pending request.
        history: what operators did, oldest first.
        result: the stored result as JSON text; None if there is none.
        result_lost: why there is no result although there should be one.
        error: the newest failure in words, with its start's number.
        error_start: see ``error``.
        evidence: the newest evidence in words, with its start's number.
        evidence_start: see ``evidence``.
        memory: the breakers' remembered fields as JSON text.
        limits: the limits of the run that wrote, as words, for operators.
    """

    name: str
    ruling: Ruling | None = None
    stop: StopRequest | None = None
    history: tuple[Act, ...] = ()
    result: str | None = None
    result_lost: str | None = None
    error: str | None = None
    error_start: int = 0
    evidence: str | None = None
    evidence_start: int = 0
    memory: str = "{}"
    limits: tuple[tuple[str, str], ...] = ()


# Made anew for every write, a write an iteration: numbers beside a `Past` whose
# text is encoded once, and no slots, because a frozen class without them is made
# in half the time.
@attrs.frozen(slots=False)
class LoopRecord:
    """Everything a store holds of one loop.

    Args:
        epoch: 1 at first; an operator's reset begins the next.
        starts: bodies charged in this epoch.
        failures: iterations that failed or crashed in this epoch.
        row: how many of them are the most recent ones.
        crashes: how many of them never ended.
        slips: failures and transients since the last good iteration, for the back-off.
        elapsed: seconds for which the loop was alive in this epoch, at this write.
        wait: seconds after this write before which the next start is too early.
        extension: starts that operators added to the cap in this epoch.
        writer: the token of the last run that wrote.
        serial: that run's count of its own writes.
        running: the run that holds the key, None if nobody does.
        past: what changes seldom.
    """

    epoch: int
    starts: int
    failures: int
    row: int
    crashes: int
    slips: int
    elapsed: float
    wait: float
    extension: int
    writer: str
    serial: int
    running: Running | None
    past: Past

    @property
    def status(self) -> Status:
        """How the key stands."""
        return Status.OPEN if self.past.ruling is None else self.past.ruling.status


@attrs.frozen
class Apart:
    """Breakers' memory that is kept apart from the loop's record.

    Args:
        name: the key as the user gave it.
        epoch: the epoch it belongs to; another epoch's memory is not read.
        memory: the remembered fields as JSON text, keyed by breaker.
    """

    name: str
    epoch: int
    memory: str


def changed(record: R, **changes: Any) -> R:
    """Returns a record with other fields: `attrs.evolve` in a third of its time.

    Args:
        record: what to go on from: of a class without slots, and with nothing to validate.
        changes: fields and what they become.
    """
    made = object.__new__(type(record))
    vars(made).update(vars(record), **changes)
    return made


def new_record(name: str, limits: tuple[tuple[str, str], ...] = ()) -> LoopRecord:
    """Returns the record of a key that never started.

    Args:
        name: the key as the user gave it.
        limits: of the run that would start it, as words.
    """
    past = Past(name, limits=limits)
    return LoopRecord(1, 0, 0, 0, 0, 0, 0.0, 0.0, 0, "", 0, None, past)
