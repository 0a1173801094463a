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

from haltable.encoding import decode_loop, encode_loop, encode_past
from haltable.ledger import Standing, is_written, standing
from haltable.records import LoopRecord, Owner, Past
from haltable.store import Entry

__all__ = ["Book", "Change", "Draft"]

#: A ledger function over the record that is there; None refuses to write.
Change: TypeAlias = Callable[[LoopRecord], LoopRecord]


@attrs.frozen(eq=False)
class Draft:
    """A write that is ready to be sent, as often as need be."""

    record: LoopRecord
    value: bytes
    expected: int
    serial: int


class Book:
    """The record as this run last saw it, and its right to write it."""

    __slots__ = (
        "_past",
        "_past_text",
        "charged_epoch",
        "charged_starts",
        "closed",
        "owner",
        "record",
        "serial",
        "standing",
        "version",
        "written_at",
    )

    def __init__(self, owner: Owner, record: LoopRecord) -> None:
        self.owner = owner
        self.record = record
        #: 0 while the key is absent.
        self.version = 0
        #: How many writes this run has drafted.
        self.serial = 0
        self.charged_epoch = 0
        self.charged_starts = 0
        #: Whether this run has given the key back, so that nothing may renew it.
        self.closed = False
        #: How the claim stood when the record was last looked at.
        self.standing = Standing.MINE
        #: When this run last wrote, by its own clock.
        self.written_at = 0.0
        self._past: Past | None = None
        self._past_text = ""

    @property
    def claimed(self) -> bool:
        """Whether this run has charged a start."""
        return self.charged_epoch > 0

    def see(self, entry: Entry | None, absent: LoopRecord) -> None:
        """Takes in what the store holds before anything was charged."""
        self.version = 0 if entry is None else entry.version
        self.record = absent if entry is None else decode_loop(entry.value)
        self.standing = Standing.MINE

    def draft(self, change: Change) -> Draft:
        """Applies a change to the record that is there."""
        record = change(self.record)
        if record.past is not self._past:
            self._past, self._past_text = record.past, encode_past(record.past)
        # Signed with a number of its own even if an earlier one came to nothing,
        # so that every write of this run can be told from any other.
        self.serial += 1
        value = encode_loop(record, self._past_text, self.owner.token, self.serial)
        return Draft(record, value, self.version, self.serial)

    def accepted(self, draft: Draft, version: int, now: float) -> None:
        """Notes that a write was done."""
        self.record = draft.record
        self.version = version
        self.written_at = now
        self._note_charge(draft)
        self.closed = draft.record.running is None

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
        done = (
            record is not None
            and draft is not None
            and is_written(record, token=self.owner.token, serial=draft.serial)
        )
        if done and draft is not None:
            self._note_charge(draft)
        self.standing = standing(
            record,
            token=self.owner.token,
            epoch=self.charged_epoch,
            starts=self.charged_starts,
        )
        self.version = 0 if entry is None else entry.version
        if record is not None:
            self.record = record
        return done

    def _note_charge(self, draft: Draft) -> None:
        running = draft.record.running
        if running is not None and running.owner.token == self.owner.token:
            self.charged_epoch, self.charged_starts = draft.record.epoch, draft.record.starts
