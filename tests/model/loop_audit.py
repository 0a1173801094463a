# SPDX-License-Identifier: MIT
"""The promises of a loop's key, checked at every write and every body.

It compares records as they are committed and remembers what no record holds:
which starts were charged, and which of them a body had.
"""

from __future__ import annotations

from typing import NamedTuple

from haltable import ledger
from haltable.records import LoopRecord
from haltable.report import Report
from tests.model.explorer import promise
from tests.model.loop_runs import CAP
from tests.model.shapes import Shapes, Stored
from tests.model.strands import TICK
from tests.model.worlds import Writer


class Books(NamedTuple):
    """What the auditor remembers.

    Attributes:
        charged: by epoch, how many starts were ever committed.
        bodies: by epoch, a bit for each start whose body got control.
        rulings: every ruling that was ever committed, as status and breaker.
    """

    charged: tuple[int, ...] = ()
    bodies: tuple[int, ...] = ()
    rulings: tuple[tuple[str, str], ...] = ()


def wrote(
    books: Books, shapes: Shapes, entry: tuple[Stored, int, int] | None, new: Stored, by: Writer
) -> Books:
    """Judges a write; returns what is to be remembered of it."""
    record = shapes.records[new[0]]
    holder = _holder(shapes, new)
    if entry is not None:
        old, _, age = entry
        before = shapes.records[old[0]]
        held = _holder(shapes, old)
        _judge_counts(before, record, by, mine=held == by.token)
        _judge_claim(before, record, by, held=held, holder=holder, age=age)
    else:
        promise("only a run begins a key", kept=by.token is not None and record.starts <= 1)
    promise("P1: no more starts than the cap", kept=record.starts <= CAP + record.extension)
    ruling = record.past.ruling
    rulings = books.rulings
    if ruling is not None:
        rulings = tuple(sorted({*rulings, (str(ruling.status), ruling.breaker)}))
        if ruling.breaker == "IterationCap":
            full = record.starts >= CAP + record.extension
            promise("P1: the cap trips at the cap", kept=full)
    return Books(_raised(books.charged, record.epoch, record.starts), books.bodies, rulings)


def began(books: Books, epoch: int, start: int, *, alone: bool) -> Books:
    """Judges that a body gets control; returns what is to be remembered of it."""
    known = books.charged[epoch - 1] if len(books.charged) >= epoch else 0
    promise("P2: charged before it runs", kept=start <= known)
    bodies = books.bodies + (0,) * (epoch - len(books.bodies))
    promise("P1: a charge a body, a body a charge", kept=not bodies[epoch - 1] & 1 << start)
    promise("rule 1: no two bodies of a key", kept=alone)
    bodies = (*bodies[: epoch - 1], bodies[epoch - 1] | 1 << start, *bodies[epoch:])
    return books._replace(bodies=bodies)


def rested(books: Books, spent: int) -> None:
    """Judges a world in which nobody is alive and nothing is on its way.

    Args:
        books: what was remembered.
        spent: crashes and faults so far, each worth a unit.
    """
    bodies = sum(bits.bit_count() for bits in books.bodies)
    promise("P1: only a fault spends a unit", kept=sum(books.charged) - bodies <= spent)


def is_open_or_ended(record: LoopRecord, age: int) -> bool:
    """Says whether a key that nobody runs holds nobody up: its claim has lapsed, if it has one."""
    admission = ledger.admit(record, age=age * TICK, dead=False)
    return not isinstance(admission, ledger.Held)


def reported(books: Books, report: Report) -> None:
    """Judges the report of a run that is over."""
    if report.status.terminal and report.durable:
        stored = (str(report.status), report.breaker) in books.rulings
        promise("P7: a durable verdict was stored", kept=stored)


def _judge_counts(old: LoopRecord, new: LoopRecord, by: Writer, *, mine: bool) -> None:
    by_operator = by.token is None
    grown = len(new.past.history) - len(old.past.history)
    kept = new.past.history[: len(old.past.history)] == old.past.history
    promise("only an operator makes history, and it only grows", kept=kept and grown == by_operator)
    steps = new.epoch - old.epoch
    promise("epochs follow one another", kept=steps in (0, int(by_operator)))
    if steps:
        promise("an epoch begins at zero", kept=(new.starts, new.failures, new.row) == (0, 0, 0))
        return
    promise("P3: terminal absorbs", kept=by_operator or old.past.ruling is None)
    promise("starts come one by one", kept=new.starts - old.starts in (0, int(not by_operator)))
    promise("failures are not forgotten", kept=new.failures >= old.failures)
    claim = old.running
    inside = claim is not None and not claim.pausing and claim.start == old.starts
    crashed = inside and not mine and not by_operator
    promise("a body that was left has crashed", kept=new.crashes - old.crashes == crashed)
    promise("only an operator extends", kept=by_operator or new.extension == old.extension)


def _judge_claim(
    old: LoopRecord,
    new: LoopRecord,
    by: Writer,
    *,
    held: int | None,
    holder: int | None,
    age: int,
) -> None:
    claim = old.running
    live = claim is not None and age * TICK < claim.lease and held in by.live
    if by.token is None:
        if new.past.ruling is None:
            promise("rule 3: an operator keeps the claim", kept=holder == held)
        else:
            ended = old.past.ruling is not None
            promise("rule 3: an operator ends no live claim", kept=ended or not live)
        if claim is not None and new.running is not None:
            left = max(0.0, claim.lease - by.age * TICK)
            promise("rule 3: only its owner refreshes a lease", kept=new.running.lease <= left)
        return
    promise("rule 1: nobody else writes a held key", kept=held == by.token or not live)
    if new.starts > old.starts and new.epoch == old.epoch:
        promise("a start is claimed by its owner", kept=holder == by.token)
        promise("rule 3: nothing starts after a stop", kept=old.past.stop is None)


def _holder(shapes: Shapes, stored: Stored) -> int | None:
    running = shapes.records[stored[0]].running
    return None if running is None else stored[1][int(running.owner.token)]


def _raised(charged: tuple[int, ...], epoch: int, starts: int) -> tuple[int, ...]:
    charged += (0,) * (epoch - len(charged))
    if charged[epoch - 1] >= starts:
        return charged
    return (*charged[: epoch - 1], starts, *charged[epoch:])
