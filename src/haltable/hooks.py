# SPDX-License-Identifier: MIT
"""What a breaker may say and when, each with what it says if nobody overrides it.

A breaker decides and does nothing else.  Its hooks are plain functions of an
iteration that return a verdict or None; what it must know of the world it
declares as questions; time comes in with the iteration.  It knows no store, no
driver and no other breaker.
"""

from __future__ import annotations

import copy
import math
from collections import deque
from collections.abc import Mapping
from typing import Any, Self, cast

import attrs

from haltable.errors import ConfigurationError, in_words
from haltable.iteration import Iteration
from haltable.memory import forget, remembered_fields, undecorated_fields
from haltable.model import Trip, Verdict
from haltable.probe import Answer, Question

__all__ = ["Hooks", "Horizon"]

#: What is changed in place.
_CONTAINERS = (bytearray, deque, dict, list, set)


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


def _own_name(hooks: Hooks) -> str:
    return type(hooks).__name__


def _check_name(hooks: object, attribute: attrs.Attribute[str], value: object) -> None:
    del hooks, attribute
    if not isinstance(value, str) or not value:
        raise ConfigurationError(f"name={value!r}: give a non-empty string")


def _fields_of(hooks: Hooks) -> tuple[str, ...]:
    return tuple(field.name for field in attrs.fields(type(hooks)))


@attrs.define(eq=False)
class Hooks:
    """The hooks of a breaker; subclass `haltable.Breaker`, which composes too.

    Args:
        name: how receipts and stored memory call it; the class's name by
            default.  Two breakers of one loop may not share one.
    """

    name: str = attrs.field(
        default=attrs.Factory(_own_name, takes_self=True), kw_only=True, validator=_check_name
    )

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

    @property
    def patience(self) -> float | None:
        """Seconds that may pass between two calls of `during`; None if it is never called.

        One second where `during` is overridden.
        """
        return None if type(self).during is Hooks.during else 1.0

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
        """Called before an iteration is charged.

        Called again after a pause, or if another process was quicker: what is
        counted here would be counted twice, so count in `after`.
        """

    def after(self, iteration: Iteration) -> Verdict | None:
        """Called when an iteration has ended and its questions are answered."""

    def during(self, iteration: Iteration) -> Verdict | None:
        """Called while the body is running, by whoever watches it.

        Another thread calls it than the body's, never while another hook of this
        run is at work.  A verdict ends the run at once: it is stored, and the
        body interrupted where its mode allows it.
        """

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
        # attrs copies the fields that it was told of; a class without it may have more.
        own: dict[str, Any] = {name: getattr(self, name, None) for name in _fields_of(self)}
        for name, value in {**own, **getattr(self, "__dict__", {})}.items():
            if isinstance(value, _CONTAINERS):
                # What one run gathers in it is no other's.
                object.__setattr__(fresh, name, copy.copy(cast("object", value)))
            elif name not in own:
                object.__setattr__(fresh, name, value)
        forget(fresh)
        return fresh

    def check(self) -> None:
        """Raises `haltable.ConfigurationError` if it is put together wrongly.

        Called once, when the loop is made.
        """
        for cls in type(self).__mro__:
            for name in undecorated_fields(cls):
                raise ConfigurationError(
                    f"{cls.__name__}.{name} is a remembered field, but {cls.__name__} has no "
                    "@attrs.define: put it above the class"
                )
        if not hasattr(self, "name"):
            raise ConfigurationError(
                f"{type(self).__name__} was made by an __init__ that sets nothing of what "
                "every breaker has: put @attrs.define above the class, and leave __init__ to it"
            )
