# SPDX-License-Identifier: MIT
"""Rows: an effect carried out once, and replayed, beside a claim and a finish by hand.

The hand-written side reads, claims, runs and finishes with prepared statements
on one connection, in a file of the same directory with the same pragmas; it
compares the payload and fences the finish by its owner, and knows no lease, no
unknown and no operator.  The two peers are as their own documentation sets them
up; their files are made durable as they choose to.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import secrets
import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import exactly_once
import once as agent_once

from haltable import IdempotencyGuard, MemoryStore, SQLiteStore
from tests.benchmarks.measuring import Figures, Goal, Row, Size, paired

__all__ = ["ROWS"]

_SYNCHRONOUS = {"process": "NORMAL", "machine": "FULL"}
_TABLE = (
    "CREATE TABLE effect (key TEXT PRIMARY KEY NOT NULL, state TEXT NOT NULL, owner TEXT NOT NULL,"
    " fingerprint TEXT NOT NULL, result TEXT)"
)
_LOOK = "SELECT state, fingerprint, result FROM effect WHERE key = ?"
_CLAIM = "INSERT INTO effect VALUES (?, 'claimed', ?, ?, NULL) ON CONFLICT (key) DO NOTHING"
_FINISH = (
    "UPDATE effect SET state = 'done', result = ? WHERE key = ? AND owner = ? AND state = 'claimed'"
)
_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


class Refused(Exception):
    """The hand-written side may not run the effect."""


def charge(order):
    """The effect: it does nothing, and returns a small object."""
    return {"id": order}


class ByHand:
    """The careful person's own at-most-once, over one table."""

    def __init__(self, file: Path, synchronous: str) -> None:
        self.connection = sqlite3.connect(file, isolation_level=None)
        self.connection.execute("PRAGMA journal_mode=WAL")
        self.connection.execute(f"PRAGMA synchronous={synchronous}")
        self.connection.execute(_TABLE)
        self._execute = self.connection.cursor().execute

    def once(self, key: str, effect: Callable[..., Any], *args: Any) -> Any:
        """Carries the effect out, or replays it."""
        fingerprint = hashlib.sha256(_encode(args).encode()).hexdigest()
        row = self._execute(_LOOK, (key,)).fetchone()
        if row is not None:
            state, before, result = row
            if state != "done" or before != fingerprint:
                raise Refused(state)
            return json.loads(result)
        owner = secrets.token_hex(16)
        if not self._execute(_CLAIM, (key, owner, fingerprint)).rowcount:
            raise Refused(key)
        text = _encode(effect(*args))
        if not self._execute(_FINISH, (text, key, owner)).rowcount:
            raise Refused(key)
        return json.loads(text)


Once = Callable[[str], object]


def by_hand(stack: contextlib.ExitStack, folder: Path, synchronous: str) -> Once:
    """Returns the hand-written call."""
    hand = ByHand(folder / "hand.db", synchronous)
    stack.enter_context(contextlib.closing(hand.connection))
    return lambda key: hand.once(key, charge, 7)


def by_exactly_once(stack: contextlib.ExitStack, folder: Path, synchronous: str) -> Once:
    """Returns the call through exactly-once."""
    del synchronous
    store = exactly_once.Store.sqlite(str(folder / "exactly.db"))
    stack.callback(store.close)
    return exactly_once.once(store, key=lambda key: key)(charge)


def by_agent_once(stack: contextlib.ExitStack, folder: Path, synchronous: str) -> Once:
    """Returns the call through agent-once."""
    del synchronous
    guard = agent_once.Once(str(folder / "agent.db"))
    stack.callback(guard.close)
    return lambda key: guard.execute(fn=charge, key=key, order=7)


def beside(
    peer: Callable[[contextlib.ExitStack, Path, str], Once],
    what: Literal["first", "replay"],
    durability: Literal["process", "machine"] = "process",
) -> Callable[[Size], Figures]:
    """Returns the row's samples: our calls over the peer's."""

    def samples(size: Size) -> Figures:
        count = size.writes if durability == "process" else size.synced
        with contextlib.ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            store = stack.enter_context(SQLiteStore(folder / "ours.db", durability))
            guard = IdempotencyGuard(store=store)
            theirs = peer(stack, folder, _SYNCHRONOUS[durability])

            def ours(key: str) -> object:
                return guard.once(key, charge, 7)

            yield from paired(calls(ours, what, count), calls(theirs, what, count))

    return samples


def calls(once: Once, what: Literal["first", "replay"], count: int) -> Callable[[], None]:
    """Returns what does so many calls: each of a new key, or all of the same one."""
    names = (f"charge:{number}" for number in itertools.count())
    if what == "replay":
        once("charge:replayed")
        names = itertools.repeat("charge:replayed")

    def side() -> None:
        for name in itertools.islice(names, count):
            once(name)

    return side


def in_memory(size: Size) -> Figures:
    """Yields a first call in memory over one on SQLite."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        store = stack.enter_context(SQLiteStore(folder / "ours.db"))
        kept, held = IdempotencyGuard(store=store), IdempotencyGuard(store=MemoryStore())
        yield from paired(
            calls(lambda key: held.once(key, charge, 7), "first", size.writes),
            calls(lambda key: kept.once(key, charge, 7), "first", size.writes),
        )


_BY_HAND = "claim and finish by hand"

ROWS = (
    Row("first call of an effect, NORMAL", _BY_HAND, Goal(1.3), beside(by_hand, "first")),
    Row("its replay", "one SELECT by hand", Goal(1.5), beside(by_hand, "replay")),
    Row("first call, FULL", _BY_HAND, Goal(1.3), beside(by_hand, "first", "machine")),
    Row("its replay", "one SELECT by hand", Goal(1.5), beside(by_hand, "replay", "machine")),
    Row("first call of an effect, NORMAL", "exactly-once", None, beside(by_exactly_once, "first")),
    Row("its replay", "exactly-once", None, beside(by_exactly_once, "replay")),
    Row("first call, FULL", "agent-once", None, beside(by_agent_once, "first", "machine")),
    Row("its replay", "agent-once", None, beside(by_agent_once, "replay", "machine")),
    Row("first call in memory", "on SQLite, NORMAL", None, in_memory),
)
