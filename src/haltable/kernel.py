# SPDX-License-Identifier: MIT
"""Decides one run: what is asked, what was said, what comes next.

1. Everything that decides about a run's life is here; nothing here does
   anything.  Time, randomness, answers and stored counts come in as arguments.
2. This room does not know whether its run is sync or async, has a key, or is
   driven by a body, a ``for`` or somebody else's loop.

The theory.  A run is a string of turns.  A turn ends the iteration that is
open, if one is, and says what comes next:

    (new) --turn--> GO --body--> (ended) --turn--> GO | PAUSE | HALT
                                                   PAUSE --resume--> GO | HALT

A turn first asks (`due` lists what; the driver puts it to the world and gives
the answers to `hear`), then decides (`decide`).  Between two turns an iteration
may pass *quietly*: it returned, nobody asked for it, and no breaker can have
anything to say before a certain count and time.  `quiet` is that test, and all
that the hot path calls.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable

from haltable.breaker import Breaker
from haltable.errors import in_words
from haltable.iteration import Facts, Iteration, Verbs
from haltable.ledger import settled
from haltable.model import PRECEDENCE, Done, GiveUp, Outcome, Ruling, Status, Trip, Verdict, Warn
from haltable.plan import Asked, Plan
from haltable.probe import Answer, Due
from haltable.records import LoopRecord, new_record

__all__ = ["GO", "HALT", "PAUSE", "RETURNED", "Kernel", "Step"]


class Step(enum.Enum):
    """What comes next."""

    GO = enum.auto()
    PAUSE = enum.auto()
    HALT = enum.auto()


_STATUS: dict[type[Done | GiveUp | Trip | Warn], Status] = {
    Done: Status.SUCCEEDED,
    GiveUp: Status.GAVE_UP,
    Trip: Status.TRIPPED,
}
#: The counts of every run without a key: frozen, so one serves all.
_NOTHING_COUNTED = new_record("")
_YES = Answer(value=True)
# Looking a member up on its enum costs more than a whole comparison, and these
# are looked at in every turn.
GO, PAUSE, HALT = Step
RETURNED, _FAILED, _TRANSIENT = Outcome.RETURNED, Outcome.FAILED, Outcome.TRANSIENT
_STOPPED = Status.STOPPED
_EVER = math.inf
_ENDED_BY_ITSELF = (Outcome.RETURNED, Outcome.FAILED, Outcome.TRANSIENT)


class Kernel:
    """The mutable decisions of one run."""

    # Most runs touch few of these, so first values are the class's.
    #: The counts as the ledger has them; frozen, so one serves all that have none.
    counts: LoopRecord = _NOTHING_COUNTED
    #: The start that is open, or was the last.
    starts: int = 0
    #: Starts before this run; the number of an iteration is what came after.
    base: int = 0
    fence: int = 0
    outcome: Outcome | None = None
    result: object = None
    error: BaseException | None = None
    claim: Done | GiveUp | None = None
    claimed: object = None
    ruling: Ruling | None = None
    #: Set by others, from any thread: how the run shall end at the next turn.
    stop: Ruling | None = None
    warnings: tuple[str, ...] = ()
    pause: float = 0.0
    #: The moment after which an outer run's deadline allows no start.
    outer_end: float = math.inf
    #: For how many seconds iterations may pass quietly without a full turn.
    breath: float = math.inf
    _words: tuple[tuple[str, Verdict], ...] = ()
    _yes: Asked | None = None
    _iteration: Iteration | None = None
    #: What iterations made now would share; None once it may have changed.
    _facts: Facts | None = None
    #: For which extension the horizon below was looked for; -1 once it may have moved.
    _looked_for: int = -1
    _silent_starts: float = 0
    _silent_time: float = 0.0
    _quiet_starts: float = 0
    _quiet_time: float = 0.0

    def __init__(self, plan: Plan, now: float, *, key: str | None, loud: bool) -> None:
        self.plan = plan
        self.key = key
        #: The moment at which the loop's live seconds were zero.
        self.origin = now
        self.loud = loud or plan.loud
        self._at = now

    # The hot path -----------------------------------------------------------

    def quiet(self, result: object, now: float) -> bool:
        """Passes an iteration that returned, if nobody can have a word on it.

        True means that the next iteration has begun.
        """
        starts = self.starts
        if starts >= self._quiet_starts or now >= self._quiet_time:
            return False
        self.starts = starts + 1
        self.result = result
        return True

    def silent(self, now: float, *, each_asked: bool) -> bool:
        """Says whether nobody can have a word on the iteration that ended.

        Then all that is left is to begin the next.

        Args:
            now: the moment.
            each_asked: whether the driver has put `Plan.each_return` already.
        """
        return (
            self.starts < self._quiet_starts
            and self.outcome is RETURNED
            and now < self._quiet_time
            and (each_asked or not self.plan.each_return)
        )

    def interrupt_quiet(self) -> None:
        """Makes the next iteration's end a full turn; callable from any thread."""
        self._quiet_starts = 0

    def hold(self, asked: Asked, result: object) -> None:
        """Notes that a quiet question was answered with yes, of an iteration that returned."""
        self.outcome = RETURNED
        self.result = result
        self._yes = asked
        self.hear(asked, _YES, None)

    def rule_quietly(self, now: float) -> bool:
        """Ends the run if the one thing said is a success, and nobody can add to it."""
        yes = self._yes
        if yes is None or yes.ruling is None or len(self._words) != 1 or self.claim is not None:
            return False
        if self.loud or self.counts.row or self._speakable(now):
            return False
        self.ruling = yes.ruling
        return True

    def begin_quietly(self, now: float) -> bool:
        """Begins the first iteration if nobody can have a word on it."""
        plan = self.plan
        if self.loud or not plan.simple or self.stop is not None or now >= self.outer_end:
            return False
        self.starts = 1
        self._open(now)
        return True

    # How iterations end -------------------------------------------------------

    def returned(self, result: object) -> None:
        """Notes that the body returned."""
        self.outcome = RETURNED
        self.result = result

    def failed(self, error: Exception) -> None:
        """Notes that an exception left the body."""
        transient = isinstance(error, self.plan.transient)
        self.outcome = _TRANSIENT if transient else _FAILED
        self.error = error
        if isinstance(error, self.plan.fatal):
            self._words += (("fatal", GiveUp(in_words(error))),)

    def interrupted(self) -> None:
        """Notes that the iteration was neither a failure nor a success."""
        self.outcome = Outcome.INTERRUPTED

    def killed(self) -> None:
        """Notes that the run had ended while the body was running."""
        self.outcome = Outcome.KILLED

    def say(self, who: str, verdict: Verdict) -> None:
        """Notes a verdict from outside the breakers."""
        self._words += ((who, verdict),)
        self.interrupt_quiet()

    # A turn -------------------------------------------------------------------

    def due(self, now: float, *, each_asked: bool) -> tuple[Asked, ...]:
        """Returns the questions of this moment, in the order of the breakers.

        Args:
            now: the moment that the coming decision is about.
            each_asked: whether the driver has put `Plan.each_return` already.
        """
        self._at = now
        plan, outcome = self.plan, self.outcome
        if outcome is None:
            untimed, moment = plan.at_start, Due.START
        elif outcome is RETURNED:
            untimed, moment = plan.at_return, Due.RETURN
            if not each_asked and plan.each_return:
                untimed = (*(asked for _, asked in plan.each_return), *untimed)
        elif outcome in _ENDED_BY_ITSELF:
            untimed, moment = plan.at_failure, Due.FAILURE
        else:
            return ()
        if not plan.timed:
            return untimed
        elapsed = now - self.origin
        timed = tuple(
            asked
            for asked in plan.timed
            if moment in asked.question.due and elapsed >= asked.breaker.due_at(asked.question)
        )
        return untimed + timed

    def subject(self) -> object:
        """Returns what the questions of this moment are about."""
        if self.outcome is RETURNED:
            return self.result
        return None if self.outcome is None else self.error

    def hear(self, asked: Asked, answer: Answer, verbs: Verbs | None) -> None:
        """Takes the answer to a question to the breaker that asked."""
        breaker, verdict = asked.breaker, asked.verdict
        if verdict is not None and answer.fault is None:
            if answer.value:
                self._words += ((breaker.name, verdict),)
                self._quiet_starts = 0
            return
        ended = self.outcome is not None
        iteration = self._ended(verbs) if ended else self._make(verbs, self.starts + 1)
        try:
            verdict = breaker.heard(asked.question, answer, iteration)
        except Exception as fault:
            verdict = Trip(f"heard() raised {in_words(fault)}")
        self._looked_for = -1
        self._note(breaker, verdict)
        self.interrupt_quiet()

    def decide(
        self, now: float, verbs: Verbs | None, chance: Callable[[], float], *, last: bool = False
    ) -> Step:
        """Ends the open iteration, if one is, and says what comes next.

        Args:
            now: the moment; the one given to `due`, if that was asked.
            verbs: what carries out the iterations' verbs.
            chance: a source of random numbers from 0 to 1, for the jitter.
            last: whether nobody has asked for another iteration yet, so that
                whether it may start is not decided.
        """
        outcome, counts = self.outcome, self.counts
        self._at = now
        if outcome is not None:
            if outcome is not RETURNED or counts.row or counts.slips:
                self.counts = settled(counts, outcome, elapsed=now - self.origin)
            self._weigh_claim()
            self._facts = None
            if self._speakable(now):
                iteration = self._ended(verbs)
                for breaker in self.plan.afters:
                    self._call(breaker, breaker.after, iteration)
        if self._rule():
            return HALT
        if not last and self._look_ahead(now, verbs) is HALT:
            return HALT
        delay = self.plan.delay
        if delay is None or outcome is None:
            return GO
        pause = delay.seconds(slips=self.counts.slips, chance=chance())
        end = min(self.origin + self.plan.time_limit, self.outer_end)
        self.pause = min(pause, max(0.0, end - now))
        return PAUSE if self.pause > 0 else GO

    def resume(self, now: float, verbs: Verbs | None) -> Step:
        """Says what comes after a pause."""
        self._at = now
        return HALT if self._rule() else self._look_ahead(now, verbs)

    def begin(self, now: float) -> None:
        """Begins the next iteration; its start is charged."""
        self._at = now
        self.starts += 1
        self._open(now)

    def adopt(self, record: LoopRecord, now: float, fence: int) -> None:
        """Begins the next iteration with the counts of the record that charged it."""
        self._at = now
        self.counts = record
        self.starts = record.starts
        self.fence = fence
        self._open(now)

    def carry_on(self, record: LoopRecord, now: float) -> None:
        """Takes over the counts and the live seconds of a key that ran before."""
        self.counts = record
        self.starts = record.starts
        self.base = record.starts
        self.origin = now - record.elapsed
        self._facts = None
        self._looked_for = -1

    def current(self, verbs: Verbs | None) -> Iteration:
        """Returns the open iteration, made when first asked for."""
        iteration = self._iteration
        if iteration is None or iteration.starts != self.starts:
            self._iteration = iteration = self._make(verbs, self.starts)
        return iteration

    def fresh(self, verbs: Verbs | None, now: float) -> Iteration:
        """Returns the open iteration for a body that takes it."""
        facts = self._facts or self._state_facts()
        self._iteration = iteration = Iteration(verbs, facts, self.starts, now)
        return iteration

    def accept(self, iteration: Iteration, claim: Done | GiveUp, value: object) -> None:
        """Notes what the body says of itself; the last word counts."""
        del iteration
        self.claim = claim
        self.claimed = value
        self.interrupt_quiet()

    def elapsed(self, now: float) -> float:
        """Returns for how many seconds the loop was alive."""
        return now - self.origin

    @property
    def run_number(self) -> int:
        """The number of the newest iteration of this run; 0 before the first."""
        return self.starts - self.base

    def newest_evidence(self) -> tuple[str, int] | None:
        """Returns the newest evidence that a breaker has seen, and the start it was seen at."""
        seen = [e for b in self.plan.breakers if (e := b.newest_evidence()) is not None]
        return max(seen, key=lambda evidence: evidence[1], default=None)

    # Inside -------------------------------------------------------------------

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

    def _speakable(self, now: float) -> bool:
        # A full turn for another reason (a write, a listener) need not ask
        # breakers whose horizon says that they are silent.
        return (
            self.outcome is not RETURNED
            or self.starts >= self._silent_starts
            or now >= self._silent_time
        )

    def _look_ahead(self, now: float, verbs: Verbs | None) -> Step:
        if now >= self.outer_end:
            self._words += (("outer", Trip("the deadline of the run around it has passed")),)
        elif self._surely_allowed(now):
            return GO
        if self.plan.befores:
            iteration = self._make(verbs, self.starts + 1)
            for breaker in self.plan.befores:
                self._call(breaker, breaker.before, iteration)
        return HALT if self._rule() else GO

    def _surely_allowed(self, now: float) -> bool:
        plan, counts = self.plan, self.counts
        return (
            not plan.stateful
            and not counts.failures
            and self.starts < plan.quiet_starts
            and now - self.origin < plan.quiet_elapsed
        )

    def _call(
        self, breaker: Breaker, hook: Callable[[Iteration], Verdict | None], iteration: Iteration
    ) -> None:
        try:
            verdict = hook(iteration)
        except Exception as fault:
            verdict = Trip(f"{hook.__name__}() raised {in_words(fault)}")
        self._looked_for = -1
        self._note(breaker, verdict)

    def _note(self, breaker: Breaker, verdict: object) -> None:
        if verdict is None:
            return
        if isinstance(verdict, Warn):
            self.warnings = (*self.warnings, f"{breaker.name}: {verdict.reason}")
        elif isinstance(verdict, (Done, GiveUp, Trip)):
            self._words += ((breaker.name, verdict),)
        else:
            what = f"a hook returned {verdict!r}, which is no verdict and not None"
            self._words += ((breaker.name, Trip(what)),)

    def _weigh_claim(self) -> None:
        claim = self.claim
        if claim is None:
            return
        if isinstance(claim, GiveUp) or not self.plan.judges_success:
            self._words += (("body", claim),)
        elif not any(isinstance(verdict, Done) for _, verdict in self._words):
            what = "body: it says it is done, but the success condition does not hold"
            self.warnings = (*self.warnings, what)
            return
        if isinstance(claim, Done) and self.claimed is not None:
            self.result = self.claimed

    def _rule(self) -> bool:
        if self.ruling is not None:
            return True
        words, stop = self._words, self.stop
        if not words:
            self.ruling = stop
            return stop is not None
        who, verdict = min(words, key=lambda word: PRECEDENCE.index(type(word[1])))
        # An operator's stop stands between giving up and tripping; one that leaves
        # the key open must not hide that a breaker has opened.
        if stop is not None and stop.status is _STOPPED and isinstance(verdict, Trip):
            self.ruling = stop
        else:
            self.ruling = Ruling(_STATUS[type(verdict)], who, verdict.reason)
        return True

    def _ended(self, verbs: Verbs | None) -> Iteration:
        iteration, outcome = self.current(verbs), self.outcome
        if outcome is RETURNED:
            iteration.end(self._state_facts(), self._at, outcome, self.result, None)
        elif outcome is not None:
            iteration.end(self._state_facts(), self._at, outcome, None, self.error)
        return iteration

    def _make(self, verbs: Verbs | None, starts: int) -> Iteration:
        return Iteration(verbs, self._facts or self._state_facts(), starts, self._at)

    def _state_facts(self) -> Facts:
        counts, limit = self.counts, self.plan.limit
        self._facts = facts = Facts(
            self.base,
            None if limit is None else limit + counts.extension,
            self.key,
            self.fence,
            self.warnings,
            self.origin,
            counts.failures,
            counts.row,
            counts.extension,
        )
        return facts
