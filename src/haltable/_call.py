# SPDX-License-Identifier: MIT
"""How a body is called: decided once per run, or once per decorated function.

It looks at signatures and knows no run.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Sequence
from typing import Any

from haltable.body import Body
from haltable.errors import ConfigurationError
from haltable.iteration import Iteration

__all__ = [
    "Call",
    "is_async",
    "is_async_generator",
    "is_generator",
    "place_of_iteration",
]

_NAME = "iteration"
_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def _nothing() -> None:
    """What has to be done after the last iteration of most bodies."""


class Call:
    """A body with all of its arguments but the iteration.

    Attributes:
        body: what is called, with the iteration or with nothing.
        takes: whether it takes the iteration.
        close: is called after the last iteration of a run.
    """

    __slots__ = ("body", "close", "takes")

    def __init__(
        self,
        body: Callable[..., Any],
        *,
        takes: bool,
        close: Callable[[], object] = _nothing,
    ) -> None:
        self.body = body
        self.takes = takes
        self.close = close

    @classmethod
    def of(
        cls,
        body: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        awaited: bool,
    ) -> Call:
        """Returns how to call a body for ``run`` and ``step``, or for their async twins."""
        if isinstance(body, Body):
            if args or kwargs:
                raise ConfigurationError(f"body={_name(body)}: it takes no arguments of its own")
            return cls(body.acall if awaited else body, takes=True)
        _check(body, awaited=awaited)
        place = place_of_iteration(body)
        alone = not args and not kwargs
        if place is None:
            return cls(body if alone else functools.partial(body, *args, **kwargs), takes=False)
        if _NAME in kwargs:
            raise ConfigurationError(
                f"{_NAME}={kwargs[_NAME]!r}: the loop itself hands each iteration to "
                f"{_name(body)}; leave this argument out"
            )

        def by_name(iteration: Iteration) -> Any:
            return body(*args, iteration=iteration, **kwargs)

        def by_place(iteration: Iteration) -> Any:
            return body(*args[:place], iteration, *args[place:], **kwargs)

        if place > len(args):
            return cls(by_name, takes=True)
        return cls(body if alone else by_place, takes=True)

    def kept_from(self, files: Callable[[], Sequence[str]]) -> Call:
        """Returns the call of the body that a loop with these files has."""
        if type(self.body) is functools.partial:
            return self  # Neither a body of its own kind nor a method of one.
        body = getattr(self.body, "__self__", self.body)
        if not isinstance(body, Body) or self.body not in {body, body.acall}:
            return self
        kept = body.kept_from(files())
        held = kept if self.body is body else kept.acall
        return Call(held, takes=True, close=kept.close)


def _check(body: Callable[..., Any], *, awaited: bool) -> None:
    if not callable(body):
        raise ConfigurationError(f"body={body!r}: give a callable")
    if is_generator(body):
        raise ConfigurationError(
            f"body={_name(body)}: a generator keeps its own loop; decorate it with "
            "@bounded_loop, or give a function that does one iteration"
        )
    if is_async(body) and not awaited:
        raise ConfigurationError(
            f"body={_name(body)}: it is async; await loop.arun(...) or loop.astep(...) instead"
        )
    if awaited and not is_async(body) and inspect.isroutine(_unwrapped(body)):
        raise ConfigurationError(
            f"body={_name(body)}: it is not async and would block the event loop; "
            "make it `async def`, or use loop.run(...) in a thread of its own"
        )


def place_of_iteration(body: Callable[..., Any]) -> int | None:
    """Returns before how many other arguments ``iteration`` goes; None if the body takes none.

    A parameter that is only taken by name has its place after any number of others.
    """
    try:
        parameters = list(inspect.signature(body).parameters.values())
    except (TypeError, ValueError):
        return None
    for index, parameter in enumerate(parameters):
        if parameter.name != _NAME or parameter.kind in _VARIADIC:
            continue
        if parameter.kind is parameter.POSITIONAL_ONLY and index > 0:
            raise ConfigurationError(
                f"body={_name(body)}: `iteration` is positional-only and not the first parameter, "
                "so it cannot be handed over; drop the slash"
            )
        return sys.maxsize if parameter.kind is parameter.KEYWORD_ONLY else index
    return None


def is_async(body: Callable[..., Any]) -> bool:
    """Says whether calling it gives a coroutine, through partials and callable objects."""
    body = _unwrapped(body)
    return inspect.iscoroutinefunction(body) or inspect.iscoroutinefunction(type(body).__call__)


def is_generator(body: Callable[..., Any]) -> bool:
    """Says whether calling it gives a generator, sync or async."""
    return inspect.isgeneratorfunction(_unwrapped(body)) or is_async_generator(body)


def is_async_generator(body: Callable[..., Any]) -> bool:
    """Says whether calling it gives an async generator."""
    return inspect.isasyncgenfunction(_unwrapped(body))


def _unwrapped(body: Callable[..., Any]) -> Callable[..., Any]:
    while isinstance(body, functools.partial):
        body = body.func
    return body


def _name(body: object) -> str:
    return getattr(body, "__qualname__", None) or repr(body)
