# SPDX-License-Identifier: MIT
"""How a body is called: decided once per run, or once per decorated function.

It looks at signatures and knows no run.
"""

from __future__ import annotations

import enum
import functools
import inspect
from collections.abc import Callable
from typing import Any

import attrs

from haltable.body import Body
from haltable.errors import ConfigurationError
from haltable.iteration import Iteration

__all__ = ["Call", "Mode", "is_async", "is_generator", "takes_iteration"]

_NAME = "iteration"


class Mode(enum.Enum):
    """How the body is called, so that the hot path decides with one comparison."""

    #: With nothing.
    PLAIN = enum.auto()
    #: With the iteration and nothing else.
    TAKES_ITERATION = enum.auto()
    #: With the caller's arguments, and the iteration by name if it has one.
    FULL = enum.auto()


@attrs.frozen(eq=False)
class Call:
    """A body with its arguments.

    Args:
        body: what is called.
        mode: how.
        args: positional arguments of the caller.
        kwargs: keyword arguments of the caller.
        named: whether the body takes the iteration by name.
    """

    body: Callable[..., Any]
    mode: Mode
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = attrs.field(factory=dict)
    named: bool = False

    @classmethod
    def of(
        cls, body: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], *, awaited: bool
    ) -> Call:
        """Returns how to call a body for ``run`` and ``step``, or for their async twins."""
        if not callable(body):
            raise ConfigurationError(f"body={body!r}: give a callable")
        if is_generator(body):
            raise ConfigurationError(
                f"body={_name(body)}: a generator keeps its own loop; decorate it with "
                "@bounded_loop, or give a function that does one iteration"
            )
        if isinstance(body, Body):
            if args or kwargs:
                raise ConfigurationError(f"body={_name(body)}: it takes no arguments of its own")
            return cls(body.acall if awaited else body, Mode.TAKES_ITERATION)
        if is_async(body) and not awaited:
            raise ConfigurationError(
                f"body={_name(body)}: it is async; await loop.arun(...) or loop.astep(...) instead"
            )
        if awaited and not is_async(body) and inspect.isroutine(body):
            raise ConfigurationError(
                f"body={_name(body)}: it is not async and would block the event loop; "
                "make it `async def`, or use loop.run(...) in a thread of its own"
            )
        named = takes_iteration(body)
        if args or kwargs:
            return cls(body, Mode.FULL, args, kwargs, named)
        return cls(body, Mode.TAKES_ITERATION if named == "first" else Mode.FULL if named else Mode.PLAIN, named=bool(named))

    def keywords(self, iteration: Iteration) -> dict[str, Any]:
        """Returns the keyword arguments of one call."""
        return {**self.kwargs, _NAME: iteration} if self.named else self.kwargs


def takes_iteration(body: Callable[..., Any]) -> str:
    """Returns "first" if the body's first parameter is ``iteration``, "named" if another is."""
    try:
        parameters = list(inspect.signature(body).parameters.values())
    except (TypeError, ValueError):
        return ""
    for index, parameter in enumerate(parameters):
        if parameter.name != _NAME:
            continue
        if parameter.kind is parameter.POSITIONAL_ONLY and index > 0:
            raise ConfigurationError(
                f"body={_name(body)}: `iteration` is positional-only and not the first parameter, "
                "so it cannot be handed over; drop the slash"
            )
        first = index == 0 and parameter.kind is not parameter.KEYWORD_ONLY
        return "first" if first else "named"
    return ""


def is_async(body: Callable[..., Any]) -> bool:
    """Says whether calling it gives a coroutine, through partials and callable objects."""
    body = _unwrapped(body)
    call = getattr(type(body), "__call__", None)
    return inspect.iscoroutinefunction(body) or inspect.iscoroutinefunction(call)


def is_generator(body: Callable[..., Any]) -> bool:
    """Says whether calling it gives a generator, sync or async."""
    body = _unwrapped(body)
    return inspect.isgeneratorfunction(body) or inspect.isasyncgenfunction(body)


def _unwrapped(body: Callable[..., Any]) -> Callable[..., Any]:
    while isinstance(body, functools.partial):
        body = body.func
    return body


def _name(body: object) -> str:
    return getattr(body, "__qualname__", None) or repr(body)
