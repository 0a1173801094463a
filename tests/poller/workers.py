# SPDX-License-Identifier: MIT
"""What child processes do with one file of tasks: poll it, hang in it, be killed or stopped.

As a script it is one such process; what it did is counted outside, by `Tally`.
"""

from __future__ import annotations

import os
import random
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio

from haltable import (
    ExitCondition,
    IdempotencyGuard,
    Iteration,
    IterationCap,
    Loop,
    OutcomeUnknown,
    Poller,
    SQLiteStore,
)
from haltable.conditions import idle, never, returned
from tests.faults.tally import Tally

__all__ = ["BROKEN", "IN_AIR", "TASKS", "Worker"]

TASKS = 64
#: Every so many tasks one never works.
BROKEN = 8
IN_AIR = 8
#: Where an attempt may hang.
PLACES = ("before the effect", "in the effect", "after the effect")


class Worker:
    """One process over the tasks of a folder.

    Args:
        folder: where the store and the tallies are.
        life: how many processes were there before; it decides on the order.
        hangs: whether every attempt hangs until the process is killed.
    """

    def __init__(self, folder: Path, life: int, *, hangs: bool) -> None:
        self._folder = folder
        self._chance = random.Random(life)
        self._hangs = hangs
        self._tally = Tally(folder / "tally")
        self._places: dict[int, str] = {}

    def poller(self, **options: Any) -> Poller:
        """Returns the poller of this process."""
        loop = Loop(
            IterationCap(9, max_consecutive_failures=3),
            IdempotencyGuard(),
            ExitCondition(success=returned),
            key="any",
            store=SQLiteStore(self._folder / "tasks.db"),
            fatal=OutcomeUnknown,
        )
        options = {"concurrency": IN_AIR, "every": 0.05, "until": idle, **options}
        return Poller(self.tasks, options.pop("act", self.act), loop=loop, **options)

    def tasks(self) -> Iterator[tuple[str, int]]:
        """Hands out all tasks, in the order of this life."""
        for number in self._chance.sample(range(TASKS), TASKS):
            self._places[number] = self._chance.choice(PLACES)
            yield f"task-{number}", number

    def act(self, number: int, iteration: Iteration) -> None:
        """Makes an attempt in a thread: one effect, and an end or none."""
        with self._alone(number):
            self._hang(number, "before the effect")
            iteration.once(f"effect-{number}", self._effect, number)
            self._hang(number, "after the effect")

    async def awaited(self, number: int, iteration: Iteration) -> None:
        """Makes an attempt in a task."""
        with self._alone(number):
            await self._ahang(number, "before the effect")
            await iteration.aonce(f"effect-{number}", self._aeffect, number)
            await self._ahang(number, "after the effect")

    def _alone(self, number: int) -> Lock:
        self._tally.mark(f"start-{number}")
        return Lock(self._folder / f"lock-{number}", number, self._tally)

    def _effect(self, number: int) -> None:
        self._tally.mark(f"effect-{number}")
        self._hang(number, "in the effect")

    async def _aeffect(self, number: int) -> None:
        self._tally.mark(f"effect-{number}")
        await self._ahang(number, "in the effect")

    def _hang(self, number: int, place: str) -> None:
        if self._hangs and place == self._places[number]:
            self._say()
            threading.Event().wait()

    async def _ahang(self, number: int, place: str) -> None:
        if self._hangs and place == self._places[number]:
            self._say()
            await anyio.sleep_forever()

    @staticmethod
    def _say() -> None:
        os.write(1, b".")


class Lock:
    """Notes an attempt that runs beside another one of its key; a broken task fails at its end."""

    def __init__(self, path: Path, number: int, tally: Tally) -> None:
        self._path, self._number, self._tally = path, number, tally
        self._mine = f"{os.getpid()}"

    def __enter__(self) -> None:
        try:
            self._path.symlink_to(self._mine)
        except FileExistsError:
            other = str(self._path.readlink())
            # What a killed process left is nobody's.
            if other == self._mine or Path("/proc", other).exists():
                self._tally.mark(f"overlap-{self._number}")
            self._path.unlink()
            self._path.symlink_to(self._mine)

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        self._path.unlink()
        if kind is None and self._number % BROKEN == 0:
            raise ValueError(f"{self._number} never works")


def main(folder: str, life: str, way: str) -> None:
    """Runs one process: ``threads``, ``asyncio`` or ``trio``, with ``hanging`` before it or not."""
    way, hangs = way.removeprefix("hanging-"), way.startswith("hanging-")
    worker = Worker(Path(folder), int(life), hangs=hangs)
    if way == "threads":
        worker.poller().run()
    elif way == "signals":
        report = worker.poller(until=never, act=lambda number: os.write(1, b".")).run(
            handle_signals=True
        )
        os.write(1, f"{report.status} {report.reason}".encode())
    else:
        anyio.run(worker.poller(act=worker.awaited).arun, backend=way)


if __name__ == "__main__":
    main(*sys.argv[1:])
