# SPDX-License-Identifier: MIT
"""What the bodies of this room demand of their arguments, each in one sentence.

It looks at values only: no directory and no program needs to be there yet.
"""

from __future__ import annotations

import inspect
import math
import os
from collections.abc import Mapping
from typing import Any

import attrs

from haltable.errors import ConfigurationError

__all__ = ["directory", "environment", "listener", "seconds", "size"]


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
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
        raise ConfigurationError(
            f"{_named(instance, attribute)}={value!r}): give seconds, a finite number of at least 0"
        )


def size(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    """Demands a whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigurationError(
            f"{_named(instance, attribute)}={value!r}): give a whole number, at least 1"
        )


def listener(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    """Demands a function that can be called from where the child is heard."""
    if value is not None and (not callable(value) or inspect.iscoroutinefunction(value)):
        raise ConfigurationError(
            f"{_named(instance, attribute)}={value!r}): give a function that is not async and "
            "takes a line, or None"
        )


def _named(instance: object, attribute: attrs.Attribute[Any]) -> str:
    return f"{type(instance).__name__}({attribute.name}"
