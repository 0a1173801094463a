# SPDX-License-Identifier: MIT
"""Sends a run's writes, calling: the twin of ``_sending_async``.

A write that is refused is prepared again over what is there; one of unknown
outcome is sent once more.  What a write says, the run prepares.
"""

from __future__ import annotations

from haltable import _ports_sync as ports
from haltable._book import Change, Draft
from haltable._state import RunState
from haltable.encoding import decode_apart, encode_apart
from haltable.errors import StoreError
from haltable.ledger import MINE, Standing
from haltable.records import Apart
from haltable.store import Conflict, Entry

__all__ = ["put", "stands", "store_apart"]

#: How often a refused write is answered with a record that is older than mine.
_STALE_READS = 8


def put(
    run: RunState,
    change: Change,
    *,
    despite: frozenset[Standing] = frozenset(),
    settles: bool = True,
) -> Standing:
    """Applies a change to the run's record; says how the claim stands.

    Anything but MINE means that nothing was written.  ``despite`` names the
    standings over which the change is written all the same, ``settles`` says
    whether it tells how the last iteration ended.

    Raises:
        StoreError: if the store failed, or it is unknown whether it wrote.
    """
    book = run.keyed_book()
    if ports.is_forked(book.owner):
        # The lock may have been copied in any state, and the claim is the parent's.
        book.standing = Standing.FORKED
        return book.standing
    with ports.locked(run):
        for _ in range(_STALE_READS):
            if book.closed:
                return MINE
            if book.standing is not MINE and book.standing not in despite:
                return book.standing
            if book.settled_late:
                run.unsettled, book.settled_late = None, False
            moment = run.now()
            draft = book.draft(change, settles=settles)
            reply = send(run, draft)
            if isinstance(reply, Entry):
                book.accepted(draft, reply.version, moment)
                return done(run, draft)
            found = reply.current
            if found is None or found.version <= draft.expected:
                # What came with the refusal may be older than the refusal itself.
                found = ports.read(run, run.store_key)
            if book.compare(found, draft):
                return done(run, draft)
            if not book.claimed:
                return book.standing
    raise StoreError(f"{run.label}: the store refused {_STALE_READS} writes in a row")


def done(run: RunState, draft: Draft) -> Standing:
    """Notes that a write told how the last iteration ended, if it did."""
    if draft.settles:
        run.unsettled = None
    return MINE


def send(run: RunState, draft: Draft) -> Entry | Conflict:
    """Sends a write; one whose outcome is unknown is sent a second time.

    The same compare-and-set cannot be done twice, and a refusal shows whether
    the first was.
    """
    try:
        return ports.write(run, run.store_key, draft.value, draft.expected)
    except StoreError as error:
        if error.outcome == "refused":
            raise
    return ports.write(run, run.store_key, draft.value, draft.expected)


def store_apart(run: RunState) -> bool:
    """Writes the breakers' large memory, if it changed."""
    if run.apart.text == run.apart_stored_text:
        return True
    book = run.keyed_book()
    value = encode_apart(Apart(run.label, book.charged_epoch, run.apart.text))
    for _ in range(_STALE_READS):
        reply = ports.write(run, run.apart_key, value, run.apart_version)
        if isinstance(reply, Entry):
            run.apart_version, run.apart_stored_text = reply.version, run.apart.text
            return True
        if not stands(run):
            return True  # Who holds the key now keeps its memory; our next write finds that out.
        found = ports.read(run, run.apart_key)
        # Damage must fail here, before it is written over.
        run.apart_version = 0 if found is None else found.version
        if found is not None:
            decode_apart(found.value)
    raise StoreError(f"{run.label}: the store refused {_STALE_READS} writes in a row")


def stands(run: RunState) -> bool:
    """Looks at the record and says whether the claim still stands."""
    book = run.keyed_book()
    with ports.locked(run):
        entry = ports.read(run, run.store_key)
        if entry is None or entry.version != book.version:
            book.compare(entry)
    return book.standing in (MINE, Standing.STOP_ASKED)
