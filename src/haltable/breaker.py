# SPDX-License-Identifier: MIT
"""The contract for breakers: the base class that users subclass, and how two become one.

Whoever stands in ``Loop(...)`` is policy and never changes.  A breaker that
remembers something is copied for each run, and the copy is what the hooks see.
What the hooks are is in ``haltable.hooks``; here is what ``|`` and ``&`` make of
them.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Self, TypeAlias

import attrs

from haltable.errors import ConfigurationError
from haltable.hooks import Hooks, Horizon
from haltable.iteration import Iteration
from haltable.model import PRECEDENCE, Done, GiveUp, Trip, Verdict, Warn, strongest
from haltable.probe import Answer, Question

__all__ = ["Breaker"]


@attrs.define(eq=False)
class Breaker(Hooks):
    """Decides whether a loop may go on.

    Subclass it with ``@attrs.define`` and override the hooks you need.  Two
    compose: ``a | b`` ends the loop when either says so, ``a & b`` when both do.

    Args:
        name: how receipts and stored memory call it; the class's name by
            default.  Two breakers of one loop may not share one.

    Example:
        >>> import attrs
        >>> from haltable import Breaker, Trip
        >>> @attrs.define
        ... class Slow(Breaker):
        ...     seconds: float
        ...     def after(self, iteration):
        ...         return Trip("too slow") if iteration.elapsed > self.seconds else None
    """

    def __or__(self, other: Breaker) -> Breaker:
        return _Either.of("|", self, other)

    def __and__(self, other: Breaker) -> Breaker:
        return _Both.of("&", self, other)


_Said: TypeAlias = list[tuple[Breaker, Verdict | None]]


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
        # Brackets where the name would read as something else without them.
        other = [isinstance(part, _Composite) and not isinstance(part, cls) for part in breakers]
        names = [f"({p.name})" if o else p.name for p, o in zip(breakers, other, strict=True)]
        return cls(tuple(breakers), name=f" {sign} ".join(names))

    @property
    def judges_success(self) -> bool:
        return any(part.judges_success for part in self.parts)

    @property
    def patience(self) -> float | None:
        return min((s for p in self.parts if (s := p.patience) is not None), default=None)

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

    def newest_evidence(self) -> tuple[str, int] | None:
        seen = [e for part in self.parts if (e := part.newest_evidence()) is not None]
        return max(seen, key=lambda evidence: evidence[1], default=None)

    def _weigh(self, occasion: str, said: _Said) -> Verdict | None:
        """Returns what the whole says when some parts have spoken on an occasion."""
        del occasion
        return strongest(v for part, word in said if (v := _checked(part, word)) is not None)

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

    @property
    def speaks_after(self) -> float:
        return min(part.speaks_after for part in self.parts)


@attrs.define(eq=False)
class _Both(_Composite):
    """``a & b``: ends the loop when both say so.

    A part stands by what it said on an occasion (a hook, the answer to one
    question) until it says otherwise on that occasion; what it said last counts.
    """

    _standing: dict[tuple[str, str], Verdict] = attrs.field(
        factory=dict[tuple[str, str], Verdict], init=False
    )

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

    @property
    def speaks_after(self) -> float:
        return max(part.speaks_after for part in self.parts)

    def asks(self) -> tuple[Question, ...]:
        # Also a false answer is told: it takes back what a true one said.
        return tuple(attrs.evolve(question, quiet=False) for question in super().asks())

    def fresh(self) -> Self:
        # Parts and nothing else: what another run stood by stays there.
        return type(self)(tuple(part.fresh() for part in self.parts), name=self.name)

    def _weigh(self, occasion: str, said: _Said) -> Verdict | None:
        for part, word in said:
            self._standing.pop((part.name, occasion), None)
            verdict = _checked(part, word)
            if verdict is not None and not isinstance(verdict, Warn):
                self._standing[part.name, occasion] = verdict
        words: list[Verdict] = []
        for part in self.parts:
            own = [v for (name, _), v in self._standing.items() if name == part.name]
            if not own:
                return strongest(word for _, word in said if isinstance(word, Warn))
            words.append(own[-1])
        reason = "; ".join(word.reason for word in words if word.reason)
        weakest = max(words, key=lambda word: PRECEDENCE.index(type(word)))
        return attrs.evolve(weakest, reason=reason)


def _checked(part: Breaker, word: object) -> Verdict | None:
    if word is None or isinstance(word, (Done, GiveUp, Trip, Warn)):
        return word
    raise TypeError(f"{part.name} returned {word!r}, which is no verdict and not None")
