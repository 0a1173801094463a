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
from collections.abc import Callable
from types import CoroutineType

from haltable.breaker import Breaker
from haltable.counting import RETURNED
from haltable.errors import in_words
from haltable.hearing import Hearing
from haltable.iteration import Iteration, Verbs
from haltable.ledger import settled
from haltable.model import Done, GiveUp, Outcome, Ruling, Status, Trip
from haltable.plan import Asked
from haltable.probe import Answer, Due
from haltable.records import LoopRecord

__all__ = ["GO", "HALT", "PAUSE", "RETURNED", "Kernel", "Step"]


class Step(enum.Enum):
    """What comes next."""

    GO = enum.auto()
    PAUSE = enum.auto()
    HALT = enum.auto()


_YES = Answer(value=True)
# Looking a member up on its enum costs more than a whole comparison, and these
# are looked at in every turn.
GO, PAUSE, HALT = Step
_FAILED, _TRANSIENT = Outcome.FAILED, Outcome.TRANSIENT
_ENDED_BY_ITSELF = (Outcome.RETURNED, Outcome.FAILED, Outcome.TRANSIENT)


class Kernel(Hearing):
    """The mutable decisions of one run."""

    # The hot path -----------------------------------------------------------

    def quiet(self, result: object, now: float) -> bool:
        """Passes an iteration that returned, if nobody can have a word on it.

        True means that the next iteration has begun.
        """
        starts = self.starts
        if starts >= self._quiet_starts or now >= self._quiet_time:
            return False
        if result is not None and type(result) is CoroutineType:
            return False  # `gave` has the word on it.
        self.starts = starts + 1
        self.result = result
        return True

    def silent(self, now: float, *, each_asked: bool) -> bool:
        """Says whether nobody can have a word on the iteration that ended, or on the first.

        Then all that is left is to begin the next.

        Args:
            now: the moment.
            each_asked: whether the driver has put `Plan.each_return` already.
        """
        outcome = self.outcome
        if outcome is None:
            return self.begins_silently(now)
        return (
            self.starts < self._quiet_starts
            and outcome is RETURNED
            and now < self._quiet_time
            and (each_asked or not self.plan.each_return)
        )

    @property
    def is_plain(self) -> bool:
        """Whether only what is asked after every return has a word on the iteration that ended."""
        return self.plan.simple and not self.loud and self.outcome is RETURNED

    def hold(self, asked: Asked, result: object) -> None:
        """Notes that a quiet question was answered with yes, of an iteration that returned."""
        if result is not None and type(result) is CoroutineType:
            self.interrupt_quiet()  # `gave` has the word on it.
            return
        self.outcome = RETURNED
        self.result = result
        verdict, ruling = asked.verdict, asked.ruling
        if verdict is None or ruling is None:
            self.hear(asked, _YES, None)
        else:
            self.held = True
            self._yes = ruling
            self._words += ((ruling.breaker, verdict),)
            self._quiet_starts = 0

    def rule_quietly(self, now: float) -> bool:
        """Ends the run if the one thing said is a success, and nobody can add to it."""
        yes = self._yes
        if yes is None or self.loud or self.counts.row or len(self._words) > 1:
            return False
        if self.starts >= self._silent_starts or now >= self._silent_time:
            return False
        if self.claim is not None or self.ruling is not None:
            return False
        self.ruling = yes
        return True

    # How iterations end -------------------------------------------------------

    def returned(self, result: object) -> None:
        """Notes that the body returned."""
        self.outcome = RETURNED
        self.result = result

    def gave(self, result: object) -> None:
        """Notes what a body of ours returned; a coroutine that nobody will await did nothing."""
        if type(result) is not CoroutineType:
            self.returned(result)
            return
        result.close()
        self.failed(
            TypeError(
                "the body returned a coroutine, which nobody awaits: hand an async function to "
                "arun or astep, or await it in the body"
            )
        )

    def failed(self, error: Exception) -> None:
        """Notes that an exception left the body."""
        transient = isinstance(error, self.plan.transient)
        self.outcome = _TRANSIENT if transient else _FAILED
        self.error = error
        self.error_start = self.starts
        if isinstance(error, self.plan.fatal):
            self._words += (("fatal", GiveUp(in_words(error))),)

    def interrupted(self) -> None:
        """Notes that the iteration was neither a failure nor a success."""
        self.outcome = Outcome.INTERRUPTED

    def killed(self, error: Exception | None = None) -> None:
        """Notes that the run had ended while the body was running, and what left that."""
        self.outcome = Outcome.KILLED
        self.error = error or self.error

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
        self._at = now
        self._heard = self._words
        self._end(now, verbs, self.plan.afters)
        if self._rule() or (not last and self._look_ahead(now, verbs) is HALT):
            return HALT
        return self._pace(now, chance)

    def reconsider(
        self, record: LoopRecord, now: float, verbs: Verbs | None, chance: Callable[[], float]
    ) -> Step:
        """Decides the same turn once more, over counts that an operator has changed."""
        # What was heard from outside stays, and so does the word of a breaker that
        # remembers: it has counted this iteration and must not see it twice.
        remembering = [breaker.name for breaker in self.plan.breakers if breaker.stateful]
        said = self._words[len(self._heard) :]
        self._words = self._heard + tuple(word for word in said if word[0] in remembering)
        self.ruling, self.counts = None, record
        self._end(now, verbs, tuple(b for b in self.plan.afters if not b.stateful))
        if self._rule() or self._look_ahead(now, verbs) is HALT:
            return HALT
        return self._pace(now, chance)

    def resume(self, now: float, verbs: Verbs | None) -> Step:
        """Says what comes after a pause."""
        self._at = now
        return HALT if self._rule() else self._look_ahead(now, verbs)

    def go_on(self, step: Step, now: float, verbs: Verbs | None) -> Step:
        """Says what comes next, now that another iteration is asked for.

        Args:
            step: what was decided when the last one ended.
            now: the moment; what has passed since is no longer to be waited for.
            verbs: what carries out the iterations' verbs.
        """
        self.pause -= now - self._at
        if self.resume(now, verbs) is HALT:
            return HALT
        return PAUSE if step is PAUSE and self.pause > 0 else GO

    def accept(self, iteration: Iteration, claim: Done | GiveUp, value: object) -> None:
        """Notes what the body says of itself; the last word counts."""
        del iteration
        self.claim = claim
        self.claimed = value
        self.interrupt_quiet()

    def _end(self, now: float, verbs: Verbs | None, afters: tuple[Breaker, ...]) -> None:
        outcome, counts = self.outcome, self.counts
        if outcome is None:
            return
        if outcome is not RETURNED or counts.row or counts.slips:
            self.counts = settled(counts, outcome, elapsed=now - self.origin)
        self._weigh_claim()
        self._facts = None
        if self._speakable(now):
            iteration = self._ended(verbs, outcome)
            for breaker in afters:
                self._call(breaker, breaker.after, iteration)

    def _pace(self, now: float, chance: Callable[[], float]) -> Step:
        delay = self.plan.delay
        if delay is None or self.outcome is None:
            return GO
        pause = delay.seconds(slips=self.counts.slips, chance=chance())
        end = min(self.origin + self.plan.time_limit, self.outer_end)
        self.pause = min(pause, max(0.0, end - now))
        return PAUSE if self.pause > 0 else GO

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
            self._end_with_outer()
        elif self._surely_allowed(now):
            return GO
        if self.plan.befores:
            iteration = self._make(verbs, self.starts + 1)
            for breaker in self.plan.befores:
                self._call(breaker, breaker.before, iteration)
        return HALT if self._rule() else GO

    def _end_with_outer(self) -> None:
        reason = "the deadline of the run around it has passed"
        if self.key is None:
            self._words += (("outer", Trip(reason)),)
        else:
            # Whose time is up is the run around it; its keys are for the next one.
            self.stop = self.stop or Ruling(Status.OPEN, "outer", reason)
