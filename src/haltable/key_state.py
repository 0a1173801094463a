# SPDX-License-Identifier: MIT
"""How a key stands, as an operator reads it: a value, and its lines for a terminal.

It is made of a record and the age of that; it knows no store.
"""

from __future__ import annotations

import math

import attrs

from haltable.model import Status
from haltable.prose import filled, joined, prose
from haltable.records import Act, LoopRecord

__all__ = ["KeyState", "key_state"]


@attrs.frozen
class KeyState:
    """How a key stands, as the store has it.

    Args:
        key: the loop's key.
        status: how it stands.
        breaker: who ended it, None while it is open.
        reason: why, None while it is open.
        epoch: 1, and one more for each reset.
        starts: bodies charged in this epoch.
        failures: how many of them failed or crashed.
        failures_in_row: how many of these were the last ones.
        crashes: how many of them never ended.
        elapsed: seconds for which the loop was alive in this epoch.
        running: who holds the key, None if nobody does.
        lease_left: seconds until that one's lease lapses, None if nobody does.
        retry_after: seconds before which the next start is too early.
        stop_requested: who asked the running owner to stop, None if nobody did.
        last_error: the newest failure in words.
        evidence: the newest outside evidence in words.
        limits: the limits of the last run, as pairs of words.
        extension: starts that operators added.
        history: what operators did, oldest first.
        age: seconds since the last write, by the store's clock.
        unknown_effects: keys of the unknown effects that ran in this loop; only
            `haltable.Operator.show` looks for them.
    """

    key: str
    status: Status
    breaker: str | None
    reason: str | None
    epoch: int
    starts: int
    failures: int
    failures_in_row: int
    crashes: int
    elapsed: float
    running: str | None
    lease_left: float | None
    retry_after: float
    stop_requested: str | None
    last_error: str | None
    evidence: str | None
    limits: tuple[tuple[str, str], ...]
    extension: int
    history: tuple[Act, ...]
    age: float
    unknown_effects: tuple[str, ...] = ()

    def __str__(self) -> str:
        limits = {name: value for name, value in self.limits if value}
        of = f" of {int(limits['starts']) + self.extension}" if "starts" in limits else ""
        ended = self.breaker is not None
        why = f"{self.breaker}: {self.reason}" if ended else ""
        lines = prose(f"{self.status.name}  {self.key}{'   ' if ended else ''}", why)
        counts = [
            f"starts {self.starts}{of}",
            f"failures {self.failures}, {self.failures_in_row or 'none'} in a row",
            f"crashes {self.crashes}",
            f"alive {self.elapsed:.0f} s",
            f"epoch {self.epoch}",
        ]
        lines += filled("  ", counts, " · ")
        if self.running is not None:
            asked = f", asked to stop by {self.stop_requested}" if self.stop_requested else ""
            lines += prose("  running in ", f"{self.running}, lease {self.lease_left:.0f} s{asked}")
        if self.retry_after > 0:
            lines.append(f"  next start in {self.retry_after:.0f} s")
        if self.evidence is not None:
            lines += prose("  newest evidence ", self.evidence)
        if self.last_error is not None:
            lines += prose("  last error ", self.last_error)
        if self.unknown_effects:
            lines += filled("  unknown effects ", [*self.unknown_effects], ", ")
            lines.append("  next: ops.effects('unknown')")
        for act in self.history:
            note = f" ({act.note})" if act.note else ""
            lines += prose(f"  {act.at}  ", f"{act.act} by {act.by}: {act.why}{note}")
        return joined(lines)


def key_state(record: LoopRecord, *, age: float) -> KeyState:
    """Returns how a key stands.

    Args:
        record: what the store holds.
        age: seconds since it was written, by the store's clock.
    """
    past, running = record.past, record.running
    left = None if running is None else max(0.0, running.lease - age)
    return KeyState(
        key=past.name,
        status=record.status,
        breaker=None if past.ruling is None else past.ruling.breaker,
        reason=None if past.ruling is None else past.ruling.reason,
        epoch=record.epoch,
        starts=record.starts,
        failures=record.failures,
        failures_in_row=record.row,
        crashes=record.crashes,
        elapsed=record.elapsed,
        running=None if running is None else str(running.owner),
        lease_left=left,
        retry_after=0.0 if math.isinf(age) else max(0.0, record.wait - age),
        stop_requested=None if past.stop is None else past.stop.by,
        last_error=past.error and f"{past.error}, iteration {past.error_start}",
        evidence=past.evidence and f"{past.evidence}, iteration {past.evidence_start}",
        limits=past.limits,
        extension=record.extension,
        history=past.history,
        age=age,
    )
