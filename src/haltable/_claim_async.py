# SPDX-License-Identifier: MIT
"""Holds a run's key in the store, awaiting: the twin of ``_claim_sync``.

It reads the key, sends what the run prepared, and says how the claim stands.
What is written, the ledger says; what follows from it, the run; when, the
driver.
"""

from __future__ import annotations

from haltable import _ports_async as ports
from haltable._book import Change
from haltable._sending_async import put, store_apart
from haltable._state import RunState
from haltable._watch import INTERVAL
from haltable.encoding import decode_apart
from haltable.errors import LoopBusy, StoreError
from haltable.kernel import HALT
from haltable.ledger import MINE, Free, Held, Left, Standing, Terminal, admit, may_start
from haltable.model import Ruling, Status
from haltable.store import Entry

__all__ = [
    "admitted",
    "charge",
    "close",
    "condemned",
    "extended",
    "fail",
    "keep",
    "watch",
]


async def extended(run: RunState) -> bool:
    """Says whether an operator has extended the key since this run last looked.

    A store fault here ends the run.
    """
    book = run.keyed_book()
    extension = book.record.extension
    try:
        async with ports.locked(run):
            entry = await ports.read(run, run.store_key)
            if entry is not None and entry.version != book.version:
                book.compare(entry)
    except StoreError as error:
        fail(run, error)
        return False
    return book.standing is MINE and book.record.extension > extension


async def admitted(run: RunState, found: Entry | None = None) -> bool:
    """Reads the key and goes on from what is there; False if the run ended over it.

    Args:
        run: the run.
        found: what a refusal showed, if one did just now.

    Raises:
        LoopBusy: if another run holds the key.
    """
    admission, waited, end = await look(run, waited=0.0, found=found), 0.0, None
    while not isinstance(admission, Terminal) and admission.wait > 0:
        if run.single_step:
            run.retry_after = admission.wait
            return refused(run, Ruling(Status.OPEN, "run", "it is too early for the next start"))
        if end is None:
            end = run.end_of_time(admission.record)
        wait = min(admission.wait, end - run.now())
        if wait <= 0 or run.kernel.stop is not None:
            break
        await ports.rest(run, wait)
        waited += wait
        admission = await look(run, waited=waited)
    if isinstance(admission, Terminal):
        return refused(run, admission.ruling)
    if isinstance(admission, Left):
        # Its owner was dead all the while; this run was alive.
        run.take_over(admission.record, crashed=admission.crashed, waited=waited)
    else:
        run.take_over(admission.record)
    if run.apart.wanted:
        stored = await ports.read(run, run.apart_key)
        if stored is not None:
            run.recall_apart(decode_apart(stored.value), stored.version)
    return True


async def look(
    run: RunState, *, waited: float, found: Entry | None = None
) -> Terminal | Free | Left:
    """Reads how the key stands for a run that has waited for it already.

    Raises:
        LoopBusy: if another run holds the key.
    """
    book = run.keyed_book()
    entry = found or await ports.read(run, run.store_key)
    book.see(entry)
    running = book.record.running
    dead = running is not None and ports.is_dead(run, running.owner)
    # The store's clock knows nothing of waits that took no time.
    age = 0.0 if entry is None else entry.age + (waited if run.clock.virtual else 0.0)
    admission = admit(book.record, age=age, dead=dead)
    if found is not None and not may_start(admission):
        # What came with a refusal may be stale: nobody is turned away over it.
        return await look(run, waited=waited)
    if isinstance(admission, Held):
        busy = LoopBusy(run.label, str(admission.owner), admission.left)
        # Else a verb that is called again would claim what was read here.
        run.kernel.ruling = Ruling(Status.OPEN, "run", str(busy))
        ports.forget(run)
        run.end(durable=False)
        raise busy
    return admission


def refused(run: RunState, ruling: Ruling) -> bool:
    """Ends a run that may not start; nothing is written."""
    ports.forget(run)
    run.refuse(ruling)
    return False


async def charge(run: RunState) -> bool:
    """Records the next start before the body gets control; False if the run ended instead."""
    book, kernel = run.keyed_book(), run.kernel
    while not book.claimed:
        moment = run.now()
        if await put(run, run.charging(moment)) is MINE:
            kernel.adopt(book.record, moment, book.version)
            return await store_apart(run)
        # Somebody was quicker: everything that was known of the key is old.
        if not await admitted(run, book.conflict):
            return False
        if kernel.resume(run.now(), run.verbs) is HALT:
            await close(run)
            return False
    moment = run.now()
    standing = await put(run, run.charging(moment))
    if standing is not MINE:
        return await given_up(run, standing)
    kernel.adopt(book.record, moment, book.version)
    return await store_apart(run)


async def keep(run: RunState, change: Change) -> bool:
    """Sends a write of a claim that stands; False if it does not, and the run ended over it."""
    standing = await put(run, change)
    return True if standing is MINE else await given_up(run, standing)


async def given_up(run: RunState, standing: Standing) -> bool:
    """Ends a run whose claim does not stand; returns False, as there will be no start."""
    run.bow_to(standing)
    await close(run)
    return False


async def condemned(run: RunState) -> bool:
    """Writes the verdict on a body that is still running; says whether it is stored."""
    book, ruling = run.book, run.kernel.ruling
    if book is None or ruling is None or not ruling.status.terminal or not book.claimed:
        return False
    return await put(run, run.condemning(run.now(), ruling), settles=False) is MINE


async def close(run: RunState, wait: float = 0.0) -> None:
    """Writes how the run ends, if it has a key, and ends it."""
    if run.finished or run.kernel.ruling is None:
        return
    book = run.book
    if book is None:
        run.end(durable=False)
        return
    durable, seen = True, run.kernel.counts
    if book.claimed and book.standing is not MINE:
        # Whoever looked last has found that the claim is not whole.
        durable = run.bow_to(book.standing)
    try:
        if book.claimed and book.standing is MINE:
            await store_apart(run)
        while run.owes_a_write:
            standing = await put(run, run.closing(run.now(), wait, seen), despite=run.overruled)
            if standing is MINE:
                break
            if book.claimed:
                durable = run.bow_to(standing)
            elif run.owes_a_write and not await admitted(run):
                return
        else:
            durable = run.is_stored
    except StoreError as error:
        fail(run, error)
        return
    ports.forget(run)
    run.end(durable=durable)


def fail(run: RunState, error: StoreError) -> None:
    """Ends the run, not the key, over a store that failed."""
    run.blame_store(error)
    ports.forget(run)
    run.end(durable=False)


async def watch(run: RunState) -> None:
    """Looks at the record of a run whose body or pause is long, and renews its lease.

    A fault here is no verdict, and must not end the watching of other runs: the
    next look tries again, and the next write of the run itself says what is to
    be said.
    """
    try:
        book, now = run.keyed_book(), run.now()
        # Short bodies are seen with their own writes.
        if run.finished or not book.claimed or now - book.written_at < INTERVAL / 2:
            return
        async with ports.locked(run):
            entry = await ports.read(run, run.store_key)
            if entry is None or entry.version != book.version:
                book.compare(entry)
            standing = book.standing
        if standing is not MINE:
            run.ask_to_stop(run.ruling_for(standing), interrupting=True)
        elif run.renewal_due(now):
            await put(run, run.renewing(now), settles=False)
    except Exception as error:
        run.note_blind_watch(error)
