# SPDX-License-Identifier: MIT
"""Checks what a guard was given: one clear error at construction, or none at all.

It looks at arguments and knows no call.
"""

from __future__ import annotations

import inspect
import re
import string
from collections.abc import Callable, Collection, Iterator
from typing import Any, TypeAlias

from haltable._policy import check_store
from haltable.errors import ConfigurationError
from haltable.payload import check_effect_key
from haltable.quantity import check_count, check_seconds
from haltable.store import AnyStore, AsyncStore, Store

__all__ = ["Bound", "Stores", "check_guard", "check_guard_store", "key_maker"]

#: A store as the kind it is: synchronous or asynchronous, or neither.
Stores: TypeAlias = tuple[Store | None, AsyncStore | None]
#: A call's arguments as its parameters take them.
Bound: TypeAlias = inspect.BoundArguments
_FORMATTER = string.Formatter()
_CHOICES = {
    "semantics": ("at_most_once", "at_least_once"),
    "on_held": ("raise", "wait", "skip"),
}


def check_guard(guard: Any) -> None:
    """Raises `ConfigurationError` unless a guard's arguments can be right."""
    for name, check in _CHECKS.items():
        check(name, getattr(guard, name))
    if guard.store is None and guard.transactional:
        raise ConfigurationError("transactional=True: give the store over your own transaction")


def check_guard_store(store: AnyStore | None, *, transactional: bool) -> Stores:
    """Returns the store as the kind it is.

    Raises:
        ConfigurationError: if it does not fit ``transactional``.
    """
    found = check_store(store)
    if bool(getattr(store, "transactional", False)) is not transactional:
        needs = "is over your open transaction, so say transactional=True"
        if transactional:
            needs = "is not over your own transaction; leave transactional= out"
        raise ConfigurationError(f"transactional={transactional}: {store!r} {needs}")
    return found


def key_maker(key: object, function: Callable[..., Any]) -> Callable[[Bound], str]:
    """Returns what makes an effect's key of a call's arguments.

    Raises:
        ConfigurationError: if the key is neither a format string over the
            function's parameters nor a function.
    """
    if isinstance(key, str):
        check_effect_key(key, "effect")
        _check_fields(key, inspect.signature(function).parameters)
        return lambda bound: _checked(key.format(**bound.arguments))
    if not callable(key):
        raise ConfigurationError(f"effect(key={key!r}): give a format string or a function")
    return lambda bound: _checked(key(*bound.args, **bound.kwargs))


def _checked(key: Any) -> str:
    check_effect_key(key, "effect")
    return str(key)


def _check_fields(key: str, names: Collection[str]) -> None:
    wants = f"effect(key={key!r}): give a format string over the parameters ({', '.join(names)})"
    try:
        fields = set(_fields(key))
    except ValueError as error:
        raise ConfigurationError(f"{wants}: {error}") from error
    for strange in fields.difference(names):
        raise ConfigurationError(f"{wants}; {strange!r} is none of them")


def _fields(text: str) -> Iterator[str]:
    for _, field, spec, _ in _FORMATTER.parse(text):
        if field is not None:
            # Of {order.lines[0]} it is the order that must be a parameter.
            yield re.split(r"[.\[]", field)[0]
            yield from _fields(spec or "")


def _check_function(name: str, value: object) -> None:
    if value is not None and not callable(value):
        raise ConfigurationError(f"{name}={value!r}: give a function, or None")


def _check_namespace(name: str, value: object) -> None:
    if not isinstance(value, str) or not value.isprintable():
        raise ConfigurationError(f"{name}={value!r}: give printable text")


def _check_choice(name: str, value: object) -> None:
    choices = _CHOICES[name]
    if value not in choices:
        raise ConfigurationError(f"{name}={value!r}: give one of {', '.join(map(repr, choices))}")


def _check_flag(name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise ConfigurationError(f"{name}={value!r}: give True or False")


def _unless_none(check: Callable[[str, object], object]) -> Callable[[str, object], object]:
    return lambda name, value: None if value is None else check(name, value)


_CHECKS: dict[str, Callable[[str, object], object]] = {
    "key": _check_function,
    "reconcile": _check_function,
    "namespace": _check_namespace,
    "semantics": _check_choice,
    "on_held": _check_choice,
    "lease": check_seconds,
    "grace": check_seconds,
    "retention": _unless_none(check_seconds),
    "max_hold": _unless_none(check_seconds),
    "max_result": check_count,
    "max_attempts": check_count,
    "max_replays": _unless_none(check_count),
    "transactional": _check_flag,
}
