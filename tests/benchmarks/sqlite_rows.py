# SPDX-License-Identifier: MIT
"""Rows: a keyed iteration on SQLite, beside one raw UPSERT of the same bytes.

The raw side is one prepared statement on one connection, each in a transaction
of its own, in a file of the same directory with the same pragmas.  It writes
the very bytes that a keyed loop wrote, one record after the other: SQLite
leaves a page alone that is replaced by itself, so a single record again and
again would cost nothing.
"""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from haltable import Loop, SQLiteStore
from haltable.store import Conflict, Durability, Entry
from tests.benchmarks.measuring import Figures, Goal, Row, Size, paired
from tests.benchmarks.subjects import body, four

__all__ = ["ROWS"]

_SYNCHRONOUS = {"process": "NORMAL", "machine": "FULL"}
_TABLE = "CREATE TABLE record (key TEXT PRIMARY KEY NOT NULL, value BLOB)"
_UPSERT = (
    "INSERT INTO record (key, value) VALUES (?, ?)"
    " ON CONFLICT (key) DO UPDATE SET value = excluded.value"
)


class Recorder:
    """A store that keeps what was written to another."""

    blocks = True

    def __init__(self, store: Any) -> None:
        self.durability: Durability = store.durability
        self.read, self.scan, self.delete = store.read, store.scan, store.delete
        self.written: list[bytes] = []
        self._store = store

    def write(self, key: str, value: bytes, *, expected: int) -> Entry | Conflict:
        """Writes, and keeps the value."""
        self.written.append(value)
        reply: Entry | Conflict = self._store.write(key, value, expected=expected)
        return reply


def beside_upsert(
    durability: Literal["process", "machine"], iterations: Callable[[Size], int]
) -> Callable[[Size], Figures]:
    """Returns the row's samples at one durability."""

    def samples(size: Size) -> Figures:
        count = iterations(size)
        with contextlib.ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            store = stack.enter_context(SQLiteStore(folder / "loops.db", durability))
            recorder = Recorder(store)
            Loop(*four(count), key="recorded", store=recorder).run(body)
            values = recorder.written[1:-1]  # All but the first start and the tombstone.

            raw = sqlite3.connect(folder / "raw.db", isolation_level=None)
            stack.enter_context(contextlib.closing(raw))
            raw.execute("PRAGMA journal_mode=WAL")
            raw.execute(f"PRAGMA synchronous={_SYNCHRONOUS[durability]}")
            raw.execute(_TABLE)
            names = (f"loop-{number}" for number in itertools.count())

            def keyed() -> None:
                Loop(*four(count), key=next(names), store=store).run(body)

            def upserts() -> None:
                execute, key = raw.cursor().execute, f"haltable/loop/{next(names)}"
                for value in itertools.islice(itertools.cycle(values), count):
                    execute(_UPSERT, (key, value))

            yield from paired(keyed, upserts)

    return samples


ROWS = (
    Row(
        "keyed iteration on SQLite, NORMAL",
        "one raw UPSERT",
        Goal(1.5),
        beside_upsert("process", lambda size: size.writes),
    ),
    Row(
        "keyed iteration on SQLite, FULL",
        "one raw UPSERT",
        Goal(1.5),
        beside_upsert("machine", lambda size: size.synced),
    ),
)
