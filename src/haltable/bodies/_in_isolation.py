# SPDX-License-Identifier: MIT
"""The other end of the line: calls an isolated function and asks for the verbs it uses.

It runs in a process of its own, which has no store, no run and no handle.  What
it says is a claim; it is all that the function could forge as well.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any, NoReturn

import attrs

from haltable import errors
from haltable._context import here
from haltable.bodies._numbers import with_numbers
from haltable.clock import Clock
from haltable.errors import ConfigurationError, HaltableError, LoopInterrupt
from haltable.iteration import Given, Iteration
from haltable.model import Done, GiveUp
from haltable.payload import ABSENT

__all__ = ["main"]

#: Characters of a traceback that are sent.
_LONGEST = 1 << 14


def main(job: dict[str, Any]) -> NoReturn:
    """Carries out one job, answers, and ends the process."""
    line = socket.socket(fileno=job["line"])
    line.set_inheritable(False)
    remote = _Remote(line)
    remote.say(_carried_out(job, remote))
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    # Whatever else the function has started in this process ends with its answer.
    os._exit(0)


def _carried_out(job: dict[str, Any], remote: _Remote) -> dict[str, Any]:
    iteration = with_numbers(job["numbers"], remote)
    here.set(_Inside(iteration))
    try:
        function: Any = importlib.import_module(job["module"])
        for name in job["qualname"].split("."):
            function = getattr(function, name)
        given = {"iteration": iteration} if job["takes"] else {}
        return {"returned": _checked(function(**job["arguments"], **given))}
    except LoopInterrupt as interrupt:
        if interrupt.run is remote:
            return {"interrupted": True}
        return {"raised": _described(interrupt)}
    except BaseException as error:
        return {"raised": _described(error)}


def _checked(result: object) -> object:
    try:
        json.dumps(result, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigurationError(
            f"an isolated body returns what JSON can hold, not {type(result).__qualname__}: {error}"
        ) from error
    return result


def _described(error: BaseException) -> dict[str, str]:
    kind = type(error)
    try:
        message = str(error)
    except Exception as fault:  # Anybody's own __str__ may raise anything.
        message = f"its text cannot be read ({type(fault).__name__})"
    module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
    text = "".join(traceback.format_exception(error))
    return {
        "kind": module + kind.__qualname__,
        "message": message[-_LONGEST:],
        "traceback": text[-_LONGEST:],
    }


@attrs.frozen
class _Inside:
    """Stands for the run in this process, so that `haltable.current` works."""

    iteration: Iteration
    ambient_clock: Clock | None = None

    def open_iteration(self) -> Iteration | None:
        """Returns the iteration that has control."""
        return self.iteration


class _Remote:
    """The verbs of an iteration, each of which is a question to those who run it."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._answers = line.makefile("rb")
        self._turn = threading.RLock()

    def say(self, message: dict[str, Any]) -> None:
        """Sends a message."""
        self._line.sendall(json.dumps(message, allow_nan=False).encode() + b"\n")

    def claim(self, iteration: Iteration, claim: Done | GiveUp, value: object) -> None:
        """Notes what the body says of itself."""
        del iteration
        if isinstance(claim, Done):
            self._ask({"verb": "done", "value": _checked(value)})
        else:
            self._ask({"verb": "give_up", "why": claim.reason})

    def check(self, iteration: Iteration) -> None:
        """Raises if the run has ended or was asked to stop."""
        del iteration
        self._ask({"verb": "check"})

    def enter(self, iteration: Iteration) -> None:
        """Refuses a block, as everywhere in a body."""
        raise ConfigurationError(f"with {iteration!r}: belongs into `for iteration in loop`")

    def leave(self, iteration: Iteration, error: BaseException | None) -> bool:
        """Never called: no block begins."""
        del iteration, error
        return False

    def once(self, iteration: Iteration, key: str, fn: Callable[..., Any], given: Given) -> Any:
        """Asks for a claim, runs the effect here, and tells how it ended."""
        del iteration
        args, kwargs, payload = given
        message: dict[str, Any] = {"verb": "once", "key": key, "args": args, "kwargs": kwargs}
        if payload is not ABSENT:
            message |= {"payload": payload, "args": [], "kwargs": {}}
        else:
            try:
                json.dumps([args, kwargs], allow_nan=False)
            except (TypeError, ValueError):
                message |= {"unchecked": True, "args": [], "kwargs": {}}
        return self._ask(message, functools.partial(fn, *args, **kwargs))

    async def aonce(
        self, iteration: Iteration, key: str, fn: Callable[..., Any], given: Given
    ) -> Any:
        """Refuses: the function is not async."""
        del key, fn, given
        raise ConfigurationError(f"{iteration!r} is in an isolated body, which uses once()")

    def _ask(self, message: dict[str, Any], effect: Callable[[], Any] | None = None) -> Any:
        own: BaseException | None = None
        with self._turn:
            self.say(message)
            while True:
                answer = json.loads(self._answers.readline() or b'{"interrupt": "nobody is there"}')
                if "run" in answer and effect is not None:
                    try:
                        self.say({"ran": _checked(effect())})
                    except BaseException as error:
                        own = error
                        self.say({"failed": _described(error)})
                elif "interrupt" in answer:
                    raise LoopInterrupt(answer["interrupt"], self)
                elif "own" in answer and own is not None:
                    raise own
                elif "error" in answer:
                    raise _rebuilt(answer["error"])
                else:
                    return answer.get("value")


def _rebuilt(said: dict[str, Any]) -> Exception:
    """Returns an error of ours as it was raised over there, or what is left of another."""
    kind = getattr(errors, said["kind"], None)
    if isinstance(kind, type) and issubclass(kind, HaltableError):
        try:
            return kind(*said["args"])
        except TypeError:
            return HaltableError(f"{said['kind']}: {said['text']}")
    return HaltableError(f"{said['kind']}: {said['text']}")
