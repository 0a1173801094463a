# SPDX-License-Identifier: MIT
"""Rows: many tasks through one poller on SQLite, beside claim, run and finish written by hand.

The hand-written side is one statement that claims the next row and returns it,
and one that finishes it, each in a transaction of its own, on one connection
with the same pragmas.  Its table is the queue too; a poller's source is not
counted, for it is the host's.  It is one loop, whatever the poller's
concurrency: several such loops in threads are slower on SQLite, as each waits
for the others' commits and has its own.
"""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from haltable import ExitCondition, IterationCap, Loop, Poller, PollerReport, SQLiteStore
from haltable.conditions import returned
from tests.benchmarks.measuring import Figures, Goal, Row, Size, ratios

__all__ = ["ROWS"]

_SYNCHRONOUS = {"process": "NORMAL", "machine": "FULL"}
_TABLE = (
    "CREATE TABLE task (key TEXT PRIMARY KEY NOT NULL, state TEXT NOT NULL,"
    " tries INTEGER NOT NULL, owner TEXT, since REAL, result TEXT)"
)
_INDEX = "CREATE INDEX task_state ON task (state)"
_INSERT = "INSERT INTO task (key, state, tries) VALUES (?, 'new', 0)"
_CLAIM = (
    "UPDATE task SET state = 'running', tries = tries + 1, owner = ?, since = ?"
    " WHERE key = (SELECT key FROM task WHERE state = 'new' LIMIT 1) AND state = 'new'"
    " RETURNING key"
)
_FINISH = (
    "UPDATE task SET state = 'done', result = 'null'"
    " WHERE key = ? AND owner = ? AND state = 'running'"
)


def act(payload: object) -> None:
    """Does nothing, so that what is around it is measured."""
    del payload


def beside_hand(
    durability: Literal["process", "machine"],
    tasks: Callable[[Size], int],
    *,
    concurrency: int = 1,
) -> Callable[[Size], Figures]:
    """Returns the row's samples: seconds of a poller over those of the hand-written loop."""

    def samples(size: Size) -> Figures:
        count = tasks(size)
        with contextlib.ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            store = stack.enter_context(SQLiteStore(folder / "loops.db", durability))
            loop = Loop(IterationCap(3), ExitCondition(success=returned), key="any", store=store)
            raw = sqlite3.connect(folder / "raw.db", isolation_level=None)
            stack.enter_context(contextlib.closing(raw))
            raw.execute("PRAGMA journal_mode=WAL")
            raw.execute(f"PRAGMA synchronous={_SYNCHRONOUS[durability]}")
            raw.execute(_TABLE)
            raw.execute(_INDEX)
            names = (f"turn-{number}" for number in itertools.count())

            def polled() -> float:
                turn = next(names)
                work = [[(f"{turn}-task-{number}", number) for number in range(count)]]

                def done(so_far: PollerReport) -> bool:
                    return so_far.succeeded == count

                poller = Poller(
                    lambda: work.pop() if work else None,
                    act,
                    loop=loop,
                    until=done,
                    concurrency=concurrency,
                )
                start = time.perf_counter()
                poller.run()
                return time.perf_counter() - start

            def by_hand() -> float:
                turn = next(names)
                raw.execute("BEGIN")
                raw.executemany(_INSERT, ((f"{turn}-task-{n}",) for n in range(count)))
                raw.execute("COMMIT")
                start = time.perf_counter()
                while row := raw.execute(_CLAIM, (turn, time.monotonic())).fetchone():
                    act(row)
                    raw.execute(_FINISH, (row[0], turn))
                return time.perf_counter() - start

            yield from ratios(polled, by_hand)

    return samples


ROWS = (
    Row(
        "task through one Poller on SQLite, NORMAL",
        "claim, run, finish by hand",
        Goal(1.5),
        beside_hand("process", lambda size: size.tasks),
    ),
    Row(
        "task through one Poller on SQLite, FULL",
        "claim, run, finish by hand",
        Goal(1.5),
        beside_hand("machine", lambda size: size.tasks),
    ),
    Row(
        "task through one Poller on SQLite, FULL, 8 at once",
        "claim, run, finish by hand",
        Goal(1.5),
        beside_hand("machine", lambda size: size.tasks, concurrency=8),
    ),
)
