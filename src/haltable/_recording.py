# SPDX-License-Identifier: MIT
"""Prepares every write of a run's record, as a ledger function of what is there.

It does no I/O: the drivers send what is prepared here.  What a look at the
record means for the run is said here too.
"""

from __future__ import annotations

import json
from typing import Any

from haltable import interventions, ledger
from haltable._book import Book, Change
from haltable._fields import RunFields
from haltable.errors import in_words
from haltable.ledger import Standing
from haltable.model import Outcome, Ruling, Status, Trip
from haltable.recollection import Unstorable
from haltable.records import RESULT_LIMIT, Apart, LoopRecord, changed

__all__ = ["NAMESPACE", "Recording"]

NAMESPACE = "haltable"
#: Standings in which there is nothing left that this run may write.
_NOT_OURS = (Standing.TAKEN, Standing.ENDED, Standing.FORKED)


_EXTENDED = Ruling(Status.OPEN, "operator", "the key was extended while the run was ending")
_RESET = Ruling(Status.OPEN, "operator", "the key was reset while the run was ending")
_PLAIN_RULINGS = {
    Standing.FORKED: Ruling(Status.OPEN, "run", "this is a forked copy; its parent runs the key"),
    Standing.LOST: Ruling(Status.TRIPPED, "store", "lost state: the record this run wrote is gone"),
}


class Recording(RunFields):
    """A run as the writer of its record."""

    @property
    def label(self) -> str:
        """What receipts and events call the loop."""
        return self.settings.name if self.key is None else self.key

    @property
    def apart_key(self) -> str:
        """Where the breakers' large memory lies."""
        return f"{NAMESPACE}/apart/{self.key}"

    def presumes_absent(self) -> bool:
        """Says whether the key is charged as one that nobody has started, without a look at it.

        The store refuses that if somebody has, and shows what is there.  So the
        first step of a key saves a way to the store, and of the later ones only
        those cost more that are turned away.
        """
        return self.single_step and not self.known and self.kernel.begins_silently(self.now())

    def charging(self, moment: float) -> Change:
        """Returns the write that ends the last iteration and charges the next."""
        book, lease = self.keyed_book(), self.settings.lease
        elapsed = self.kernel.elapsed(moment)
        self.verb_at = moment

        def charge(record: LoopRecord) -> LoopRecord:
            # Where nothing ended since the last write, there is nothing more to tell.
            if self.unsettled is not None:
                record = self._with_past(ledger.settled(record, self.unsettled, elapsed=elapsed))
            elif not book.claimed:
                record = self._with_past(record)
            return ledger.charged(record, book.owner, lease=lease, elapsed=elapsed)

        return charge

    def pausing(self, moment: float, wait: float) -> Change:
        """Returns the write that ends the last iteration and keeps the key for the next."""
        book, lease = self.keyed_book(), self.settings.lease
        elapsed = self.kernel.elapsed(moment)
        self.rested_at = moment + wait

        def pause(record: LoopRecord) -> LoopRecord:
            record = ledger.settled(record, self.unsettled, elapsed=elapsed, wait=wait)
            return self._with_past(ledger.held(record, book.owner, lease=lease, pausing=True))

        return pause

    def renewing(self, moment: float) -> Change:
        """Returns the write that renews the lease and notes the live seconds."""
        book, lease = self.keyed_book(), self.settings.lease
        elapsed = self.kernel.elapsed(moment)

        def renew(record: LoopRecord) -> LoopRecord:
            pausing = record.running is not None and record.running.pausing
            # The store's age, from which the wait is reckoned, begins anew.
            wait = max(0.0, self.rested_at - moment) if pausing else record.wait
            record = changed(record, elapsed=elapsed, wait=wait)
            return ledger.held(record, book.owner, lease=lease, pausing=pausing)

        return renew

    def releasing(self, moment: float, wait: float = 0.0) -> Change:
        """Returns the write that ends the last iteration and gives the key back."""
        elapsed = self.kernel.elapsed(moment)

        def release(record: LoopRecord) -> LoopRecord:
            record = ledger.settled(record, self.unsettled, elapsed=elapsed, wait=wait)
            return self._with_past(ledger.released(record))

        return release

    def judging(self, moment: float, ruling: Ruling, seen: LoopRecord) -> Change:
        """Returns the write that ends the last iteration and makes the key terminal.

        Unless an operator has reset or extended the key since the verdict fell
        over what was ``seen``: then it is given back, for the next start to go on.
        """
        elapsed = self.kernel.elapsed(moment)
        result, lost = (
            _as_json(self.kernel.result) if ruling.status is Status.SUCCEEDED else (None, None)
        )

        def judge(record: LoopRecord) -> LoopRecord:
            if record.epoch > seen.epoch:
                self.kernel.ruling = _RESET
                return ledger.released(record)  # Counts of another epoch are not ours to touch.
            withdrawn = record.extension > seen.extension and _is_withdrawn(ruling, record)
            # A verdict that stands notes the live seconds itself.
            plain = self.unsettled is None or ledger.is_settled(record, self.unsettled)
            if withdrawn or not plain:
                record = ledger.settled(record, self.unsettled, elapsed=elapsed)
            record = self._with_past(record)
            if withdrawn:
                self.kernel.ruling = _EXTENDED
                return ledger.released(record)
            return ledger.judged(record, ruling, elapsed=elapsed, result=result, result_lost=lost)

        return judge

    def condemning(self, moment: float, ruling: Ruling) -> Change:
        """Returns the write that makes the key terminal while the body is still running."""
        elapsed = self.kernel.elapsed(moment)

        def condemn(record: LoopRecord) -> LoopRecord:
            return ledger.condemned(self._with_past(record), ruling, elapsed=elapsed)

        return condemn

    def closing(self, moment: float, wait: float, seen: LoopRecord) -> Change:
        """Returns the run's last write, by how it ends.

        Args:
            moment: now.
            wait: seconds before which the next start is too early.
            seen: the counts over which the verdict fell.
        """
        ruling = self.kernel.ruling
        if Standing.RESET in self.overruled:
            return ledger.released  # Counts of another epoch are not ours to touch.
        if ruling is not None and ruling.status.terminal:
            return self.judging(moment, ruling, seen)
        return self.releasing(moment, wait)

    @property
    def owes_a_write(self) -> bool:
        """Whether the run's end is to be recorded."""
        ruling = self.kernel.ruling
        if self.finished or ruling is None:
            return False
        book = self.keyed_book()
        if book.claimed:
            return book.standing not in _NOT_OURS
        return ruling.status.terminal or book.in_doubt

    @property
    def is_stored(self) -> bool:
        """Whether the record says all that there is to say of a run that owes it no write."""
        ruling, book = self.kernel.ruling, self.keyed_book()
        if book.standing in (Standing.TAKEN, Standing.FORKED):
            return False
        return book.claimed or ruling is None or not ruling.status.terminal

    @property
    def tripped_while_charged(self) -> bool:
        """Whether a breaker opened over counts that an operator may have extended meanwhile."""
        ruling = self.kernel.ruling
        return (
            self.book is not None
            and self.book.claimed
            and ruling is not None
            and ruling.status is Status.TRIPPED
            # A body that was interrupted is not taken up again.
            and (self.oversight is None or self.oversight.ruled is None)
        )

    def bow_to(self, standing: Standing) -> bool:
        """Ends the run as its claim demands; returns whether the verdict it had stays.

        The first verdict written stands, so what another wrote goes before
        ours; an operator's request does not go before a verdict.
        """
        kernel = self.kernel
        ruling = kernel.ruling
        self.overruled |= {standing}
        if standing is Standing.STOP_ASKED and ruling is not None and ruling.status.terminal:
            return True
        kernel.ruling = self.ruling_for(standing)
        return standing in (Standing.STOP_ASKED, Standing.LOST, Standing.BACKWARDS)

    def keyed_book(self) -> Book:
        """Returns the book of a run with a key."""
        if self.book is None:
            raise AssertionError("only a run with a key has a book")
        return self.book

    def _with_past(self, record: LoopRecord) -> LoopRecord:
        past, kernel = record.past, self.kernel
        changes: dict[str, Any] = {}
        if past.memory != self.memory.text:
            changes["memory"] = self.memory.text
        if self.unsettled in (Outcome.FAILED, Outcome.TRANSIENT) and kernel.error is not None:
            changes["error"] = in_words(kernel.error)
            changes["error_start"] = kernel.starts
        evidence = kernel.newest_evidence() if kernel.plan.witnesses else None
        if evidence is not None and evidence != (past.evidence, past.evidence_start):
            changes["evidence"], changes["evidence_start"] = evidence
        limits = self.settings.plan.limits
        if past.limits != limits:
            changes["limits"] = limits
        return changed(record, past=changed(past, **changes)) if changes else record

    # What a look at the record means ----------------------------------------------

    def ruling_for(self, standing: Standing) -> Ruling:
        """Returns how the run ends when its claim stands like this."""
        record = self.keyed_book().record
        past = record.past
        last = past.history[-1] if past.history else None
        by = "an operator" if last is None else f"{last.by}: {last.why}"
        if standing is Standing.STOP_ASKED and past.stop is not None:
            return interventions.stopped_by(past.stop.by, past.stop.why)
        if standing is Standing.ENDED and past.ruling is not None:
            return past.ruling
        if standing is Standing.RESET:
            return Ruling(Status.OPEN, "operator", f"the key was reset by {by}")
        if standing in _PLAIN_RULINGS:
            return _PLAIN_RULINGS[standing]
        if standing is Standing.BACKWARDS:
            book = self.keyed_book()
            return Ruling(
                Status.TRIPPED,
                "store",
                f"the record went backwards: epoch {record.epoch}, {record.starts} starts, after "
                f"epoch {book.charged_epoch}, {book.charged_starts} starts",
            )
        holder = "another run" if record.running is None else str(record.running.owner)
        return Ruling(Status.OPEN, "run", f"lost the key: its lease lapsed and {holder} took it")

    def recall_apart(self, apart: Apart | None, version: int) -> None:
        """Takes in the breakers' large memory; another epoch's is not read."""
        self.apart_version = version
        book = self.keyed_book()
        # Beside an absent record lies what another one left behind.
        if apart is not None and book.version and apart.epoch == book.record.epoch:
            self.apart.recall(apart.memory)
            self.apart_stored_text = self.apart.text

    def renewal_due(self, now: float) -> bool:
        """Whether a third of the lease has passed since the last write."""
        since = now - self.keyed_book().written_at
        hold = self.settings.max_hold
        if hold is not None and now - self.verb_at >= hold:
            return False
        return since >= self.settings.lease / 3

    def remember(self) -> bool:
        """Encodes the breakers' memory; False if one cannot be stored, which opens its breaker."""
        try:
            self.memory.refresh()
            self.apart.refresh()
        except Unstorable as error:
            self.kernel.say(error.breaker, Trip(error.words))
            return False
        return True


def _is_withdrawn(ruling: Ruling, record: LoopRecord) -> bool:
    """Says whether an extension withdraws a verdict: one over counts, or a stop asked before it."""
    if record.past.ruling is not None:
        return False  # Written while the body was running, and nobody has touched it since.
    if ruling.status is Status.STOPPED:
        return record.past.stop is None
    return ruling.status is Status.TRIPPED


def _as_json(result: object) -> tuple[str | None, str | None]:
    if result is None:
        return "null", None
    try:
        text = json.dumps(result, separators=(",", ":"), allow_nan=False)
        same = json.loads(text) == result
    except (TypeError, ValueError, RecursionError) as error:
        return None, f"it is not JSON: {error}"
    if not same:
        return None, f"it is not JSON: a {type(result).__name__} would come back as something else"
    if len(text) > RESULT_LIMIT:
        return None, f"as JSON it has {len(text):,} bytes, more than {RESULT_LIMIT:,}"
    return text, None
