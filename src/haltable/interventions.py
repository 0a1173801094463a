# SPDX-License-Identifier: MIT
"""The rules for what an operator does to a record: stop, reset, extend.

Pure functions from a record to the next, like those of ``haltable.ledger``, for
somebody who is not the owner: the owner's claim is carried on unchanged, and its
lease shortened by what has passed of it.
"""

from __future__ import annotations

from haltable.ledger import Held, admit, aged
from haltable.model import Ruling, Status
from haltable.records import Act, LoopRecord, StopRequest, changed

__all__ = ["extended", "reset", "stop_requested", "stopped_by"]


def stop_requested(record: LoopRecord, act: Act, *, age: float, dead: bool) -> LoopRecord:
    """Stops a key: at once where nobody holds it, as a request to its owner otherwise.

    A verdict that stands already goes on standing.
    """
    past = changed(record.past, history=(*record.past.history, act))
    if isinstance(admit(record, age=age, dead=dead), Held):
        past = changed(past, stop=StopRequest(act.by, act.why))
        return changed(_kept(record, age), past=past)
    ruling = record.past.ruling or stopped_by(act.by, act.why)
    return changed(record, running=None, past=changed(past, ruling=ruling, stop=None), wait=0.0)


def stopped_by(by: str, why: str) -> Ruling:
    """Returns the ruling of an operator's stop."""
    return Ruling(Status.STOPPED, "operator", f"stopped by {by}: {why}")


def reset(record: LoopRecord, act: Act, *, age: float) -> LoopRecord:
    """Begins a new epoch: counts, memory and elapsed at zero; claim and history stay."""
    kept = _kept(record, age)
    past = changed(
        kept.past,
        ruling=None,
        stop=None,
        history=(*kept.past.history, act),
        result=None,
        result_lost=None,
        error=None,
        error_start=0,
        evidence=None,
        evidence_start=0,
        memory="{}",
    )
    return LoopRecord(
        kept.epoch + 1, 0, 0, 0, 0, 0, 0.0, 0.0, 0, kept.writer, kept.serial, kept.running, past
    )


def extended(record: LoopRecord, act: Act, *, starts: int, age: float) -> LoopRecord:
    """Reopens the same epoch with more starts; the row of failures is cleared."""
    kept = _kept(record, age)
    past = changed(
        kept.past,
        ruling=None,
        stop=None,
        history=(*kept.past.history, act),
        result=None,
        result_lost=None,
    )
    return changed(kept, extension=kept.extension + starts, row=0, slips=0, wait=0.0, past=past)


def _kept(record: LoopRecord, age: float) -> LoopRecord:
    running = record.running
    wait = max(0.0, record.wait - age)
    if running is None:
        return changed(aged(record, min(age, record.wait)), wait=wait)
    # A lease of zero has lapsed at once, which is what an old claim deserves.
    lease = max(0.0, running.lease - age)
    return changed(record, wait=wait, running=changed(running, lease=lease))
