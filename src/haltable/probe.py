# SPDX-License-Identifier: MIT
"""The contract for questions to the world outside: conditions, evidence, questions.

A breaker never looks at the world.  It declares a `Question`; the driver asks
it (calling or awaiting) and hands back an `Answer`, which is a value or a
fault.  This room does not know who asks, and has no clock.
"""

from __future__ import annotations

import abc
import enum
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Literal, TypeAlias

import attrs

from haltable.errors import ConfigurationError
from haltable.model import Verdict

__all__ = ["Answer", "Condition", "Due", "Evidence", "Predicate", "Question", "as_condition"]


class Due(enum.Flag):
    """The moments at which a question can be asked."""

    #: Before the first iteration of a run; the subject is None.
    START = enum.auto()
    #: After an iteration that returned; the subject is its result.
    RETURN = enum.auto()
    #: After an iteration that failed (or was transient); the subject is its exception.
    FAILURE = enum.auto()
    #: While the body runs, asked by whoever watches it; the subject is None.
    DURING = enum.auto()
    #: After every iteration that ended by itself.
    END = RETURN | FAILURE
    ALWAYS = START | RETURN | FAILURE


@attrs.frozen
class Question:
    """What a breaker wants to know of the world, and when.

    Args:
        name: unique within the breaker; faults are reported under it.
        ask: called with the subject of the moment (see `Due`); may return an
            awaitable, which only the async drivers can use.
        due: the moments at which it may be asked.
        timed: if true, it is asked only when the breaker's ``due_at`` says so.
        quiet: if true, a false answer says nothing and the breaker is not told.
        verdict: for a quiet question, what a true answer means; with it the
            breaker need not be told that one either.
    """

    name: str
    ask: Callable[[Any], object]
    due: Due = Due.END
    timed: bool = False
    quiet: bool = False
    verdict: Verdict | None = None


@attrs.frozen
class Answer:
    """What came back: a value, or the exception that the question raised."""

    value: object = None
    fault: Exception | None = None


class Condition(abc.ABC):
    """Something that holds or does not, asked of the world or of an iteration's end.

    Subclass it, say in `due` when it can be asked, and answer in `holds`.
    Conditions compose: ``a | b``, ``a & b``.
    """

    #: The moments at which it can be asked; at others it does not hold.
    due: Due = Due.ALWAYS

    @abc.abstractmethod
    def holds(self, subject: Any) -> bool | Awaitable[bool]:
        """Returns whether it holds; the subject is the one of the moment (see `Due`)."""

    def at(self, moment: Due, subject: Any) -> object:
        """Returns whether it holds at the moment; false at a moment that is not its own."""
        return self.holds(subject) if moment in self.due else False

    def question_at(self, moment: Due) -> Callable[[Any], object]:
        """Returns the callable that asks it at the moment, decided once per loop."""
        del moment  # It is asked only at its own moments.
        return self.holds

    def __or__(self, other: object) -> Condition:
        return _Composite("or", self, as_condition(other, "|"))

    def __ror__(self, other: object) -> Condition:
        return _Composite("or", as_condition(other, "|"), self)

    def __and__(self, other: object) -> Condition:
        return _Composite("and", self, as_condition(other, "&"))

    def __rand__(self, other: object) -> Condition:
        return _Composite("and", as_condition(other, "&"), self)

    def __str__(self) -> str:
        return type(self).__name__


class Predicate(Condition):
    """A user's function as a condition.

    One with a parameter is asked after iterations that returned, with the
    result; one without is also asked before the first and after failures.
    """

    def __init__(self, function: Callable[..., object], *, takes_result: bool) -> None:
        self.function = function
        self.due = Due.RETURN if takes_result else Due.ALWAYS
        self._ask: Callable[[Any], Any] = function if takes_result else lambda _: function()

    def holds(self, subject: Any) -> Any:
        """Returns what the function says."""
        return self._ask(subject)

    def question_at(self, moment: Due) -> Callable[[Any], object]:
        """Returns the function itself, so that asking it costs one call."""
        del moment
        return self._ask

    def __str__(self) -> str:
        name = getattr(self.function, "__name__", None) or type(self.function).__name__
        return "the given predicate" if name == "<lambda>" else name


def as_condition(value: object, argument: str) -> Condition:
    """Returns the value as a `Condition`; functions become predicates.

    Raises:
        ConfigurationError: if it is neither a condition nor a callable that
            can be called with no argument or with one.
    """
    if isinstance(value, Condition):
        return value
    if not callable(value) or (isinstance(value, type) and value is not bool):
        raise ConfigurationError(
            f"{argument}={value!r}: give a function of no argument or of the result, "
            "or a condition of haltable.conditions"
        )
    if value is bool:
        # It has a signature from 3.13 on, with a default that nobody means.
        return Predicate(bool, takes_result=True)
    try:
        parameters = inspect.signature(value).parameters.values()
    except (TypeError, ValueError):
        return Predicate(value, takes_result=True)  # A builtin without a signature.
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    required = [p for p in positional if p.default is p.empty]
    named = [p for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty]
    if len(required) > 1 or named:
        raise ConfigurationError(
            f"{argument}={value!r}: a predicate takes nothing or the result, "
            f"this one needs {len(required) + len(named)} arguments"
        )
    # A parameter with a default is the user's own (a bound loop variable, say):
    # only a required one, or *args, asks for the result.
    takes_result = bool(required) or any(p.kind is p.VAR_POSITIONAL for p in parameters)
    return Predicate(value, takes_result=takes_result)


class _Composite(Condition):
    """Two conditions asked as one."""

    def __init__(self, word: Literal["or", "and"], one: Condition, other: Condition) -> None:
        self.word = word
        self.parts = (one, other)
        #: The answer of a part that settles the whole.
        self.settles = word == "or"
        # At a moment that is not its own a part does not hold: "and" need not ask then.
        self.due = one.due | other.due if self.settles else one.due & other.due

    @property
    def blocks(self) -> bool:
        """Whether asking may block the thread."""
        return any(getattr(part, "blocks", False) for part in self.parts)

    def holds(self, subject: Any) -> bool | Awaitable[bool]:
        return self._settle(lambda part: part.holds(subject), 0)

    def at(self, moment: Due, subject: Any) -> object:
        return self._settle(lambda part: part.at(moment, subject), 0)

    def question_at(self, moment: Due) -> Callable[[Any], object]:
        return _At(self, moment)

    def _settle(self, ask: Callable[[Condition], object], first: int) -> bool | Awaitable[bool]:
        for index in range(first, len(self.parts)):
            answer = ask(self.parts[index])
            if inspect.isawaitable(answer):
                return self._settle_later(answer, ask, index + 1)
            if bool(answer) is self.settles:
                return self.settles
        return not self.settles

    async def _settle_later(
        self, pending: Awaitable[object], ask: Callable[[Condition], object], rest: int
    ) -> bool:
        if bool(await pending) is self.settles:
            return self.settles
        answer = self._settle(ask, rest)
        return await answer if inspect.isawaitable(answer) else answer

    def __str__(self) -> str:
        return _joined(self.word, self.parts)


@attrs.frozen
class _At:
    """Asks several conditions at one moment; says whether that may block."""

    condition: _Composite
    moment: Due

    @property
    def blocks(self) -> bool:
        return self.condition.blocks

    def __call__(self, subject: Any) -> object:
        return self.condition.at(self.moment, subject)


def _joined(word: str, parts: tuple[object, ...]) -> str:
    """Returns the parts in words, those that are joined by another word in brackets."""
    texts = [f"({p})" if getattr(p, "word", word) != word else str(p) for p in parts]
    return f" {word} ".join(texts)


class Evidence(abc.ABC):
    """Something outside the loop whose state has a fingerprint.

    Only a fingerprint that was not seen before is progress.  Evidence composes:
    ``a | b`` is new when either is, ``a & b`` when both were within the window.
    """

    @abc.abstractmethod
    def fingerprint(self) -> bytes | Awaitable[bytes | None] | None:
        """Returns a digest of the state as it is now; None means "cannot see"."""

    def leaves(self) -> tuple[Evidence, ...]:
        """Returns the single pieces of evidence that this one is made of."""
        return (self,)

    def newest(self, times: tuple[float, ...]) -> float:
        """Returns when the whole was last new, given when each leaf was."""
        return times[0]

    def __or__(self, other: Evidence) -> Evidence:
        return _Together(max, "or", (self, _as_evidence(other)))

    def __and__(self, other: Evidence) -> Evidence:
        return _Together(min, "and", (self, _as_evidence(other)))

    def __str__(self) -> str:
        return type(self).__name__


_Fold: TypeAlias = Callable[[list[float]], float]


class _Together(Evidence):
    """Several pieces of evidence judged as one: the newest, or the oldest, decides."""

    def __init__(self, fold: _Fold, word: str, parts: tuple[Evidence, ...]) -> None:
        self.word = word
        self._fold = fold
        self._parts = parts

    def fingerprint(self) -> bytes | None:
        raise TypeError("composed evidence is asked leaf by leaf")

    def leaves(self) -> tuple[Evidence, ...]:
        return tuple(leaf for part in self._parts for leaf in part.leaves())

    def newest(self, times: tuple[float, ...]) -> float:
        folded: list[float] = []
        for part in self._parts:
            size = len(part.leaves())
            folded.append(part.newest(times[:size]))
            times = times[size:]
        return self._fold(folded)

    def __str__(self) -> str:
        return _joined(self.word, self._parts)


def _as_evidence(value: object) -> Evidence:
    if not isinstance(value, Evidence):
        raise ConfigurationError(
            f"{value!r} is no evidence: compose Files, Probe and the like of haltable.evidence"
        )
    return value
