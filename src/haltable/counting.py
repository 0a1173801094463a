# SPDX-License-Identifier: MIT
"""Where a run stands: its counts, its live seconds, the iteration that is open.

The kernel's lower half.  It keeps and shows numbers and begins iterations; what
they mean is decided above, and it does no more than the kernel does: nothing.
"""

from __future__ import annotations

import math

from haltable.facts import Facts
from haltable.iteration import Iteration, Verbs
from haltable.model import Done, GiveUp, Outcome, Ruling, Verdict
from haltable.plan import Plan
from haltable.records import LoopRecord, new_record

__all__ = ["RETURNED", "Counting"]

#: The counts of every run without a key: frozen, so one serves all.
_NOTHING_COUNTED = new_record("")
# Looking a member up on its enum costs more than a whole comparison, and this
# one is looked at in every turn.
RETURNED = Outcome.RETURNED
_EVER = math.inf


class Counting:
    """The counts of one run, and the iterations that show them."""

    # Most runs touch few of these, so first values are the class's.
    #: The counts as the ledger has them; frozen, so one serves all that have none.
    counts: LoopRecord = _NOTHING_COUNTED
    #: The start that is open, or was the last.
    starts: int = 0
    #: Starts before this run; the number of an iteration is what came after.
    base: int = 0
    key: str | None = None
    fence: int = 0
    outcome: Outcome | None = None
    result: object = None
    error: BaseException | None = None
    #: The start that the newest exception ended.
    error_start: int = 0
    claim: Done | GiveUp | None = None
    claimed: object = None
    #: Whether every iteration is looked at in full.
    loud: bool = False
    ruling: Ruling | None = None
    #: Set by others, from any thread: how the run shall end at the next turn.
    stop: Ruling | None = None
    #: The last different ones, oldest first.
    warnings: tuple[str, ...] = ()
    #: Warnings that no sink has heard of yet, as who and why.
    untold: tuple[tuple[str, str], ...] = ()
    pause: float = 0.0
    #: The moment after which an outer run's deadline allows no start.
    outer_end: float = math.inf
    #: For how many seconds iterations may pass quietly without a full turn.
    breath: float = math.inf
    _words: tuple[tuple[str, Verdict], ...] = ()
    #: The words that were there before the breakers' hooks were called.
    _heard: tuple[tuple[str, Verdict], ...] = ()
    #: Whether a quiet question was answered with a success, which ends the run.
    held: bool = False
    #: That success.
    _yes: Ruling | None = None
    #: Effects of this run: carried out, and replayed.
    effects_ran: int = 0
    effects_replayed: int = 0
    _iteration: Iteration | None = None
    #: For which start that was made; what it says itself, a body may have changed.
    _made_for: int = 0
    #: What iterations made now would share; None once it may have changed.
    _facts: Facts | None = None
    #: For which extension the horizon below was looked for; -1 once it may have moved.
    _looked_for: int = -1
    #: When the start began that `_began_for` names; others passed quietly.
    _began: float = 0.0
    _began_for: int = 0
    _silent_starts: float = 0
    _silent_time: float = 0.0
    _quiet_starts: float = 0
    _quiet_time: float = 0.0

    def __init__(
        self, plan: Plan, now: float, *, key: str | None = None, loud: bool = False
    ) -> None:
        self.plan = plan
        if key is not None:
            self.key = key
        #: The moment at which the loop's live seconds were zero.
        self.origin = now
        self._at = now
        # A first value that is read in every run, however short, is found sooner here.
        self.loud = loud or plan.loud
        self.counts = _NOTHING_COUNTED
        self.held = False
        self.stop = self.claim = self.ruling = None
        self.outer_end = self.breath = _EVER
        self._words = ()

    def begin(self, now: float) -> None:
        """Begins the next iteration; its start is charged."""
        self._at = now
        self.starts += 1
        self._open(now)
        self._began, self._began_for = now, self.starts

    def begin_quietly(self, now: float) -> bool:
        """Begins the first iteration if nobody can have a word on it."""
        plan = self.plan
        if not plan.simple or self.loud or self.stop is not None:
            return False
        if self.outer_end == _EVER and self.breath == _EVER:
            self._quiet_starts = self._silent_starts = plan.quiet_starts
            self._quiet_time = self._silent_time = self.origin + plan.quiet_elapsed
        elif now < self.outer_end:
            self._open(now)
        else:
            return False
        self.starts = 1
        return True

    def begins_silently(self, now: float) -> bool:
        """Says whether nobody can have a word before the first iteration."""
        return (
            self.plan.simple
            and not (self.loud or self._words)
            and self.starts == self.base
            and self.stop is None
            and self.ruling is None
            and now < self.outer_end
            and self._surely_allowed(now)
        )

    def adopt(self, record: LoopRecord, now: float, fence: int) -> None:
        """Begins the next iteration with the counts of the record that charged it."""
        self._at = now
        self.counts = record
        self.starts = record.starts
        self.fence = fence
        self._open(now)
        self._began, self._began_for = now, self.starts

    def carry_on(self, record: LoopRecord, now: float) -> None:
        """Takes over the counts and the live seconds of a key that ran before."""
        self.counts = record
        self.starts = record.starts
        self.base = record.starts
        self.origin = now - record.elapsed
        self._facts = None
        self._looked_for = -1

    def current(self, verbs: Verbs | None, now: float | None = None) -> Iteration:
        """Returns the open iteration, made when first asked for.

        Args:
            verbs: what carries out its verbs.
            now: the moment, if iterations may have passed quietly since a turn.
        """
        iteration = self._iteration
        if iteration is None or self._made_for != self.starts:
            if now is not None:
                self._at = now
            self._iteration = iteration = self._make(verbs, self.starts)
            self._made_for = self.starts
        return iteration

    def fresh(self, verbs: Verbs | None, now: float) -> Iteration:
        """Returns the open iteration for a body that takes it."""
        self._made_for = starts = self.starts
        facts = self._facts
        if facts is None:
            facts = self._state_facts()
        self._iteration = iteration = Iteration(verbs, facts, starts, now)
        return iteration

    def elapsed(self, now: float) -> float:
        """Returns for how many seconds the loop was alive."""
        return now - self.origin

    @property
    def run_number(self) -> int:
        """The number of the newest iteration of this run; 0 before the first."""
        return self.starts - self.base

    def newest_evidence(self) -> tuple[str, int] | None:
        """Returns the newest evidence that a breaker has seen, and the start it was seen at."""
        witnesses = self.plan.witnesses
        if not witnesses:
            return None
        seen = [e for b in witnesses if (e := b.newest_evidence()) is not None]
        return max(seen, key=lambda evidence: evidence[1], default=None)

    def interrupt_quiet(self) -> None:
        """Makes the next iteration's end a full turn; callable from any thread."""
        self._quiet_starts = 0

    def _surely_allowed(self, now: float) -> bool:
        plan, counts = self.plan, self.counts
        return (
            not plan.stateful
            and not counts.failures
            and self.starts < plan.quiet_starts
            and now - self.origin < plan.quiet_elapsed
        )

    def _open(self, now: float) -> None:
        self.outcome = None
        self._iteration = None
        self._facts = None
        self.claim = None
        self.claimed = None
        counts = self.counts
        if self._looked_for != counts.extension:
            self._look_for_horizon(counts.extension)
        self._quiet_time = self._silent_time
        if self.breath < _EVER:
            self._quiet_time = min(self._silent_time, now + self.breath)
        # A row of failures is ended by a full turn.
        loud = self.loud or counts.row or counts.slips
        self._quiet_starts = 0 if loud else self._silent_starts
        # Looked at last, so that a stop from another thread is never painted over.
        if self.stop is not None:
            self._quiet_starts = 0

    def _look_for_horizon(self, extension: int) -> None:
        plan = self.plan
        if plan.stateful or extension:
            horizons = [breaker.horizon(extension) for breaker in plan.breakers]
            known = [horizon for horizon in horizons if horizon is not None]
            silent = len(known) == len(horizons)
            self._silent_starts = min((h.starts for h in known), default=math.inf) if silent else 0
            due = [asked.breaker.due_at(asked.question) for asked in plan.timed]
            elapsed = min([h.elapsed for h in known] + due, default=math.inf)
        else:
            self._silent_starts, elapsed = plan.quiet_starts, plan.quiet_elapsed
        self._silent_time = self.origin + elapsed
        if self.outer_end < _EVER:
            self._silent_time = min(self._silent_time, self.outer_end)
        self._looked_for = extension

    def _ended(self, verbs: Verbs | None, outcome: Outcome) -> Iteration:
        iteration = self.current(verbs)
        iteration.starts = self.starts
        returned = outcome is RETURNED
        result, error = (self.result, None) if returned else (None, self.error)
        iteration.end(self._facts_with(outcome, result, error), self._at)
        return iteration

    def _make(self, verbs: Verbs | None, starts: int) -> Iteration:
        return Iteration(verbs, self._facts or self._state_facts(), starts, self._at)

    def _state_facts(self) -> Facts:
        self._facts = facts = self._facts_with(None, None, None)
        return facts

    def _facts_with(
        self, outcome: Outcome | None, result: object, error: BaseException | None
    ) -> Facts:
        counts, limit = self.counts, self.plan.limit
        return Facts(
            self.base,
            None if limit is None else limit + counts.extension,
            self.key,
            self.fence,
            self.warnings,
            self.origin,
            counts.failures,
            counts.row,
            counts.extension,
            outcome,
            result,
            error,
            self.effects_ran,
            self.effects_replayed,
            self._began if self._began_for == self.starts else None,
        )
