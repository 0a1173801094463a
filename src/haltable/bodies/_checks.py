# SPDX-License-Identifier: MIT
"""What the bodies of this room demand of their arguments, each in one sentence.

It looks at values only: no directory and no program needs to be there yet.
"""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from haltable.bodies.confinement import Confinement
from haltable.errors import ConfigurationError
from haltable.quantity import check_count, is_number, shown

__all__ = [
    "confinement",
    "directory",
    "environment",
    "function",
    "listener",
    "name_of",
    "parameters",
    "seconds",
    "size",
    "takes_iteration",
]


def directory(caller: str, cwd: str | os.PathLike[str] | None) -> str | None:
    """Returns a directory as a string."""
    try:
        path = None if cwd is None else os.fspath(cwd)
        if path is None or (path and "\0" not in path):
            return path
    except TypeError:
        pass  # No path, or one of bytes.
    raise ConfigurationError(f"{caller}(cwd={cwd!r}): give a directory, or None for ours")


def environment(caller: str, env: Mapping[str, str] | None) -> Mapping[str, str] | None:
    """Returns a copy of an environment."""
    try:
        copy = None if env is None else dict(env)
        if copy is None or not any("\0" in "".join(pair) for pair in copy.items()):
            return copy
    except (TypeError, ValueError):
        pass  # No mapping, or not of strings.
    # The value may be a secret: it is not shown.
    raise ConfigurationError(f"{caller}(env=...): give a mapping of strings without NUL, or None")


def seconds(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    """Demands a finite number of at least 0."""
    if not is_number(value) or value < 0:
        raise ConfigurationError(
            f"{_named(instance, attribute)}={shown(value)}): "
            "give seconds, a finite number of at least 0"
        )


def size(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    """Demands a whole number of at least 1."""
    check_count(attribute.name, value, of=type(instance).__name__)


def listener(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    """Demands a function that can be called from where the child is heard."""
    if value is not None and (not callable(value) or inspect.iscoroutinefunction(value)):
        raise ConfigurationError(
            f"{_named(instance, attribute)}={value!r}): give a function that is not async, or None"
        )


def function(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    """Demands a function that does one iteration, and blocks while it does."""
    called = value
    while isinstance(called, functools.partial):
        called = called.func
    kinds = (
        inspect.iscoroutinefunction,
        inspect.isgeneratorfunction,
        inspect.isasyncgenfunction,
    )
    if not callable(value) or any(
        kind(each) for kind in kinds for each in (called, type(called).__call__)
    ):
        raise ConfigurationError(
            f"{_named(instance, attribute)}={name_of(value)}): give a function that does one "
            "iteration, neither async nor a generator"
        )


def parameters(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    """Demands that a function needs nothing that it would not be given."""
    given = {"iteration", *getattr(instance, "arguments", ())}
    wanted = [
        name
        for name, parameter in _parameters(value).items()
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        and (name not in given or parameter.kind is parameter.POSITIONAL_ONLY)
    ]
    if wanted:
        raise ConfigurationError(
            f"{_named(instance, attribute)}={name_of(value)}): nobody would give it "
            f"{', '.join(wanted)}; what it is given is `iteration`, by name"
        )


def takes_iteration(fn: Callable[..., Any]) -> bool:
    """Says whether a function takes the iteration, by the name of the parameter."""
    return "iteration" in _parameters(fn)


def _parameters(fn: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(fn).parameters
    except (TypeError, ValueError):
        return {}


def name_of(fn: object) -> str:
    """Returns what a function is called."""
    return getattr(fn, "__qualname__", None) or repr(fn)


def confinement(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    """Demands a confinement, or none."""
    if value is not None and not isinstance(value, Confinement):
        raise ConfigurationError(
            f"{_named(instance, attribute)}={value!r}): give a "
            'Confinement(writable=["out"]), or None'
        )


def _named(instance: object, attribute: attrs.Attribute[Any]) -> str:
    return f"{type(instance).__name__}({attribute.name}"
