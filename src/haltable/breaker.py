# SPDX-License-Identifier: MIT
"""The contract for breakers: the base class that users subclass.

A breaker decides and does nothing else.  Its hooks are plain functions of an
iteration that return a verdict or None; what it must know of the world it
declares as questions; time comes in with the iteration.  It knows no store, no
driver and no other breaker.

Whoever stands in ``Loop(...)`` is policy and never changes.  A breaker that
remembers something is copied for each run, and the copy is what the hooks see.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any

import attrs
from typing_extensions import Self

from haltable.errors import ConfigurationError
from haltable.iteration import Iteration
from haltable.memory import forget, remembered_fields, undecorated_fields
from haltable.model import Done, GiveUp, Trip, Verdict, Warn
from haltable.probe import Answer, Question

__all__ = ["Breaker", "Horizon"]

#: Which verdict of several counts: the first kind that is there.
PRECEDENCE: tuple[type[Done | GiveUp | Trip | Warn], ...] = (Done, GiveUp, Trip, Warn)


@attrs.frozen
class Horizon:
    """Until when a breaker has nothing to say of iterations that return.

    Args:
        starts: it is silent at the end of iterations whose ``starts`` is
            smaller; `math.inf` if no count makes it speak.
        elapsed: it is silent while the loop was alive for fewer seconds;
            `math.inf` if no time makes it speak.
    """

    starts: float = math.inf
    elapsed: float = math.inf


def _own_name(breaker: Breaker) -> str:
    return type(breaker).__name__


@attrs.define(eq=False)
class Breaker:
    """Decides whether a loop may go on.

    Subclass it with ``@attrs.define`` and override the hooks you need.

    Args:
        name: how receipts and stored memory call it; the class's name by
            default.  Two breakers of one loop may not share one.
    """

    name: str = attrs.field(default=attrs.Factory(_own_name, takes_self=True), kw_only=True)

    @name.validator
    def _check_name(self, attribute: attrs.Attribute[str], value: object) -> None:
        if not isinstance(value, str) or not value:
            raise ConfigurationError(f"name={value!r}: give a non-empty string")

    @property
    def bounds(self) -> bool:
        """Whether this breaker alone guarantees that every loop ends."""
        return False

    @property
    def judges_success(self) -> bool:
        """Whether it has the last word on success, so that a body's claim does not decide."""
        return False

    @property
    def start_limit(self) -> int | None:
        """How many starts it allows at most; None if it does not count them."""
        return None

    @property
    def time_limit(self) -> float | None:
        """How many seconds the loop may be alive at most; None if it has no such limit."""
        return None

    @property
    def speaks_after(self) -> float:
        """Before how many live seconds it can never speak, so that an earlier end silences it."""
        return 0.0

    def newest_evidence(self) -> tuple[str, int] | None:
        """Returns the newest evidence it has seen, in words, and the ``starts`` it was seen at."""
        return None

    def asks(self) -> tuple[Question, ...]:
        """Returns the questions it wants asked of the world."""
        return ()

    def due_at(self, question: Question) -> float:
        """Returns from which second of ``elapsed`` on a timed question is due."""
        del question
        return 0.0

    def horizon(self, extension: int) -> Horizon | None:
        """Says until when its hooks have nothing to say of iterations that return.

        Args:
            extension: starts that an operator added to the cap.

        Returns:
            None (the default) if its hooks must always be asked.
        """
        del extension
        return None

    def before(self, iteration: Iteration) -> Verdict | None:
        """Called before an iteration is charged."""

    def after(self, iteration: Iteration) -> Verdict | None:
        """Called when an iteration has ended and its questions are answered."""

    def during(self, iteration: Iteration) -> Verdict | None:
        """Called while the body is running, by whoever watches it."""

    def heard(self, question: Question, answer: Answer, iteration: Iteration) -> Verdict | None:
        """Called with the answer to one of its questions.

        By default a true answer means the question's own verdict, and a
        fault opens the breaker: a check that is broken is no permission to go on.
        """
        del iteration
        if answer.fault is None:
            return question.verdict if answer.value else None
        return Trip(f"{question.name} raised {in_words(answer.fault)}")

    def limits(self) -> tuple[tuple[str, str], ...]:
        """Returns its limits as pairs of words, for receipts and ``snapshot``."""
        return ()

    def memory(self, *, apart: bool = False) -> dict[str, Any]:
        """Returns its remembered fields, those kept along or those kept apart."""
        return {name: getattr(self, name) for name in remembered_fields(type(self), apart=apart)}

    def recall(self, memory: Mapping[str, Any]) -> None:
        """Puts remembered fields back; names that it no longer has are left out."""
        known = {
            *remembered_fields(type(self), apart=False),
            *remembered_fields(type(self), apart=True),
        }
        for name, value in memory.items():
            if name in known:
                setattr(self, name, value)

    @property
    def stateful(self) -> bool:
        """Whether each run needs a copy of its own; False only where nothing ever changes."""
        return True

    def fresh(self) -> Self:
        """Returns a copy for one run, its memory as at the start of an epoch."""
        fresh = copy.copy(self)
        forget(fresh)
        return fresh

    def check(self) -> None:
        """Raises `haltable.ConfigurationError` if it is put together wrongly.

        Called once, when the loop is made.
        """
        cls = type(self)
        for name in undecorated_fields(cls):
            raise ConfigurationError(
                f"{cls.__name__}.{name} is a remembered field, but {cls.__name__} has no "
                "@attrs.define: put it above the class"
            )

    def __or__(self, other: Breaker) -> Breaker:
        return _Either.of("|", self, other)

    def __and__(self, other: Breaker) -> Breaker:
        return _Both.of("&", self, other)


def in_words(error: BaseException) -> str:
    """Returns an exception as its type and text."""
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


@attrs.define(eq=False)
class _Composite(Breaker):
    """Breakers judged as one; each part keeps its own memory under its own name."""

    parts: tuple[Breaker, ...]

    @classmethod
    def of(cls, sign: str, *parts: object) -> Self:
        breakers: list[Breaker] = []
        for part in parts:
            if not isinstance(part, Breaker):
                raise ConfigurationError(
                    f"... {sign} {part!r}: only breakers compose with breakers"
                )
            breakers.append(part)
        return cls(tuple(breakers), name=f" {sign} ".join(part.name for part in breakers))

    @property
    def judges_success(self) -> bool:
        return any(part.judges_success for part in self.parts)

    def asks(self) -> tuple[Question, ...]:
        return tuple(
            attrs.evolve(question, name=f"{part.name}: {question.name}", verdict=None)
            for part in self.parts
            for question in part.asks()
        )

    def _route(self, question: Question) -> tuple[Breaker, Question]:
        for part in self.parts:
            if question.name.startswith(f"{part.name}: "):
                for own in part.asks():
                    if question.name == f"{part.name}: {own.name}":
                        return part, own
        raise AssertionError(f"no part of {self.name} asked {question.name}")

    def due_at(self, question: Question) -> float:
        part, own = self._route(question)
        return part.due_at(own)

    def horizon(self, extension: int) -> Horizon | None:
        horizons = [part.horizon(extension) for part in self.parts]
        known = [horizon for horizon in horizons if horizon is not None]
        if len(known) < len(horizons):
            return None
        return Horizon(min(h.starts for h in known), min(h.elapsed for h in known))

    def before(self, iteration: Iteration) -> Verdict | None:
        return self._weigh("before", [(p, p.before(iteration)) for p in self.parts])

    def after(self, iteration: Iteration) -> Verdict | None:
        return self._weigh("after", [(p, p.after(iteration)) for p in self.parts])

    def during(self, iteration: Iteration) -> Verdict | None:
        return self._weigh("during", [(p, p.during(iteration)) for p in self.parts])

    def heard(self, question: Question, answer: Answer, iteration: Iteration) -> Verdict | None:
        part, own = self._route(question)
        verdict = part.heard(own, answer, iteration)
        if answer.fault is not None:
            return verdict  # A broken check ends the loop whatever the others say.
        return self._weigh(question.name, [(part, verdict)])

    def _weigh(self, occasion: str, said: list[tuple[Breaker, Verdict | None]]) -> Verdict | None:
        raise NotImplementedError

    def limits(self) -> tuple[tuple[str, str], ...]:
        return tuple(limit for part in self.parts for limit in part.limits())

    def memory(self, *, apart: bool = False) -> dict[str, Any]:
        memory = {part.name: part.memory(apart=apart) for part in self.parts}
        return {name: fields for name, fields in memory.items() if fields}

    def recall(self, memory: Mapping[str, Any]) -> None:
        for part in self.parts:
            part.recall(memory.get(part.name, {}))

    @property
    def stateful(self) -> bool:
        return any(part.stateful for part in self.parts)

    def fresh(self) -> Self:
        fresh = copy.copy(self)
        fresh.parts = tuple(part.fresh() for part in self.parts)
        return fresh

    def check(self) -> None:
        for part in self.parts:
            part.check()
        names = [part.name for part in self.parts]
        if len(set(names)) < len(names):
            raise ConfigurationError(f"two parts of {self.name!r} share a name: give one a name=")


@attrs.define(eq=False)
class _Either(_Composite):
    """``a | b``: ends the loop when either says so."""

    @property
    def bounds(self) -> bool:
        return any(part.bounds for part in self.parts)

    @property
    def start_limit(self) -> int | None:
        return min((n for p in self.parts if (n := p.start_limit) is not None), default=None)

    @property
    def time_limit(self) -> float | None:
        return min((t for p in self.parts if (t := p.time_limit) is not None), default=None)

    def _weigh(self, occasion: str, said: list[tuple[Breaker, Verdict | None]]) -> Verdict | None:
        del occasion
        return strongest([verdict for _, verdict in said if verdict is not None])


@attrs.define(eq=False)
class _Both(_Composite):
    """``a & b``: ends the loop when both say so.

    A part stands by the last thing it said on each occasion (a hook, the answer
    to one question) until it says otherwise on that occasion.
    """

    _standing: dict[tuple[str, str], Verdict] = attrs.field(factory=dict, init=False)

    @property
    def bounds(self) -> bool:
        return all(part.bounds for part in self.parts)

    @property
    def stateful(self) -> bool:
        return True  # What the parts stand by belongs to one run.

    @property
    def start_limit(self) -> int | None:
        limits = [part.start_limit for part in self.parts]
        known = [limit for limit in limits if limit is not None]
        return max(known) if len(known) == len(limits) else None

    @property
    def time_limit(self) -> float | None:
        limits = [part.time_limit for part in self.parts]
        known = [limit for limit in limits if limit is not None]
        return max(known) if len(known) == len(limits) else None

    def fresh(self) -> Self:
        fresh = super().fresh()
        fresh._standing = {}
        return fresh

    def _weigh(self, occasion: str, said: list[tuple[Breaker, Verdict | None]]) -> Verdict | None:
        for part, verdict in said:
            if verdict is None or isinstance(verdict, Warn):
                self._standing.pop((part.name, occasion), None)
            else:
                self._standing[part.name, occasion] = verdict
        words: list[Verdict] = []
        for part in self.parts:
            own = [v for (name, _), v in self._standing.items() if name == part.name]
            if not own:
                return strongest([v for _, v in said if isinstance(v, Warn)])
            words.append(own[-1])
        reason = "; ".join(word.reason for word in words if word.reason)
        weakest = max(words, key=lambda word: PRECEDENCE.index(type(word)))
        return attrs.evolve(weakest, reason=reason)


def strongest(verdicts: list[Verdict]) -> Verdict | None:
    """Returns the verdict that counts: Done, GiveUp, Trip, Warn, in this order."""
    return min(verdicts, key=lambda verdict: PRECEDENCE.index(type(verdict)), default=None)
