# SPDX-License-Identifier: MIT
"""A loop's policy, compiled: everything that can be decided once is decided here.

A plan sorts the breakers' hooks and questions by the moment at which they are
due, so that an iteration pays only for those that want it.  It is frozen, and
shared by all runs of a loop unless a breaker has memory of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import attrs

from haltable.backoff import Backoff, Delay
from haltable.breaker import Breaker
from haltable.model import Done, Ruling, Status, Verdict
from haltable.probe import Due, Question

__all__ = ["Asked", "Plan"]


@attrs.frozen(eq=False)
class Asked:
    """A question, who asks it, and the callable that puts it to the world."""

    breaker: Breaker
    question: Question
    ask: Callable[[Any], object]
    #: What a true answer means, if the breaker need not be told.
    verdict: Verdict | None
    #: The ruling that a true answer is, if it is a success.
    ruling: Ruling | None = attrs.field(
        init=False, default=attrs.Factory(lambda asked: asked.success(), takes_self=True)
    )

    def success(self) -> Ruling | None:
        """Returns the ruling that a true answer is, None if it is no success."""
        if not isinstance(self.verdict, Done):
            return None
        return Ruling(Status.SUCCEEDED, self.breaker.name, self.verdict.reason)

    @property
    def blocks(self) -> bool:
        """Whether asking may block the thread, so that an async driver hands it to another."""
        target = getattr(self.ask, "__self__", self.ask)
        return bool(getattr(target, "blocks", False))


@attrs.frozen(eq=False)
class Plan:
    """What one run needs to know of its loop.

    Args:
        breakers: the run's own, in the order they were given.
        delay: the pace, None for no waits.
        transient: exception types that are no failures.
        fatal: exception types that end the loop at once.
        at_start: questions before the first iteration.
        each_return: quiet questions after every iteration that returned, as
            pairs of the bare callable and its question: the hot path's.
        at_return: the other questions after iterations that returned.
        at_failure: questions after failures.
        timed: questions that the breaker's ``due_at`` calls for.
        befores: breakers that override ``before``.
        afters: breakers that override ``after``.
        durings: breakers that want to be called while the body runs.
        remembering: breakers that have memory of their own.
        witnesses: breakers that may have seen evidence.
        meanwhile: questions that may be put while the body runs.
        patience: seconds that may pass between two such calls, `math.inf` if
            nobody watches.
        loud: whether every iteration must be looked at in full.
        judges_success: whether a body's claim of success is only a claim.
        limit: how many starts are allowed, None if nobody counts them.
        time_limit: how many live seconds are allowed, `math.inf` if any.
        quiet_starts: the ``starts`` below which no breaker speaks in a fresh epoch.
        quiet_elapsed: the live seconds below which none does.
        stateful: whether each run needs breakers of its own.
        limits: all limits as pairs of words.
        simple: whether nobody has a word before the first iteration, or watches it.
    """

    breakers: tuple[Breaker, ...]
    delay: Backoff | Delay | None
    transient: tuple[type[Exception], ...]
    fatal: tuple[type[Exception], ...]
    at_start: tuple[Asked, ...]
    each_return: tuple[tuple[Callable[[Any], object], Asked], ...]
    at_return: tuple[Asked, ...]
    at_failure: tuple[Asked, ...]
    timed: tuple[Asked, ...]
    befores: tuple[Breaker, ...]
    afters: tuple[Breaker, ...]
    durings: tuple[Breaker, ...]
    remembering: tuple[Breaker, ...]
    witnesses: tuple[Breaker, ...]
    meanwhile: tuple[Asked, ...]
    patience: float
    loud: bool
    judges_success: bool
    limit: int | None
    time_limit: float
    quiet_starts: float
    quiet_elapsed: float
    stateful: bool
    limits: tuple[tuple[str, str], ...]
    simple: bool

    @classmethod
    def of(
        cls,
        breakers: tuple[Breaker, ...],
        *,
        delay: Backoff | Delay | None,
        transient: tuple[type[Exception], ...],
        fatal: tuple[type[Exception], ...],
    ) -> Plan:
        """Compiles the breakers."""
        asked = [
            Asked(b, q, q.ask, q.verdict if q.quiet else None) for b in breakers for q in b.asks()
        ]
        untimed = [a for a in asked if not a.question.timed]
        returns = [a for a in untimed if Due.RETURN in a.question.due]
        loud_returns = tuple(a for a in returns if not a.question.quiet)
        timed = tuple(a for a in asked if a.question.timed)
        horizons = [b.horizon(0) for b in breakers]
        known = [horizon for horizon in horizons if horizon is not None]
        silent = len(known) == len(horizons)
        limits = [b.start_limit for b in breakers]
        times = [b.time_limit for b in breakers]
        due = [a.breaker.due_at(a.question) for a in timed]
        stateful = any(breaker.stateful for breaker in breakers)
        watchers = tuple(b for b in breakers if b.patience is not None)
        at_start = tuple(a for a in untimed if Due.START in a.question.due)
        return cls(
            breakers=breakers,
            delay=delay,
            transient=transient,
            fatal=fatal,
            at_start=at_start,
            each_return=tuple((a.ask, a) for a in returns if a.question.quiet),
            at_return=loud_returns,
            at_failure=tuple(a for a in untimed if Due.FAILURE in a.question.due),
            timed=timed,
            befores=tuple(b for b in breakers if _overrides(b, "before")),
            afters=tuple(b for b in breakers if _overrides(b, "after")),
            durings=watchers,
            remembering=tuple(b for b in breakers if b.stateful),
            witnesses=tuple(b for b in breakers if _overrides(b, "newest_evidence")),
            meanwhile=tuple(a for a in timed if Due.DURING in a.question.due),
            patience=min((s for b in watchers if (s := b.patience) is not None), default=math.inf),
            # A back-off waits only after slips, which are no quiet iterations.
            loud=bool(loud_returns) or not silent or isinstance(delay, Delay),
            judges_success=any(b.judges_success for b in breakers),
            limit=min((n for n in limits if n is not None), default=None),
            time_limit=min((t for t in times if t is not None), default=math.inf),
            quiet_starts=min((h.starts for h in known), default=math.inf) if silent else 0,
            quiet_elapsed=min([h.elapsed for h in known] + due, default=math.inf),
            stateful=stateful,
            simple=silent and not (stateful or at_start or timed or watchers),
            limits=tuple(limit for breaker in breakers for limit in breaker.limits()),
        )

    def for_run(self) -> Plan:
        """Returns the plan over fresh copies of the breakers that remember anything."""
        fresh = tuple(b.fresh() if b.stateful else b for b in self.breakers)
        return Plan.of(fresh, delay=self.delay, transient=self.transient, fatal=self.fatal)


def _overrides(breaker: Breaker, hook: str) -> bool:
    return getattr(type(breaker), hook) is not getattr(Breaker, hook)
