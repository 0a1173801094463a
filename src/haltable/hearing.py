# SPDX-License-Identifier: MIT
"""What was said of a run, and which of it counts.

Answers and hooks are turned into words; of several, Done goes before GiveUp,
before an operator's stop, before Trip.  Whoever raises inside a hook has opened
its breaker.  When to ask is decided above.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

import attrs

from haltable.breaker import Breaker
from haltable.counting import Counting
from haltable.errors import in_words
from haltable.iteration import Iteration, Verbs
from haltable.model import PRECEDENCE, Done, GiveUp, Ruling, Status, Trip, Verdict, Warn, told
from haltable.plan import Asked
from haltable.probe import Answer

__all__ = ["Hearing"]

_STATUS: dict[type[Done | GiveUp | Trip | Warn], Status] = {
    Done: Status.SUCCEEDED,
    GiveUp: Status.GAVE_UP,
    Trip: Status.TRIPPED,
}
_STOPPED = Status.STOPPED
#: How many different warnings a run keeps.
WARNINGS_KEPT = 16


class Hearing(Counting):
    """A run as it hears its breakers, its body and its operator."""

    def hear(self, asked: Asked, answer: Answer, verbs: Verbs | None) -> None:
        """Takes the answer to a question to the breaker that asked."""
        breaker, verdict = asked.breaker, asked.verdict
        if verdict is not None and answer.fault is None:
            try:
                holds = bool(answer.value)
            except Exception as fault:
                answer = Answer(fault=fault)
            else:
                if holds:
                    self._note(breaker, verdict)
                    self._quiet_starts = 0
                return
        outcome = self.outcome
        if outcome is None:
            iteration = self._make(verbs, self.starts + 1)
        else:
            iteration = self._ended(verbs, outcome)
        try:
            verdict = breaker.heard(asked.question, answer, iteration)
        except Exception as fault:
            verdict = Trip(f"heard() raised {in_words(fault)}")
        self._looked_for = -1
        self._note(breaker, verdict)
        self.interrupt_quiet()

    def warn(self, who: str, reason: str) -> None:
        """Notes a warning from outside the breakers."""
        self._warn(who, reason)

    def say(self, who: str, verdict: Verdict) -> None:
        """Notes a verdict from outside the breakers."""
        self._words += ((who, verdict),)
        self.interrupt_quiet()

    # While the body runs ---------------------------------------------------------

    def glimpse(self, now: float, *, since: float) -> Iteration:
        """Returns the open iteration as those see it who watch its body.

        Args:
            now: the moment.
            since: when it was first seen, for one whose begin nobody noted.
        """
        facts = self._facts_with(None, None, None)
        began = since if facts.began is None else facts.began
        return Iteration(None, attrs.evolve(facts, began=began), self.starts, now)

    def due_meanwhile(self, now: float) -> tuple[Asked, ...]:
        """Returns the questions that are due while the body runs."""
        elapsed = now - self.origin
        return tuple(
            asked
            for asked in self.plan.meanwhile
            if elapsed >= asked.breaker.due_at(asked.question)
        )

    def oversee(
        self, iteration: Iteration, answers: Iterable[tuple[Asked, Answer]] = ()
    ) -> Ruling | None:
        """Returns how the run ends while its body is running, if a breaker says so.

        The caller sees to it that nobody else is heard meanwhile.

        Args:
            iteration: the open one.
            answers: of the questions that were due.
        """
        words = self._words_on(iteration, answers)
        if not words:
            return None
        who, word = min(words, key=lambda each: PRECEDENCE.index(type(each[1])))
        return Ruling(_STATUS[type(word)], who, word.reason)

    def overhear(self, iteration: Iteration, answers: Iterable[tuple[Asked, Answer]]) -> None:
        """Hears what was asked while the body ran that has ended since.

        Args:
            iteration: as it was then.
            answers: of the questions that were due.
        """
        self._words += tuple(self._words_on(iteration, answers))
        self.interrupt_quiet()

    def _words_on(
        self, iteration: Iteration, answers: Iterable[tuple[Asked, Answer]]
    ) -> list[tuple[str, Verdict]]:
        calls: list[tuple[Breaker, partial[Verdict | None]]] = [
            (asked.breaker, partial(asked.breaker.heard, asked.question, answer, iteration))
            for asked, answer in answers
        ]
        calls += [(breaker, partial(breaker.during, iteration)) for breaker in self.plan.durings]
        words: list[tuple[str, Verdict]] = []
        for breaker, call in calls:
            try:
                verdict = call()
            except (Exception, SystemExit) as fault:
                # An exit from the watcher's thread would end the watching, and nothing else.
                verdict = Trip(f"{call.func.__name__}() raised {in_words(fault)}")
            self._looked_for = -1
            if isinstance(verdict, Warn):
                self._warn(breaker.name, verdict.reason)
            elif verdict is not None:
                words.append((breaker.name, _as_verdict(verdict)))
        return words

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
            self._warn(breaker.name, verdict.reason)
        else:
            self._words += ((breaker.name, _as_verdict(verdict)),)

    def _warn(self, who: str, reason: str) -> None:
        reason = told(reason)
        warning = f"{who}: {reason}"
        if warning not in self.warnings:
            self.warnings = (*self.warnings[1 - WARNINGS_KEPT :], warning)
            self.untold = (*self.untold, (who, reason))

    def _weigh_claim(self) -> None:
        claim = self.claim
        if claim is None:
            return
        if isinstance(claim, GiveUp) or not self.plan.judges_success:
            self._words += (("body", claim),)
        elif not any(isinstance(verdict, Done) for _, verdict in self._words):
            self._warn("body", "it says it is done, but the success condition does not hold")
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


def _as_verdict(word: object) -> Done | GiveUp | Trip:
    if isinstance(word, (Done, GiveUp, Trip)):
        return word
    return Trip(f"a hook returned {word!r}, which is no verdict and not None")
