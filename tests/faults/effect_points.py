# SPDX-License-Identifier: MIT
"""The named points of an effect's life, and something that happens at one of them.

Everything is done from outside: through the store that a guard is given, the
effect and its reconciler.  The list is closed: a pass of a point that is not in
it is an error.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import anyio.lowlevel

from haltable import SQLiteStore
from haltable.effect_records import EffectRecord, decode_effect
from haltable.effects import EffectState
from haltable.stores import Conflict, Entry

__all__ = [
    "ACTED",
    "ASKED",
    "BEGUN",
    "LOOKED",
    "LOOK_BACK",
    "POINTS",
    "READ",
    "RETURNED",
    "AsyncPointedEffects",
    "EffectPoints",
    "PointedEffects",
    "of_write",
]

BEGUN, ACTED, RETURNED = "effect begins", "effect acted", "call returned"
ASKED, LOOKED = "reconcile begins", "reconcile looked"
READ = ("read sent", "read answered")
#: The read of a call that was interrupted, to see what it has to give back.
LOOK_BACK = ("look back sent", "look back answered")
#: Every kind of write: the owner's, the finder's, the reconciler's.
WRITES = (
    *("claim", "renewal", "end", "failure", "own doubt", "release"),
    *("doubt", "question", "verdict", "claim anew", "undecided"),
)


def of_write(kind: str) -> tuple[str, ...]:
    """Returns the points of one kind of write: before it, in its transaction, after it."""
    return f"{kind} sent", f"{kind} inside", f"{kind} answered"


POINTS = frozenset(
    {BEGUN, ACTED, RETURNED, ASKED, LOOKED, *READ, *LOOK_BACK}
    | {point for kind in WRITES for point in of_write(kind)}
)


class EffectPoints:
    """Lets something happen at the first pass of a point, or from then on at each.

    Args:
        acts: what happens, by point.
        note: is told the name of each point that is passed.
        lasting: whether it happens again at every later pass.
    """

    def __init__(
        self,
        acts: dict[str, Callable[[], object]],
        *,
        note: Callable[[str], object],
        lasting: bool = False,
    ) -> None:
        self._acts, self._note, self._lasting = acts, note, lasting
        self._passed: set[str] = set()

    def at(self, name: str) -> None:
        """Passes a point.

        Raises:
            LookupError: if it is not in the list.
        """
        if name not in POINTS:
            raise LookupError(f"{name!r} is no point of an effect's life")
        first = name not in self._passed
        self._passed.add(name)
        self._note(name)
        if name in self._acts and (first or self._lasting):
            self._acts[name]()


class PointedEffects:
    """A SQLite store whose every call has points around it, and whose writes have one inside."""

    blocks = True

    def __init__(self, inner: SQLiteStore, points: EffectPoints) -> None:
        self.inner, self._points = inner, points
        self.durability = inner.durability
        #: Is set once a lease was renewed, or was to be.
        self.renewed = threading.Event()
        self._kinds: dict[bytes, str] = {}
        self._claims = False
        self._inside = ""
        with inner._file.lock:
            connection = inner._file.connection(inner._now())
            connection.create_function("inside", 0, self._passes_inside)
            for act in ("INSERT", "UPDATE"):
                # Once the row is changed, and before that is committed.
                connection.execute(
                    f"CREATE TEMP TRIGGER inside_{act} AFTER {act} ON haltable"
                    " BEGIN SELECT inside(); END"
                )

    def read(self, key: str) -> Entry | None:
        sent, answered = LOOK_BACK if self._claims else READ
        self._points.at(sent)
        entry = self.inner.read(key)
        self._points.at(answered)
        return entry

    def write(self, key: str, value: bytes, *, expected: int) -> Entry | Conflict:
        with self.around(key, value) as (sent, inside, answered):
            self._points.at(sent)
            reply = self.change(key, value, expected, inside)
            self._points.at(answered)
            return reply

    @contextmanager
    def around(self, key: str, value: bytes) -> Generator[tuple[str, ...]]:
        """Yields the points of a write."""
        kind = self._kinds.get(value)
        if kind is None:
            # A write that is sent again has the kind that it had at first.
            old = self.inner.read(key)
            kind = _kind(None if old is None else decode_effect(old.value), decode_effect(value))
            self._kinds[value] = kind
        self._claims |= kind in ("claim", "question")
        try:
            yield of_write(kind)
        finally:
            if kind == "renewal":
                self.renewed.set()

    def change(self, key: str, value: bytes, expected: int, inside: str) -> Entry | Conflict:
        """Writes, with the point inside of SQLite's own transaction."""
        with self.inner._file.lock:
            self._inside = inside
            return self.inner.write(key, value, expected=expected)

    def _passes_inside(self) -> int:
        self._points.at(self._inside)
        return 0

    def scan(self, prefix: str) -> Any:
        return self.inner.scan(prefix)

    def delete(self, key: str, *, expected: int) -> bool:
        return self.inner.delete(key, expected=expected)


class AsyncPointedEffects:
    """Its async twin; other tasks run before each call and before its reply is there."""

    def __init__(self, inner: SQLiteStore, points: EffectPoints) -> None:
        self._twin, self._points = PointedEffects(inner, points), points
        self.durability = inner.durability
        self.renewed = self._twin.renewed

    async def read(self, key: str) -> Entry | None:
        await anyio.lowlevel.checkpoint()
        entry = self._twin.read(key)
        await anyio.lowlevel.checkpoint()
        return entry

    async def write(self, key: str, value: bytes, *, expected: int) -> Entry | Conflict:
        with self._twin.around(key, value) as (sent, inside, answered):
            self._points.at(sent)
            await anyio.lowlevel.checkpoint()
            reply = self._twin.change(key, value, expected, inside)
            await anyio.lowlevel.checkpoint()
            self._points.at(answered)
            return reply

    async def scan(self, prefix: str) -> Any:
        for found in self._twin.scan(prefix):
            yield found

    async def delete(self, key: str, *, expected: int) -> bool:
        return self._twin.delete(key, expected=expected)


#: What a reconciler writes; renewing its claim is none of it, for its asking is quick.
_ANSWERS = {
    EffectState.CLAIMED: "claim anew",
    EffectState.UNKNOWN: "undecided",
    EffectState.DONE: "verdict",
}
_OTHERS = {
    EffectState.FREE: "release",
    EffectState.FAILED: "failure",
    EffectState.DONE: "end",
}


def _kind(old: EffectRecord | None, new: EffectRecord) -> str:
    """Says what a write does to an effect."""
    if old is not None and old.suspect is not None:
        return _ANSWERS[new.state]
    if new.suspect is not None:
        return "question"
    if new.state is EffectState.CLAIMED:
        return "renewal" if old is not None and old.state is EffectState.CLAIMED else "claim"
    if new.state is EffectState.UNKNOWN:
        return "own doubt" if new.owner and new.writer == new.owner.token else "doubt"
    return _OTHERS[new.state]
