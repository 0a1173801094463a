# SPDX-License-Identifier: MIT
"""What an isolated function asks for, turned into the iteration's verbs, and errors into words.

It believes nothing: what is missing or of a wrong type is refused.
"""

from __future__ import annotations

from typing import Any, cast

from haltable.bodies._channel import Channel
from haltable.bodies.isolated_failed import IsolatedFailed
from haltable.effects import NothingHappened
from haltable.errors import ConfigurationError
from haltable.iteration import Iteration
from haltable.payload import ABSENT

__all__ = ["claimed", "effect_failure", "effect_of", "failure", "in_reply"]


def claimed(iteration: Iteration, message: dict[str, Any]) -> None:
    """Carries out a verb that answers nothing."""
    match message:
        case {"verb": "done", "value": value}:
            iteration.done(value)
        case {"verb": "give_up", "why": why}:
            iteration.give_up(why)
        case {"verb": "check"}:
            iteration.check()
        case _:
            raise ConfigurationError("an isolated body has asked for a verb that there is not")


def effect_of(message: dict[str, Any]) -> tuple[str, list[Any], dict[str, Any], Any]:
    """Returns an effect's key, its arguments, and its payload."""
    match message:
        case {"key": str(key), "args": list(), "kwargs": dict()}:
            args = cast("list[Any]", message["args"])
            kwargs = cast("dict[str, Any]", message["kwargs"])
        case _:
            raise ConfigurationError("an isolated body has asked for an effect without a key")
    if message.get("unchecked"):
        args, kwargs = [object()], {}  # They are no JSON over there, and here neither.
    return key, args, kwargs, message.get("payload", ABSENT)


def failure(channel: Channel, said: object) -> Exception:
    """Returns what was raised over there as an exception of ours."""
    match said:
        case {"kind": str(kind), "message": str(message), "traceback": str(traceback)}:
            return IsolatedFailed(channel.name, kind, message, traceback)
        case _:
            return channel.fault("failed without saying how")


def effect_failure(channel: Channel, said: object) -> Exception:
    """Returns the same of an effect, which may say that nothing has happened."""
    error = failure(channel, said)
    if isinstance(error, IsolatedFailed) and error.kind == _NOTHING:
        return NothingHappened(error.message)
    return error


def in_reply(channel: Channel, error: Exception) -> dict[str, Any]:
    """Returns an error of a verb as the function is told of it."""
    if error is channel.own:
        channel.own = None
        return {"own": True}
    return {"error": {"kind": type(error).__name__, "args": error.args, "text": str(error)}}


_NOTHING = f"{NothingHappened.__module__}.{NothingHappened.__qualname__}"
