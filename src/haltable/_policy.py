# SPDX-License-Identifier: MIT
"""Checks what a loop is made of, before anything runs.

Each check raises one `ConfigurationError` that names the argument, its value
and what would be right.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable
from typing import TypedDict, cast

from haltable.backoff import Backoff
from haltable.breaker import Breaker
from haltable.clock import Clock
from haltable.errors import ConfigurationError, UnboundedLoopError
from haltable.model import NO_BREAKERS
from haltable.sink import Sink
from haltable.store import AnyStore, AsyncStore, Durability, Store

__all__ = [
    "LoopOptions",
    "check_breakers",
    "check_clock",
    "check_exceptions",
    "check_key",
    "check_sinks",
    "check_store",
]

_STORE_VERBS = ("read", "write", "scan", "delete")
#: Longer names do not fit the keys of common databases.
KEY_LIMIT = 512


class LoopOptions(TypedDict, total=False):
    """The keyword arguments of `Loop`, for whoever hands them through."""

    key: str | Callable[..., str] | None
    store: AnyStore | None
    name: str | None
    delay: float | Backoff
    transient: type[Exception] | tuple[type[Exception], ...]
    fatal: type[Exception] | tuple[type[Exception], ...]
    lease: float
    max_hold: float | None
    grace: float
    sinks: Iterable[Sink]
    clock: Clock | None


def check_breakers(breakers: tuple[object, ...]) -> None:
    """Checks the breakers, each alone and all together."""
    known: list[Breaker] = []
    for breaker in breakers:
        if isinstance(breaker, type) and issubclass(breaker, Breaker):
            raise ConfigurationError(f"{breaker.__name__}: give an instance, not the class")
        if not isinstance(breaker, Breaker):
            raise ConfigurationError(
                f"{breaker!r} is no breaker: give IterationCap, StallDetector, ExitCondition, "
                "Deadline, or a subclass of Breaker"
            )
        breaker.check()
        known.append(breaker)
    names = [breaker.name for breaker in known]
    for name in names:
        if name in NO_BREAKERS:
            raise ConfigurationError(
                f"name={name!r}: receipts use this word where no breaker has spoken; give another"
            )
        if names.count(name) > 1:
            raise ConfigurationError(f"two breakers are named {name!r}: give one a name=")
    if not any(breaker.bounds for breaker in known):
        raise UnboundedLoopError(
            "nothing bounds this loop: add IterationCap(n) or Deadline(total=seconds)"
        )
    end = min((b.time_limit for b in known if b.time_limit is not None), default=math.inf)
    for breaker in known:
        if breaker.speaks_after >= end:
            raise ConfigurationError(
                f"{breaker.name} could never speak: it needs {breaker.speaks_after:g} s, "
                f"and the loop ends after {end:g} s"
            )


def check_key(key: object, store: object) -> None:
    """Checks a loop's key, and that it has a store that keeps charges."""
    if getattr(store, "transactional", False):
        raise ConfigurationError(
            f"store={store!r}: a rollback of your transaction would give charged starts back; "
            "give the loop a store of its own, and this one to "
            "IdempotencyGuard(store=..., transactional=True)"
        )
    if key is None or callable(key):
        if key is not None and store is None:
            raise ConfigurationError("key= needs a store= to keep its counts in")
        return
    if not isinstance(key, str) or not key:
        raise ConfigurationError(f"key={key!r}: give a non-empty string, or a function")
    if len(key) > KEY_LIMIT or not key.isprintable():
        raise ConfigurationError(
            f"key={key[:60]!r}: give at most {KEY_LIMIT} printable characters, these are {len(key)}"
        )
    if store is None:
        raise ConfigurationError(f"key={key!r} needs a store= to keep its counts in")


def check_store(store: object) -> tuple[Store | None, AsyncStore | None]:
    """Returns the store as the kind it is."""
    if store is None:
        return None, None
    verbs = all(callable(getattr(store, verb, None)) for verb in _STORE_VERBS)
    states = isinstance(getattr(store, "durability", None), Durability)
    if isinstance(store, type) or not verbs or not states:
        raise ConfigurationError(
            f"store={store!r}: a store has durability, read, write, scan and delete; "
            "see haltable.stores.Store"
        )
    # The two protocols have the same names; only what they return differs.
    if inspect.iscoroutinefunction(getattr(store, "read", None)):
        return None, cast("AsyncStore", store)
    return cast("Store", store), None


def check_exceptions(argument: str, types: object) -> tuple[type[Exception], ...]:
    """Returns exception types as a tuple."""
    found: tuple[object, ...] = (types,)
    if isinstance(types, Iterable) and not isinstance(types, str):
        found = tuple(cast("Iterable[object]", types))
    checked: list[type[Exception]] = []
    for kind in found:
        if not isinstance(kind, type) or not issubclass(kind, Exception):
            raise ConfigurationError(
                f"{argument}={kind!r}: give exception types; only an Exception is ever an outcome"
            )
        checked.append(kind)
    return tuple(checked)


def check_sinks(sinks: object) -> tuple[Sink, ...]:
    """Returns the sinks as a tuple."""
    if not isinstance(sinks, Iterable):
        raise ConfigurationError(f"sinks={sinks!r}: give a list or tuple of sinks")
    found: tuple[object, ...] = tuple(cast("Iterable[object]", sinks))
    for sink in found:
        if not callable(sink):
            raise ConfigurationError(f"sinks={sink!r}: a sink is a callable that takes an event")
    return cast("tuple[Sink, ...]", found)


def check_clock(clock: object) -> Clock:
    """Returns the clock."""
    verbs = callable(getattr(clock, "now", None)) and callable(getattr(clock, "wait", None))
    if (
        isinstance(clock, type)
        or not verbs
        or not isinstance(getattr(clock, "virtual", None), bool)
    ):
        raise ConfigurationError(
            f"clock={clock!r}: a clock has now(), wait() and virtual; see haltable.clock.Clock"
        )
    return cast("Clock", clock)
