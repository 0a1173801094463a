# SPDX-License-Identifier: MIT
"""What one run owns: its decisions, its record, its children, its end.

The drivers work on this and carry it through; the public `Run` is this with
verbs.  It prepares every write of the run's record as a ledger function and
does no I/O of its own.
"""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import attrs

from haltable import ledger
from haltable._book import Book, Change
from haltable._context import here
from haltable._tell import tell
from haltable.breaker import in_words
from haltable.clock import Clock
from haltable.errors import ConfigurationError, LoopInterrupt
from haltable.events import (
    Event,
    IterationEnded,
    IterationStarted,
    LoopPaused,
    RunEnded,
    StartRefused,
)
from haltable.iteration import Iteration
from haltable.kernel import Kernel, Step
from haltable.ledger import Standing
from haltable.model import Done, GiveUp, Outcome, Ruling, Status, Trip
from haltable.plan import Plan
from haltable.recollection import Recollection, Unstorable
from haltable.records import RESULT_LIMIT, Apart, LoopRecord
from haltable.report import LoopHalted, Report, halted
from haltable.sink import Sink
from haltable.sinks.log import log_watch_failure
from haltable.store import AsyncStore, Store

__all__ = ["NAMESPACE", "RunState", "Settings"]

NAMESPACE = "haltable"


@attrs.frozen(eq=False)
class Settings:
    """A loop's configuration, shared by all of its runs."""

    plan: Plan
    name: str
    store: Store | None
    async_store: AsyncStore | None
    sinks: tuple[Sink, ...]
    clock: Clock
    own_clock: bool
    lease: float
    max_hold: float | None
    grace: float


class RunState:
    """One execution of a loop: everything that changes lives here."""

    __slots__ = (
        "__weakref__",
        "_report",
        "apart",
        "apart_stored_text",
        "apart_version",
        "async_lock",
        "begun",
        "book",
        "breath_at",
        "children",
        "clock",
        "durable",
        "ended_at",
        "entered",
        "fault",
        "finished",
        "in_block",
        "interrupted_by_us",
        "interrupter",
        "kernel",
        "key",
        "listening",
        "lock",
        "looping",
        "memory",
        "now",
        "outer",
        "overruled",
        "pending",
        "previous",
        "ran",
        "retry_after",
        "settings",
        "single_step",
        "step",
        "stored_result",
        "turnstile",
        "unsettled",
        "verb_at",
        "waker",
    )

    def __init__(self, settings: Settings, key: str | None) -> None:
        plan = settings.plan
        if plan.stateful:
            plan = plan.for_run()
        outer = here.get()
        clock = settings.clock
        if outer is not None and not settings.own_clock and outer.ambient_clock is not None:
            clock = outer.ambient_clock
        self.settings = settings
        self.key = key
        self.clock = clock
        self.now: Callable[[], float] = clock.now
        self.listening = bool(settings.sinks)
        now = clock.now()
        self.kernel = Kernel(plan, now, key=key, loud=self.listening or key is not None)
        self.book: Book | None = None
        self.begun = False
        self.breath_at = now
        self.entered = False
        self.in_block = False
        self.interrupted_by_us = False
        #: Interrupts the running body; None where the mode cannot.
        self.interrupter: Callable[[], None] | None = None
        self.finished = False
        self.looping = False
        self.single_step = False
        self.ran = False
        self.durable = False
        self.ended_at: float | None = None
        self.step: Step | None = None
        #: How an iteration ended that the record does not know of yet.
        self.unsettled: Outcome | None = None
        #: Standings of the claim over which the run's last write goes all the same.
        self.overruled: frozenset[Standing] = frozenset()
        self.fault: BaseException | None = None
        self.pending: Any = None
        self.turnstile: Any = None
        self.lock: threading.Lock | None = None
        self.async_lock: AbstractAsyncContextManager[object] | None = None
        self.retry_after: float | None = None
        self.stored_result: LoopRecord | None = None
        self.children: list[RunState] | None = None
        self.waker: Callable[[], None] | None = None
        self._report: Report[Any] | None = None
        self.outer: RunState | None = None
        self.previous: Any = None
        if isinstance(outer, RunState) and not outer.finished:
            self._nest_in(outer, now)
        if key is not None:
            self.verb_at = now
            self.memory = Recollection(plan.breakers, apart=False)
            self.apart = Recollection(plan.breakers, apart=True)
            self.apart_version = 0
            self.apart_stored_text = "{}"

    # The run seen from inside a body ------------------------------------------

    @property
    def ambient_clock(self) -> Clock | None:
        """The clock that loops begun inside use, if this one's was chosen."""
        return (
            self.clock if self.clock is not self.settings.clock or self.settings.own_clock else None
        )

    def open_iteration(self) -> Iteration | None:
        """Returns the open iteration, None between two."""
        if self.finished or not self.ran or self.kernel.outcome is not None:
            return None
        return self.kernel.current(self)

    def claim(self, iteration: Iteration, claim: Done | GiveUp, value: object) -> None:
        """Notes what the body says of itself."""
        self.check(iteration)
        self.kernel.accept(iteration, claim, value)

    def check(self, iteration: Iteration | None = None) -> None:
        """Raises `LoopInterrupt` if the run has ended or was asked to stop."""
        kernel = self.kernel
        if kernel.ruling is None and (kernel.stop is not None or self.finished):
            kernel.ruling = kernel.stop or Ruling(Status.OPEN, "run", "the run is over")
        if kernel.ruling is not None:
            raise self.refusal()
        if iteration is not None and iteration.starts != kernel.starts:
            raise LoopInterrupt(f"{iteration!r} is over", self)

    def refusal(self) -> LoopInterrupt | LoopHalted:
        """Returns what a verb raises once the run has ended.

        An interrupt where one of our frames is around the caller to turn it
        into a `LoopHalted`, and that one itself where none is.
        """
        if self.looping and not self.in_block and not self.entered:
            return halted(self.report)
        ruling = self.kernel.ruling or Ruling(Status.OPEN, "run", "the run is over")
        return LoopInterrupt(f"{ruling.breaker}: {ruling.reason}", self)

    def enter(self, iteration: Iteration) -> None:
        """Begins a ``with iteration:`` block."""
        if not self.looping:
            raise ConfigurationError(
                "with iteration: belongs into `for iteration in loop`; "
                "run, step and decorated bodies have their exceptions caught already"
            )
        self.check(iteration)
        self.in_block = True

    def leave(self, iteration: Iteration, error: BaseException | None) -> bool:
        """Ends a ``with iteration:`` block; returns whether the exception became an outcome."""
        kernel = self.kernel
        self.in_block = False
        if kernel.starts != iteration.starts or kernel.outcome is not None:
            return False
        if error is None:
            kernel.returned(None)
        elif isinstance(error, Exception):
            kernel.failed(error)
        elif isinstance(error, LoopInterrupt) and error.run is self:
            kernel.killed()
        else:
            kernel.interrupted()
            return False
        return True

    # Stopping from outside ------------------------------------------------------

    def ask_to_stop(self, ruling: Ruling, *, interrupting: bool = False) -> None:
        """Ends the run at its next turn, and wakes it if it waits; from any thread.

        Args:
            ruling: how it ends.
            interrupting: whether the body that is running shall not be waited
                for, where the mode can interrupt it.
        """
        kernel = self.kernel
        if kernel.stop is None:
            kernel.stop = ruling
        kernel.interrupt_quiet()
        waker = self.waker
        if waker is not None:
            waker()
        interrupter = self.interrupter
        if interrupting and interrupter is not None:
            self.interrupted_by_us = True
            interrupter()
        for child in self.children or ():
            child.ask_to_stop(child.stopped("outer", f"the run around it ended: {ruling.reason}"))

    def stopped(self, who: str, reason: str) -> Ruling:
        """Returns the ruling of a stop by the host, which leaves a key open for the next run."""
        status = Status.STOPPED if self.key is None else Status.OPEN
        return Ruling(status, who, reason)

    def _nest_in(self, outer: RunState, now: float) -> None:
        self.outer = outer
        if outer.children is None:
            outer.children = []
        outer.children.append(self)
        kernel, around = self.kernel, outer.kernel
        if outer.clock is self.clock:
            left = around.origin + around.plan.time_limit - now
            kernel.outer_end = now + min(left, around.outer_end - now)
        if around.stop is not None or around.ruling is not None:
            self.ask_to_stop(self.stopped("outer", "the run around it has ended"))

    # Preparing writes -------------------------------------------------------------

    @property
    def store_key(self) -> str:
        """Where the loop's record lies."""
        return f"{NAMESPACE}/loop/{self.key}"

    @property
    def apart_key(self) -> str:
        """Where the breakers' large memory lies."""
        return f"{NAMESPACE}/apart/{self.key}"

    def charging(self, moment: float) -> Change:
        """Returns the write that ends the last iteration and charges the next."""
        book, lease = self.keyed_book(), self.settings.lease
        outcome, elapsed = self.unsettled, self.kernel.elapsed(moment)

        def charge(record: LoopRecord) -> LoopRecord:
            if outcome is not None:
                record = ledger.settled(record, outcome, elapsed=elapsed)
            record = ledger.charged(record, book.owner, lease=lease, elapsed=elapsed)
            return self._with_past(record)

        return charge

    def pausing(self, moment: float, wait: float) -> Change:
        """Returns the write that ends the last iteration and keeps the key for the next."""
        book, lease = self.keyed_book(), self.settings.lease
        outcome, elapsed = self.unsettled, self.kernel.elapsed(moment)

        def pause(record: LoopRecord) -> LoopRecord:
            record = ledger.settled(record, outcome, elapsed=elapsed, wait=wait)
            return self._with_past(ledger.held(record, book.owner, lease=lease, pausing=True))

        return pause

    def renewing(self, moment: float) -> Change:
        """Returns the write that renews the lease and notes the live seconds."""
        book, lease = self.keyed_book(), self.settings.lease
        elapsed = self.kernel.elapsed(moment)

        def renew(record: LoopRecord) -> LoopRecord:
            pausing = record.running is not None and record.running.pausing
            record = attrs.evolve(record, elapsed=elapsed)
            return ledger.held(record, book.owner, lease=lease, pausing=pausing)

        return renew

    def releasing(self, moment: float, wait: float = 0.0) -> Change:
        """Returns the write that ends the last iteration and gives the key back."""
        outcome, elapsed = self.unsettled, self.kernel.elapsed(moment)

        def release(record: LoopRecord) -> LoopRecord:
            record = ledger.settled(record, outcome, elapsed=elapsed, wait=wait)
            return self._with_past(ledger.released(record))

        return release

    def judging(self, moment: float, ruling: Ruling) -> Change:
        """Returns the write that ends the last iteration and makes the key terminal."""
        outcome, elapsed = self.unsettled, self.kernel.elapsed(moment)
        result, lost = (
            _as_json(self.kernel.result) if ruling.status is Status.SUCCEEDED else (None, None)
        )

        def judge(record: LoopRecord) -> LoopRecord:
            if outcome is not None:
                record = ledger.settled(record, outcome, elapsed=elapsed)
            record = self._with_past(record)
            past = attrs.evolve(record.past, result=result, result_lost=lost)
            return ledger.judged(attrs.evolve(record, past=past), ruling, elapsed=elapsed)

        return judge

    def closing(self, moment: float, wait: float) -> Change:
        """Returns the run's last write, by how it ends."""
        ruling = self.kernel.ruling
        if Standing.RESET in self.overruled:
            return ledger.released  # Counts of another epoch are not ours to touch.
        if ruling is not None and ruling.status.terminal:
            return self.judging(moment, ruling)
        return self.releasing(moment, wait)

    @property
    def owes_a_write(self) -> bool:
        """Whether the run's end is to be recorded."""
        ruling = self.kernel.ruling
        if self.finished or ruling is None:
            return False
        book = self.keyed_book()
        if book.claimed:
            return book.standing not in (Standing.TAKEN, Standing.ENDED)
        return ruling.status.terminal

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
        evidence = kernel.newest_evidence()
        if evidence is not None and evidence != (past.evidence, past.evidence_start):
            changes["evidence"], changes["evidence_start"] = evidence
        limits = self.settings.plan.limits
        if past.limits != limits:
            changes["limits"] = limits
        return attrs.evolve(record, past=attrs.evolve(past, **changes)) if changes else record

    # What a look at the record means ----------------------------------------------

    def ruling_for(self, standing: Standing) -> Ruling:
        """Returns how the run ends when its claim stands like this."""
        record = self.keyed_book().record
        past = record.past
        last = past.history[-1] if past.history else None
        by = "an operator" if last is None else f"{last.by}: {last.why}"
        if standing is Standing.STOP_ASKED and past.stop is not None:
            return ledger.stopped_by(past.stop.by, past.stop.why)
        if standing is Standing.ENDED and past.ruling is not None:
            return past.ruling
        if standing is Standing.RESET:
            return Ruling(Status.OPEN, "operator", f"the key was reset by {by}")
        if standing is Standing.LOST:
            return Ruling(Status.TRIPPED, "store", "lost state: the record this run wrote is gone")
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

    # Telling -------------------------------------------------------------------------

    @property
    def label(self) -> str:
        """What receipts and events call the loop."""
        return self.settings.name if self.key is None else self.key

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

    def tell_paused(self, seconds: float) -> None:
        """Tells that the loop waits."""
        self.tell(LoopPaused(self.label, seconds))

    # The end -------------------------------------------------------------------------

    def take_over(self, record: LoopRecord, *, crashed: bool) -> None:
        """Goes on from a record that nobody holds."""
        book, kernel = self.keyed_book(), self.kernel
        book.record = record
        kernel.carry_on(record, self.now())
        self.memory.recall(record.past.memory)
        if record.past.stop is not None and kernel.stop is None:
            kernel.stop = ledger.stopped_by(record.past.stop.by, record.past.stop.why)
        if crashed and self.listening:
            self.tell(IterationEnded(self.label, 0, Outcome.CRASHED, record.past.error))

    def recall_apart(self, apart: Apart | None, version: int) -> None:
        """Takes in the breakers' large memory; another epoch's is not read."""
        self.apart_version = version
        if apart is not None and apart.epoch == self.keyed_book().record.epoch:
            self.apart.recall(apart.memory)
            self.apart_stored_text = self.apart.text

    def refuse(self, ruling: Ruling) -> None:
        """Ends a run that may not start, with what is stored as its report."""
        kernel, record = self.kernel, self.keyed_book().record
        kernel.ruling = ruling
        kernel.counts, kernel.starts = record, record.starts
        kernel.origin = self.now() - record.elapsed
        if ruling.status is Status.SUCCEEDED:
            self.stored_result = record
        if self.listening:
            self.tell(StartRefused(self.label, ruling))
        self.end(durable=True)

    def step_aside(self, wait: float) -> None:
        """Ends a single step whose loop is not at its end."""
        self.kernel.ruling = Ruling(Status.OPEN, "run", "this step is done, the loop is not")
        self.retry_after = wait or None

    def is_ours(self, error: BaseException) -> bool:
        """Whether an exception is how this run interrupted its own body."""
        if isinstance(error, LoopInterrupt):
            return error.run is self and (self.kernel.stop or self.kernel.ruling) is not None
        return self.interrupted_by_us and not isinstance(error, (KeyboardInterrupt, SystemExit))

    def rule_on_block(self, error: BaseException | None) -> None:
        """Says how a block around somebody else's loop ended, if no verdict did."""
        kernel = self.kernel
        if kernel.ruling is not None:
            return
        if error is not None:
            kernel.ruling = Ruling(Status.OPEN, "run", f"left by {in_words(error)}")
        elif kernel.plan.judges_success:
            reason = "the block ended, and the success condition does not hold"
            kernel.ruling = Ruling(Status.OPEN, "run", reason)
        else:
            kernel.ruling = Ruling(Status.SUCCEEDED, "run", "the block ended")

    def renewal_due(self, now: float) -> bool:
        """Whether a third of the lease has passed since the last write."""
        since = now - self.keyed_book().written_at
        hold = self.settings.max_hold
        if hold is not None and now - self.verb_at >= hold:
            return False
        return since >= self.settings.lease / 3

    def note_blind_watch(self, error: Exception) -> None:
        """Logs that the watcher could not see the record."""
        log_watch_failure(self.label, error)

    def remember(self) -> bool:
        """Encodes the breakers' memory; False if one cannot be stored, which opens its breaker."""
        try:
            self.memory.refresh()
            self.apart.refresh()
        except Unstorable as error:
            self.kernel.say(error.breaker, Trip(error.words))
            return False
        return True

    def blame_store(self, error: BaseException) -> None:
        """Ends the run, not the key: the store failed."""
        self.fault = error
        self.kernel.ruling = Ruling(Status.OPEN, "store", in_words(error))

    def end(self, *, durable: bool) -> None:
        """Closes the run; every further verb of it raises."""
        if self.finished:
            return
        self.finished = True
        self.durable = durable
        kernel = self.kernel
        self.ended_at = self.now()
        kernel.interrupt_quiet()
        outer = self.outer
        if outer is not None and outer.children is not None and self in outer.children:
            outer.children.remove(self)
        ruling = kernel.ruling
        if ruling is None or (ruling.status is Status.SUCCEEDED and not self.listening):
            return
        if self.ran or self.book is None or ruling.status.terminal:
            self.tell(
                RunEnded(
                    self.label,
                    ruling,
                    kernel.starts,
                    kernel.counts.failures,
                    kernel.elapsed(self.now()),
                    durable,
                )
            )

    @property
    def report(self) -> Report[Any]:
        """The receipt of the run; while it runs, of how it stands."""
        if self._report is not None:
            return self._report
        report = self._make_report()
        if self.finished:
            self._report = report
        return report

    def _make_report(self) -> Report[Any]:
        kernel = self.kernel
        ruling = kernel.ruling or Ruling(Status.OPEN, "", "still running")
        counts, past = kernel.counts, kernel.counts.past
        evidence = kernel.newest_evidence()
        if evidence is None and past.evidence is not None:
            evidence = past.evidence, past.evidence_start
        result, lost = kernel.result, None
        if self.stored_result is not None:
            result, lost = _from_json(self.stored_result)
        last_error = None if past.error is None else f"{past.error}, iteration {past.error_start}"
        if kernel.error is not None:
            last_error = in_words(kernel.error)
        return Report(
            status=ruling.status,
            breaker=ruling.breaker,
            reason=ruling.reason,
            starts=kernel.starts,
            failures=counts.failures,
            ran=self.ran,
            result=result,
            error=self.fault or kernel.error,
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
        )

    @property
    def chance(self) -> Callable[[], float]:
        """The source of the jitter."""
        return random.random


class SyncWaker:
    """Wakes a pause of a synchronous run."""

    __slots__ = ("event",)

    def __init__(self) -> None:
        self.event = threading.Event()

    def __call__(self) -> None:
        self.event.set()


def _as_json(result: object) -> tuple[str | None, str | None]:
    if result is None:
        return "null", None
    try:
        text = json.dumps(result, separators=(",", ":"), allow_nan=False)
        same = json.loads(text) == result
    except (TypeError, ValueError) as error:
        return None, f"it is not JSON: {error}"
    if not same:
        return None, f"it is not JSON: a {type(result).__name__} would come back as something else"
    if len(text) > RESULT_LIMIT:
        return None, f"as JSON it has {len(text):,} bytes, more than {RESULT_LIMIT:,}"
    return text, None


def _from_json(record: LoopRecord) -> tuple[object, str | None]:
    past = record.past
    return (None if past.result is None else json.loads(past.result)), past.result_lost
