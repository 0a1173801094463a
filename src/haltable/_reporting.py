# SPDX-License-Identifier: MIT
"""What a run tells: events to its sinks, and its report to whoever asks.

It reads what the kernel and the record say; it decides nothing and sends
nothing to a store.
"""

from __future__ import annotations

import json
from typing import Any

from haltable._recording import Recording
from haltable._tell import tell
from haltable.errors import in_words
from haltable.events import BreakerWarned, Event, IterationEnded, IterationStarted, LoopPaused
from haltable.model import Outcome, Ruling, Status
from haltable.records import LoopRecord
from haltable.report import Report
from haltable.sinks.log import log_watch_failure

__all__ = ["Reporting"]


class Reporting(Recording):
    """A run as those who listen know it."""

    _report: Report[Any] | None = None

    def tell(self, event: Event) -> None:
        """Gives an event to the sinks."""
        tell(event, self.settings.sinks)

    def tell_started(self) -> None:
        """Tells that an iteration begins."""
        self.tell(IterationStarted(self.label, self.kernel.run_number, self.kernel.starts))

    def tell_ended(self) -> None:
        """Tells that an iteration ended."""
        kernel = self.kernel
        if kernel.outcome is not None:
            failed = kernel.outcome in (Outcome.FAILED, Outcome.TRANSIENT)
            error = in_words(kernel.error) if failed and kernel.error is not None else None
            self.tell(IterationEnded(self.label, kernel.run_number, kernel.outcome, error))

    def tell_warnings(self) -> None:
        """Tells what breakers warned of since the last turn."""
        untold = self.kernel.untold
        if untold:
            self.kernel.untold = ()
            for breaker, reason in untold:
                self.tell(BreakerWarned(self.label, breaker, reason))

    def tell_paused(self, seconds: float) -> None:
        """Tells that the loop waits."""
        self.tell(LoopPaused(self.label, seconds))

    def note_blind_watch(self, error: Exception) -> None:
        """Logs that the watcher could not see the record."""
        log_watch_failure(self.label, error)

    @property
    def report(self) -> Report[Any]:
        """The receipt of the run; while it runs, of how it stands."""
        if self._report is None:
            report = self._make_report()
            if not self.finished:
                return report
            self._report = report
        return self._report

    @property
    def newest_error(self) -> BaseException | None:
        """What went wrong: with the store, which ends a run, or else with the body."""
        return self.fault or self.kernel.error

    def _make_report(self) -> Report[Any]:
        kernel = self.kernel
        ruling = kernel.ruling or Ruling(Status.OPEN, "", "still running")
        counts, past = kernel.counts, kernel.counts.past
        effects = self.settings.effects
        evidence = kernel.newest_evidence()
        if evidence is None and past.evidence is not None:
            evidence = past.evidence, past.evidence_start
        result, lost = kernel.result, None
        if self.stored_result is not None:
            result, lost = _from_json(self.stored_result)
        last_error = None if past.error is None else f"{past.error}, iteration {past.error_start}"
        if kernel.error is not None:
            last_error = f"{in_words(kernel.error)}, iteration {kernel.error_start}"
        return Report(
            status=ruling.status,
            breaker=ruling.breaker,
            reason=ruling.reason,
            starts=kernel.starts,
            failures=counts.failures,
            ran=self.ran,
            result=result,
            error=self.newest_error,
            pending=self.pending,
            evidence=evidence and f"{evidence[0]}, iteration {evidence[1]}",
            retry_after=self.retry_after,
            elapsed=kernel.elapsed(self.ended_at if self.ended_at is not None else self.now()),
            durable=self.durable,
            key=self.key,
            failures_in_row=counts.row,
            name=self.label,
            warnings=kernel.warnings,
            limits=self.settings.plan.limits,
            last_error=last_error,
            result_lost=lost,
            extension=counts.extension,
            unknown_effects=self.unknown_effects,
            namespace="" if effects is None else effects.namespace,
        )


def _from_json(record: LoopRecord) -> tuple[object, str | None]:
    past = record.past
    return (None if past.result is None else json.loads(past.result)), past.result_lost
