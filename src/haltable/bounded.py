# SPDX-License-Identifier: MIT
"""The decorator: a function whose calls are bounded loops.

What it gives back is called, bound as a method, inspected and pickled like the
function it wraps; each call is a run of its own, so calls share nothing.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Generator, Iterator
from types import MethodType
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Generic,
    ParamSpec,
    Protocol,
    Self,
    TypeVar,
    cast,
    overload,
)

from typing_extensions import Unpack

from haltable._bounded_generators import agenerate, generate
from haltable._call import Call, is_async, is_async_generator, is_generator
from haltable._context import here
from haltable._drive_sync import drive
from haltable._policy import LoopOptions
from haltable.breaker import Breaker
from haltable.errors import ConfigurationError
from haltable.loop import Loop
from haltable.report import Report

__all__ = ["Bounded", "BoundedCoroutine", "BoundedGenerator", "bounded_loop"]

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
S = TypeVar("S")
T = TypeVar("T")
Y = TypeVar("Y")


class _FunctionLike(Generic[P, R]):
    """What all decorated functions have in common: they look like the function."""

    loop: Loop

    def __init__(self, function: Callable[P, Any], loop: Loop) -> None:
        functools.update_wrapper(cast("Any", self), function)
        self.loop = loop
        self._function = function
        self._guarded = loop.guards_bodies
        # What `inspect` calls function-like: with these, it says the same of
        # this object as of the function (async, generator, signature).
        for name in ("__code__", "__defaults__", "__kwdefaults__"):
            setattr(self, name, getattr(function, name, None))

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
        return Call(functools.partial(self._function, *args, **kwargs), takes=False)

    def __reduce__(self) -> str:
        name: str | None = getattr(self, "__qualname__", None)
        if name is None:
            raise TypeError(f"{self!r} cannot be pickled: what it decorates has no name")
        return name

    def __repr__(self) -> str:
        return f"<bounded {self._function!r}>"


class Bounded(_FunctionLike[P, R]):
    """A function that is called again until its loop ends.

    Calling it returns the last result.  `report` calls it and returns the
    `Report` instead; `loop` is the policy.
    """

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Runs the loop and returns its result.

        Raises:
            LoopHalted: if the loop ended without success.
        """
        run = self.loop.start_for(args, kwargs)
        if self._guarded:
            run.carry(self._call(args, kwargs))
            guarded: R = run.unwrap()
            return guarded
        token = here.set(run)
        try:
            quietly = drive(run, functools.partial(self._function, *args, **kwargs), takes=False)
        finally:
            here.reset(token)
        result: R = cast("R", run.kernel.result) if quietly else run.unwrap()
        return result

    def report(self, *args: P.args, **kwargs: P.kwargs) -> Report[R]:
        """Runs the loop and returns its report."""
        run = self.loop.start_for(args, kwargs)
        run.carry(self._call(args, kwargs))
        return run.report

    @overload
    def __get__(self, instance: None, owner: type[Any]) -> Self: ...
    @overload
    def __get__(
        self: Bounded[Concatenate[S, Q], R], instance: S, owner: type[Any] | None = None
    ) -> Bounded[Q, R]: ...
    def __get__(self, instance: Any, owner: type[Any] | None = None) -> Any:
        return self if instance is None else _Bound(self, instance)


class BoundedCoroutine(_FunctionLike[P, R]):
    """A coroutine function that is called again until its loop ends; see `Bounded`."""

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Runs the loop and returns its result.

        Raises:
            LoopHalted: if the loop ended without success.
        """
        run = self.loop.start_for(args, kwargs)
        await run.acarry(self._call(args, kwargs))
        result: R = run.unwrap()
        return result

    async def report(self, *args: P.args, **kwargs: P.kwargs) -> Report[R]:
        """Runs the loop and returns its report."""
        run = self.loop.start_for(args, kwargs)
        await run.acarry(self._call(args, kwargs))
        return run.report

    @overload
    def __get__(self, instance: None, owner: type[Any]) -> Self: ...
    @overload
    def __get__(
        self: BoundedCoroutine[Concatenate[S, Q], R], instance: S, owner: type[Any] | None = None
    ) -> BoundedCoroutine[Q, R]: ...
    def __get__(self, instance: Any, owner: type[Any] | None = None) -> Any:
        return self if instance is None else _Bound(self, instance)


class BoundedGenerator(_FunctionLike[P, R]):
    """A generator function, sync or async, each of whose yields ends an iteration.

    The caller still iterates it and gets what it yields; a trip is raised by
    ``next()``, and its return is success.
    """

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Returns the bounded generator; it starts when it is first asked for a value."""
        run = self.loop.start_for(args, kwargs)
        generator: Any = self._function(*args, **kwargs)
        bounded: Any = agenerate if is_async_generator(self._function) else generate
        result: R = bounded(run, generator)
        return result

    @overload
    def __get__(self, instance: None, owner: type[Any]) -> Self: ...
    @overload
    def __get__(
        self: BoundedGenerator[Concatenate[S, Q], R], instance: S, owner: type[Any] | None = None
    ) -> BoundedGenerator[Q, R]: ...
    def __get__(self, instance: Any, owner: type[Any] | None = None) -> Any:
        return self if instance is None else _Bound(self, instance)


class _Bound:
    """A decorated function as a method: the instance goes first."""

    def __init__(self, wrapped: Any, instance: object) -> None:
        self.__func__ = wrapped
        self.__self__ = instance
        # The class has these of its own, so they would never be looked for further on.
        self.__doc__ = wrapped.__doc__
        self.__module__ = wrapped.__module__

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.__func__(self.__self__, *args, **kwargs)

    def report(self, *args: Any, **kwargs: Any) -> Any:
        """Runs the loop and returns its report."""
        return self.__func__.report(self.__self__, *args, **kwargs)

    @property
    def __signature__(self) -> inspect.Signature:
        """The function's signature without the instance."""
        return inspect.signature(MethodType(self.__func__, self.__self__))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__func__, name)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Bound):
            return NotImplemented
        return self.__self__ is other.__self__ and self.__func__ is other.__func__

    def __hash__(self) -> int:
        return hash((id(self.__self__), self.__func__))

    def __reduce__(self) -> tuple[Any, ...]:
        return getattr, (self.__self__, self.__func__.__name__)

    def __repr__(self) -> str:
        return f"<{self.__func__!r} of {self.__self__!r}>"


if TYPE_CHECKING:
    _AnyClassMethod = classmethod[Any, ..., Any]
else:  # Only checkers can give it parameters.
    _AnyClassMethod = classmethod


class _ClassMethod(_AnyClassMethod):
    """A class method whose report can be asked for, whatever the interpreter binds."""

    def __get__(self, instance: Any, owner: type[Any] | None = None) -> Any:
        decorated: Any = self.__func__
        return decorated.__get__(type(instance) if owner is None else owner)


class _Decorator(Protocol):
    """What `bounded_loop` returns."""

    @overload
    def __call__(
        self, function: Callable[P, Generator[Y, T, R]]
    ) -> BoundedGenerator[P, Generator[Y, T, R]]: ...
    @overload
    def __call__(self, function: Callable[P, Iterator[Y]]) -> BoundedGenerator[P, Iterator[Y]]: ...
    @overload
    def __call__(
        self, function: Callable[P, AsyncGenerator[Y, Any]]
    ) -> BoundedGenerator[P, AsyncGenerator[Y, Any]]: ...
    @overload
    def __call__(
        self, function: Callable[P, AsyncIterator[Y]]
    ) -> BoundedGenerator[P, AsyncIterator[Y]]: ...
    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, R]]) -> BoundedCoroutine[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R]) -> Bounded[P, R]: ...


def bounded_loop(*breakers: Breaker, **options: Unpack[LoopOptions]) -> _Decorator:
    """Decorates a function so that each call is a bounded loop.

    A plain or coroutine function is called again until its loop ends, and the
    call returns the last result; it needs a success condition.  A generator
    keeps its own ``while True``: each yield ends an iteration, its return is
    success.  Signature and types are kept; bodies reach their iteration with
    `haltable.current`.

    Class methods work in either order of the decorators; mypy and pyright bind
    only plain functions under ``@classmethod``, so they see one without its
    class bound.

    Args:
        breakers: as for `haltable.Loop`.
        options: as for `haltable.Loop`; ``key=`` may be a function of the
            call's arguments.

    Raises:
        ConfigurationError: if the loop is put together wrongly, what is
            decorated is no function, or a function has no success condition.

    Example:
        >>> from haltable import ExitCondition, IterationCap, bounded_loop
        >>> from haltable.conditions import returned
        >>> answers = iter([TimeoutError(), TimeoutError(), "page"])
        >>> @bounded_loop(IterationCap(5), ExitCondition(success=returned))
        ... def fetch(url):
        ...     answer = next(answers)
        ...     if isinstance(answer, Exception):
        ...         raise answer
        ...     return answer
        >>> fetch("example.org")
        'page'
    """
    loop = Loop(*breakers, **options)

    def decorate(function: Any) -> Any:
        if isinstance(function, (classmethod, staticmethod)):
            kind: Any = _ClassMethod if isinstance(function, classmethod) else staticmethod
            return kind(decorate(cast("Any", function).__func__))
        if not callable(function) or isinstance(function, type):
            raise ConfigurationError(f"@bounded_loop: {function!r} is no function")
        if is_generator(function):
            return BoundedGenerator[..., Any](function, loop)
        name = getattr(function, "__qualname__", None) or repr(function)
        loop.demand_success_condition(f"@bounded_loop on {name}")
        if is_async(function):
            return BoundedCoroutine[..., Any](function, loop)
        return Bounded[..., Any](function, loop)

    return decorate
