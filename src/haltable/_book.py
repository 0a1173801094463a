# SPDX-License-Identifier: MIT
"""What one run knows of its key's record: the version it saw, and what it wrote.

It prepares writes and takes in what came of them; it sends nothing itself.
Whoever uses it holds the run's lock, because the body's thread, the watcher and
the renewal share one version.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import attrs

from haltable.encoding import Head, decode_loop, encode_head, encode_loop
from haltable.ledger import Standing, is_written, standing
from haltable.records import LoopRecord, Owner, Past
from haltable.store import Entry

__all__ = ["Book", "Change", "Draft"]

#: A ledger function over the record that is there; None refuses to write.
Change: TypeAlias = Callable[[LoopRecord], LoopRecord]


@attrs.frozen(eq=False, slots=False)
class Draft:
    """A write that is ready to be sent, as often as need be.

    Args:
        record: what is written.
        value: its bytes.
        expected: the version that it replaces.
        serial: its number among the writes of its run.
        settles: whether it tells how the last iteration ended.
    """

    record: LoopRecord
    value: bytes
    expected: int
    serial: int
    settles: bool


class Book:
    """The record as this run last saw it, and its right to write it.

    Args:
        owner: the run.
        record: of the key before anybody has started it.
    """

    __slots__ = (
        "_absent",
        "_doubts",
        "_head",
        "_head_owner",
        "_head_past",
        "charged_epoch",
        "charged_starts",
        "closed",
        "conflict",
        "owner",
        "record",
        "serial",
        "settled_late",
        "standing",
        "version",
        "written_at",
    )

    def __init__(self, owner: Owner, record: LoopRecord) -> None:
        self.owner = owner
        self.record = self._absent = record
        #: 0 while the key is absent.
        self.version = 0
        #: How many writes this run has drafted.
        self.serial = 0
        self.charged_epoch = 0
        self.charged_starts = 0
        #: What the newest look found instead of what was expected.
        self.conflict: Entry | None = None
        #: Whether this run has given the key back, so that nothing may renew it.
        self.closed = False
        #: How the claim stood when the record was last looked at.
        self.standing = Standing.MINE
        #: When this run last wrote, by its own clock.
        self.written_at = 0.0
        #: Whether a write of which nothing was known has settled the last iteration after all.
        self.settled_late = False
        #: Writes that were sent, if an interruption let it come to that, and never answered.
        self._doubts: tuple[Draft, ...] = ()
        self._head: Head | None = None
        self._head_past: Past | None = None
        self._head_owner: Owner | None = None

    @property
    def in_doubt(self) -> bool:
        """Whether a write of this run may have been done without its knowing."""
        return bool(self._doubts)

    @property
    def claimed(self) -> bool:
        """Whether this run has charged a start."""
        return self.charged_epoch > 0

    def see(self, entry: Entry | None) -> None:
        """Takes in what the store holds before anything was charged."""
        self.version = 0 if entry is None else entry.version
        self.record = self._absent if entry is None else decode_loop(entry.value)
        self.standing = Standing.MINE

    def draft(self, change: Change, *, settles: bool) -> Draft:
        """Applies a change to the record that is there; in doubt until it is known to be done."""
        record = change(self.record)
        # Signed with a number of its own even if an earlier one came to nothing,
        # so that every write of this run can be told from any other.
        self.serial += 1
        value = encode_loop(record, self._head_of(record), self.serial)
        draft = Draft(record, value, self.version, self.serial, settles)
        self._doubts += (draft,)
        return draft

    def _head_of(self, record: LoopRecord) -> Head:
        head, past, running = self._head, record.past, record.running
        owner = None if running is None else running.owner
        if head is None or past is not self._head_past or owner is not self._head_owner:
            self._head = head = encode_head(past, owner, self.owner.token)
            self._head_past, self._head_owner = past, owner
        return head

    def accepted(self, draft: Draft, version: int, now: float) -> None:
        """Notes that a write was done."""
        self.record = draft.record
        self.version = version
        self.written_at = now
        self._note(draft)

    def compare(self, entry: Entry | None, draft: Draft | None = None) -> bool:
        """Takes in what the store holds instead of what was expected.

        Args:
            entry: what is there.
            draft: the write that was refused, if there was one.

        Returns:
            Whether the refused write was done after all, and only its reply
            was lost.
        """
        record = None if entry is None else decode_loop(entry.value)
        written = None if record is None else self._own(record)
        if written is None:
            self._doubts = ()
        else:
            self._note(written)
            self.settled_late = written is not draft and written.settles
        self.standing = standing(
            record,
            token=self.owner.token,
            epoch=self.charged_epoch,
            starts=self.charged_starts,
        )
        self.version = 0 if entry is None else entry.version
        self.conflict = entry
        if record is not None:
            self.record = record
        return written is not None and written is draft

    def _own(self, record: LoopRecord) -> Draft | None:
        token = self.owner.token
        newest_first = reversed(self._doubts)
        return next(
            (d for d in newest_first if is_written(record, token=token, serial=d.serial)), None
        )

    def _note(self, draft: Draft) -> None:
        self._doubts = ()
        running = draft.record.running
        self.closed = running is None
        if running is not None and running.owner.token == self.owner.token:
            self.charged_epoch, self.charged_starts = draft.record.epoch, draft.record.starts
