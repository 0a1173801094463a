# SPDX-License-Identifier: MIT
"""Every way to call an effect over every kind of store, behind one signature.

A site is one of them, with what a test needs beside it: the record as it is
stored, a clock that can be moved, and claims that others left behind.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import anyio
import attrs

from haltable import IdempotencyGuard, SQLiteStore
from haltable._owner import new_owner
from haltable.effect_ledger import Request, claimed
from haltable.effect_records import EffectAct, EffectRecord, decode_effect, encode_effect
from haltable.payload import ABSENT, fingerprint
from haltable.records import Owner
from haltable.stores import Entry
from tests.faults.faulty import AsyncFaulty, Faulty

__all__ = ["ACT", "SITES", "STRANGER", "Site", "awaited", "dead_owner", "make_site", "store_key"]

#: Somebody on another host, of whom nobody here knows whether he lives.
STRANGER = Owner("another boot", "pid:[1]", 7, "42", "a stranger's token")
ACT = EffectAct("done", "ana", "seen on the bank statement", "2026-11-23T10:00:00+00:00")
#: The way, then the store.
SITES = (
    ("once", "memory"),
    ("once", "SQLite"),
    ("aonce on asyncio", "memory"),
    ("aonce on asyncio", "SQLite"),
    ("aonce on asyncio", "async memory"),
    ("aonce on trio", "memory"),
    ("aonce on trio", "SQLite"),
    ("aonce on trio", "async memory"),
)


def awaited(effect: Callable[..., Any]) -> Callable[..., Any]:
    """Returns a function as a coroutine function that lets other tasks run."""

    @functools.wraps(effect)
    async def carried(*args: Any, **kwargs: Any) -> Any:
        await anyio.lowlevel.checkpoint()
        value = effect(*args, **kwargs)
        await anyio.lowlevel.checkpoint()
        return value

    return carried


def store_key(key: str, namespace: str = "") -> str:
    """Returns where an effect's record lies."""
    return IdempotencyGuard(namespace=namespace).policy.prefix + key


def dead_owner() -> Owner:
    """Returns an owner that is known to be dead: a call of this process that has ended."""
    return new_owner()


@attrs.frozen
class Site:
    """A way to call effects over a store.

    Args:
        way: ``once``, or ``aonce`` on an event loop.
        store: what the guard is given.
        inner: the same data, to look at.
        advance: moves the store's clock by so many seconds.
    """

    way: str
    store: Any
    inner: Any
    advance: Callable[[float], object]

    @property
    def is_async(self) -> bool:
        return self.way != "once"

    def guard(self, **options: Any) -> IdempotencyGuard:
        """Returns a guard over the store."""
        return IdempotencyGuard(store=self.store, **options)

    def call(
        self,
        guard: IdempotencyGuard,
        key: str,
        effect: Callable[..., Any],
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        """Calls an effect; async ways have an event loop of their own for it."""
        if not self.is_async:
            return guard.once(key, effect, *args, **kwargs)
        call = functools.partial(guard.aonce, key, awaited(effect), *args, **kwargs)
        return anyio.run(call, backend=self.way.rpartition(" ")[2])

    def entry(self, key: str, namespace: str = "") -> Entry | None:
        """Returns what is stored of an effect, to the byte."""
        entry: Entry | None = self.inner.read(store_key(key, namespace))
        return entry and attrs.evolve(entry, age=0.0)

    def record(self, key: str, namespace: str = "") -> EffectRecord:
        """Returns what is stored of an effect."""
        entry = self.entry(key, namespace)
        assert entry is not None, f"{key!r} has no record"
        return decode_effect(entry.value)

    def put(self, record: EffectRecord) -> None:
        """Stores a record, whatever was there."""
        key = store_key(record.key, record.namespace)
        old = self.inner.read(key)
        version = 0 if old is None else old.version
        reply = self.inner.write(key, encode_effect(record, "another", 1), expected=version)
        assert isinstance(reply, Entry)

    def leave(
        self, key: str, owner: Owner, *args: Any, payload: Any = ABSENT, lease: float = 60.0
    ) -> EffectRecord:
        """Leaves a claim behind, as if its owner had been killed, or is at it elsewhere."""
        what, checked = fingerprint(payload, args, {})
        request = Request("", key, what, checked, "at_most_once", 3, None, None)
        record = claimed(None, request, owner, lease=lease)
        self.put(record)
        return record


def make_site(way: str, kind: str, path: str) -> tuple[Site, Callable[[], object]]:
    """Returns a site, and what closes it."""
    if kind == "SQLite":
        store = SQLiteStore(path)
        return Site(way, store, store, functools.partial(_age, store)), store.close
    faulty: Any = AsyncFaulty(None, 0) if kind == "async memory" else Faulty(None, 0)
    return Site(way, faulty, faulty.inner, faulty.clock.advance), lambda: None


def _age(store: SQLiteStore, seconds: float) -> None:
    with store._file.lock:
        connection = store._file.connection(store._now())
        connection.execute("UPDATE haltable SET written = written - ?", (seconds,))
