# SPDX-License-Identifier: MIT
"""What haltable raises when it is not about one run's report.

This room knows no run, no store and no report: the exceptions that carry a
report live beside it, in ``haltable.report``.  `HaltableError` is the base of
everything that may be caught with ``except Exception``; `LoopInterrupt` is a
`BaseException` on purpose (see there).
"""

from __future__ import annotations

from typing import Any, Literal, cast

from haltable.prose import resolving_call

__all__ = [
    "ConfigurationError",
    "EffectFailed",
    "EffectHeld",
    "HaltableError",
    "LeaseLost",
    "LoopBusy",
    "LoopInterrupt",
    "OutcomeUnknown",
    "PayloadMismatch",
    "RecordError",
    "ResultNotStored",
    "StoreError",
    "UnboundedLoopError",
]

#: What the names of our modules begin with.
_HOUSE = "haltable."
#: What calls an effect, in the ports of either driver.
_DOOR = "invoke"


class HaltableError(Exception):
    """The base of every error that haltable raises."""


class ConfigurationError(HaltableError, ValueError):
    """A loop, breaker or store was put together wrongly; nothing has run.

    The message names the argument, the value it had and what would be right.
    """


class UnboundedLoopError(ConfigurationError):
    """No breaker of the loop guarantees that it ends."""


class StoreError(HaltableError):
    """A store could not do what it was asked.

    Args:
        message: what went wrong, with the store's own words.
        outcome: ``"unknown"`` (the default) if the call may have been carried
            out, ``"refused"`` if it certainly was not.  An unknown write is
            never taken for "not done".
    """

    outcome: Literal["unknown", "refused"]

    def __init__(self, message: str, *, outcome: Literal["unknown", "refused"] = "unknown") -> None:
        super().__init__(message)
        self.outcome = outcome

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt_store_error, (type(self), self.args[0], self.outcome)


def _rebuilt_store_error(
    cls: type[StoreError], message: str, outcome: Literal["unknown", "refused"]
) -> StoreError:
    return cls(message, outcome=outcome)


class RecordError(StoreError):
    """A stored record cannot be read: damaged, cut short or of another format.

    It is never taken for "no record": a loop whose record is unreadable does
    not start.
    """


class LoopBusy(HaltableError):
    """Another run holds the key; no body was started.

    Args:
        key: the key that is held.
        holder: who holds it, in words.
        lease_left: seconds until the holder's lease lapses if it is not
            renewed, by the store's clock.
    """

    def __init__(self, key: str, holder: str, lease_left: float) -> None:
        super().__init__(key, holder, lease_left)
        self.key = key
        self.holder = holder
        self.lease_left = lease_left

    def __str__(self) -> str:
        return (
            f"{self.key!r} is being run by {self.holder}; "
            f"its lease has {self.lease_left:.0f} s left unless it is renewed"
        )


class ResultNotStored(HaltableError):
    """The run succeeded earlier, but its result was not kept.

    Results are kept as JSON up to 256 KiB; the message says which of the two
    this one was not.
    """


class PayloadMismatch(HaltableError):
    """An effect's key was used before with another payload; nothing ran, nothing changed.

    Args:
        key: the effect's key.
        checked: what differs, in words: "another payload" or "other arguments".
    """

    def __init__(self, key: str, checked: str) -> None:
        super().__init__(key, checked)
        self.key = key
        self.checked = checked

    def __str__(self) -> str:
        return (
            f"effect {self.key!r} was called before with {self.checked}; "
            "one key names one effect: give this one another key"
        )


class EffectHeld(HaltableError):
    """Somebody else is at the effect just now; it was not run.

    Args:
        key: the effect's key.
        holder: who is at it, in words.
        lease_left: seconds until that one's lease lapses if it is not renewed.
    """

    def __init__(self, key: str, holder: str, lease_left: float) -> None:
        super().__init__(key, holder, lease_left)
        self.key = key
        self.holder = holder
        self.lease_left = lease_left

    def __str__(self) -> str:
        return (
            f"effect {self.key!r} is being carried out by {self.holder}; "
            f"its lease has {self.lease_left:.0f} s left unless it is renewed"
        )


class EffectFailed(HaltableError):
    """The effect failed for good in an earlier call; it was not run again.

    Args:
        key: the effect's key.
        kind: the class of the exception that it raised, in words.
        message: that one's text.
        data: that one's arguments as JSON text, None if they are none.
    """

    def __init__(self, key: str, kind: str, message: str, data: str | None = None) -> None:
        super().__init__(key, kind, message, data)
        self.key = key
        self.kind = kind
        self.message = message
        self.data = data

    def __str__(self) -> str:
        return f"effect {self.key!r} failed for good: {self.kind}: {self.message}"


class OutcomeUnknown(HaltableError):
    """Nobody knows whether the effect has happened; it was not run again.

    Args:
        key: the effect's key.
        reason: why nobody knows.
        namespace: the guard's.
    """

    def __init__(self, key: str, reason: str, namespace: str = "") -> None:
        super().__init__(key, reason, namespace)
        self.key = key
        self.reason = reason
        self.namespace = namespace

    def __str__(self) -> str:
        return (
            f"nobody knows whether effect {self.key!r} has happened: {self.reason}; "
            f"look outside, then {resolving_call(self.key, self.namespace)}, "
            "or give the guard reconcile="
        )


class LeaseLost(HaltableError):
    """The effect was carried out, but its claim had been resolved or taken meanwhile.

    Args:
        key: the effect's key.
        value: what this call's effect returned.
        stored: how the store says that it stands, in words.
        stored_value: the result that the store has, None without one.
    """

    def __init__(self, key: str, value: object, stored: str, stored_value: object = None) -> None:
        super().__init__(key, value, stored, stored_value)
        self.key = key
        self.value = value
        self.stored = stored
        self.stored_value = stored_value

    def __str__(self) -> str:
        return (
            f"effect {self.key!r} was carried out here and returned {self.value!r}, but meanwhile "
            f"its claim was decided without it: {self.stored}"
        )


class LoopInterrupt(BaseException):
    """Raised inside a body by a verb that came after the verdict.

    It is no `Exception`, because agent frameworks catch an `Exception` and feed
    its text back to the model.  It never leaves ``run``, ``step`` or a ``with``
    block: there it becomes a `haltable.LoopHalted`.  Do not catch it.

    Args:
        reason: why the run has ended, in words.
        run: the identity of the run that ended; a nested run lets the
            interrupt of an outer one pass.
    """

    def __init__(self, reason: str, run: object = None) -> None:
        super().__init__(reason)
        self.run = run

    def __reduce__(self) -> tuple[Any, ...]:
        # The run is a live object of this process; elsewhere only the words make sense.
        return type(self), (self.args[0],)


def split_interrupt(error: BaseException | None, run: object) -> tuple[bool, BaseException | None]:
    """Takes a run's own interrupts out of an exception, also out of groups.

    Args:
        error: what left its body or block; None if nothing did.
        run: the identity of the run.

    Returns:
        Whether there was one, and what is left.
    """
    if isinstance(error, LoopInterrupt) and error.run is run:
        return True, None
    if isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        own, rest = group.split(lambda each: isinstance(each, LoopInterrupt) and each.run is run)
        return own is not None, rest
    return False, error


def shorten(error: BaseException) -> None:
    """Takes our frames before an effect out of the traceback of what came out of it.

    That shows who called the effect, and not by which way.  What is raised on the
    way, by us or by a store, stays as it is.
    """
    ours, found = None, error.__traceback__
    while found is not None and str(found.tb_frame.f_globals.get("__name__")).startswith(_HOUSE):
        ours, found = found, found.tb_next
    if found is not None and ours is not None and ours.tb_frame.f_code.co_name == _DOOR:
        error.__traceback__ = found


def in_words(error: BaseException) -> str:
    """Returns an exception as its type and text."""
    try:
        text = str(error)
    except Exception as fault:  # Anybody's own __str__ may raise anything.
        text = f"its text cannot be read ({type(fault).__name__})"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
