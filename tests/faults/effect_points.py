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
from contextvars import ContextVar
from typing import Any

import anyio.lowlevel

from haltable.effect_records import EffectRecord, decode_effect
from haltable.effects import EffectState
from haltable.stores import Conflict, Entry
from tests.faults.places import Place

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


#: The point inside of the write that this thread or task is at; none while it is at none.
_INSIDE = ContextVar("inside", default="")


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

    @contextmanager
    def writing(self, name: str) -> Generator[None]:
        """Says which point lies inside of what the block writes."""
        before = _INSIDE.set(name)
        try:
            yield
        finally:
            _INSIDE.reset(before)

    def inside(self) -> None:
        """Passes the point inside of what is written here, if anything is."""
        name = _INSIDE.get()
        if name:
            self.at(name)


class PointedEffects:
    """A place's store whose every call has points around it, and whose writes have one inside.

    Inside is SQLite's transaction; of a server it is where all has been sent, and
    no answer read.
    """

    blocks = True

    def __init__(self, place: Place, points: EffectPoints) -> None:
        self.inner = place.open(points.inside)
        self.durability = self.inner.durability
        self._writes = Writes(points)
        self._points, self.renewed = points, self._writes.renewed

    def read(self, key: str) -> Entry | None:
        sent, answered = self._writes.points_of_read()
        self._points.at(sent)
        entry: Entry | None = self.inner.read(key)
        self._writes.saw(entry)
        self._points.at(answered)
        return entry

    def write(self, key: str, value: bytes, *, expected: int) -> Entry | Conflict:
        with self._writes.around(value, expected) as (sent, answered):
            self._points.at(sent)
            reply: Entry | Conflict = self.inner.write(key, value, expected=expected)
            self._writes.saw(reply)
            self._points.at(answered)
            return reply

    def scan(self, prefix: str) -> Any:
        return self.inner.scan(prefix)

    def delete(self, key: str, *, expected: int) -> bool:
        done: bool = self.inner.delete(key, expected=expected)
        return done


class AsyncPointedEffects:
    """Its async twin; other tasks run before each call and before its reply is there."""

    def __init__(self, place: Place, points: EffectPoints) -> None:
        self.inner = place.open_async(points.inside)
        self.durability = self.inner.durability
        self._writes = Writes(points)
        self._points, self.renewed = points, self._writes.renewed

    async def read(self, key: str) -> Entry | None:
        sent, answered = self._writes.points_of_read()
        self._points.at(sent)
        await anyio.lowlevel.checkpoint()
        entry: Entry | None = await self.inner.read(key)
        self._writes.saw(entry)
        await anyio.lowlevel.checkpoint()
        self._points.at(answered)
        return entry

    async def write(self, key: str, value: bytes, *, expected: int) -> Entry | Conflict:
        with self._writes.around(value, expected) as (sent, answered):
            self._points.at(sent)
            await anyio.lowlevel.checkpoint()
            reply: Entry | Conflict = await self.inner.write(key, value, expected=expected)
            self._writes.saw(reply)
            await anyio.lowlevel.checkpoint()
            self._points.at(answered)
            return reply

    async def scan(self, prefix: str) -> Any:
        async for found in self.inner.scan(prefix):
            yield found

    async def delete(self, key: str, *, expected: int) -> bool:
        done: bool = await self.inner.delete(key, expected=expected)
        return done


class Writes:
    """What a store's writes do to effects, as far as its caller could know when it wrote."""

    def __init__(self, points: EffectPoints) -> None:
        self._points = points
        #: Is set once a lease was renewed, or was to be.
        self.renewed = threading.Event()
        self._kinds: dict[bytes, str] = {}
        self._seen: dict[int, bytes] = {}
        self._claims = False

    def points_of_read(self) -> tuple[str, str]:
        """Returns the points of a read: before it and after it."""
        return LOOK_BACK if self._claims else READ

    def saw(self, reply: Entry | Conflict | None) -> None:
        """Notes what a call has answered."""
        entry = reply.current if isinstance(reply, Conflict) else reply
        if entry is not None:
            self._seen[entry.version] = entry.value

    @contextmanager
    def around(self, value: bytes, expected: int) -> Generator[tuple[str, str]]:
        """Yields the points before a write and after it; the one inside is passed by the store."""
        kind = self._kinds.get(value)
        if kind is None:
            # A write that is sent again has the kind that it had at first.
            old = self._seen[expected] if expected else None
            kind = _kind(None if old is None else decode_effect(old), decode_effect(value))
            self._kinds[value] = kind
        self._claims |= kind in ("claim", "question")
        sent, inside, answered = of_write(kind)
        try:
            with self._points.writing(inside):
                yield sent, answered
        finally:
            if kind == "renewal":
                self.renewed.set()


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
