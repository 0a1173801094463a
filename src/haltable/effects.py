# SPDX-License-Identifier: MIT
"""The words of effects as values: how one stands, what a reconciler may answer.

An effect is something done to the world outside, under a key that names it
there.  This room knows no store and no guard.
"""

from __future__ import annotations

import enum
from contextvars import ContextVar
from typing import Any, Literal, TypeAlias

import attrs

from haltable.errors import ConfigurationError, HaltableError

__all__ = [
    "Claim",
    "DontKnow",
    "EffectState",
    "Happened",
    "NotHappened",
    "NothingHappened",
    "Semantics",
    "Verdict",
    "claim",
]

#: What happens to an effect whose owner went away: nothing, or another attempt.
Semantics: TypeAlias = Literal["at_most_once", "at_least_once"]


class EffectState(enum.StrEnum):
    """How an effect stands."""

    #: Nothing has happened; the next call runs it.
    FREE = "free"
    #: Somebody may be at it.
    CLAIMED = "claimed"
    #: It has happened; its result is replayed.
    DONE = "done"
    #: It has failed for good; its error is replayed.
    FAILED = "failed"
    #: Nobody knows whether it has happened: it waits for a reconciler or an operator.
    UNKNOWN = "unknown"

    @property
    def finished(self) -> bool:
        """Whether it is replayed from now on."""
        return self in (EffectState.DONE, EffectState.FAILED)


@attrs.frozen
class Happened:
    """The effect has happened.

    Args:
        value: what it returned, as far as the outside can tell; JSON.
    """

    value: Any = None


@attrs.frozen
class NotHappened:
    """The effect has not happened, and cannot any more by the attempt in question."""


@attrs.frozen
class DontKnow:
    """The outside cannot tell either; the effect stays unknown.

    Args:
        why: for the operator.
    """

    why: str = "the reconciler does not know"


#: What ``reconcile`` returns.
Verdict: TypeAlias = Happened | NotHappened | DontKnow


class NothingHappened(HaltableError):
    """Raised by an effect that certainly did nothing: its key is free again.

    It is raised on to the caller.
    """


@attrs.frozen
class Claim:
    """The right under which an effect runs, as the effect itself may see it.

    Args:
        namespace: the guard's.
        key: the effect's.
        fence: grows with every attempt; an outside system that remembers the
            largest can refuse a late one.
        attempt: 1 for the first attempt of this key.
    """

    namespace: str
    key: str
    fence: int
    attempt: int

    @property
    def idempotency_key(self) -> str:
        """A text for the provider's own idempotency: the same for each attempt."""
        return f"{self.namespace}:{self.key}" if self.namespace else self.key


#: The claims that this context holds, the innermost last.
claims: ContextVar[tuple[Claim, ...]] = ContextVar("haltable.effects", default=())


def claim() -> Claim:
    """Returns the claim of the effect that this code runs in.

    Raises:
        ConfigurationError: if no effect is running here.

    Example:
        >>> from haltable import IdempotencyGuard, MemoryStore
        >>> from haltable.effects import claim
        >>> guard = IdempotencyGuard(store=MemoryStore())
        >>> guard.once("charge:7", lambda: claim().idempotency_key)
        'charge:7'
    """
    held = claims.get()
    if not held:
        raise ConfigurationError("claim(): no effect is running here")
    return held[-1]
