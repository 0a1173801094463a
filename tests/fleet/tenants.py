# SPDX-License-Identifier: MIT
"""What worker processes of a fleet do to shared keys: grants, and keyed loops; counted outside.

A grant is a write that makes a key's number one larger and was acknowledged.
A worker that cannot know whether its write was done sends the same one again,
as the ledger does: a refusal that shows its own mark means that it was.
"""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import attrs

from haltable import ExitCondition, IterationCap, Loop, StoreError
from haltable.conditions import never
from haltable.stores import Conflict, Entry, Store
from tests.faults.gate import Gate
from tests.faults.lane import be_quiet
from tests.faults.tally import Tally
from tests.fleet.places import Place

__all__ = ["CAP", "Lost", "Rounds", "granting", "granting_until", "looping_until"]

#: Starts of each key of a loop.
CAP = 10
#: A pause between two calls of a server that is down; it is not what makes anything right.
PAUSE = 0.01


class Lost(Exception):
    """A record that this worker wrote is gone, or older than it was."""


@attrs.frozen
class Rounds:
    """One worker's share of the work.

    Args:
        place: where the keys are.
        outside: the file that counts grants, of this worker alone.
        name: the worker's own.
        keys: the keys that it writes, in the order of its own chance.
        rounds: how often it writes each.
    """

    place: Place
    outside: Path
    name: str
    keys: tuple[str, ...]
    rounds: int

    def tally(self) -> Tally:
        """Returns this worker's count."""
        return Tally(self.outside / self.name)


def granting(share: Rounds, gate: Gate) -> None:
    """Writes each key as often as asked, together with all others."""
    turns = [key for key in share.keys for _ in range(share.rounds)]
    random.Random(share.name).shuffle(turns)
    gate.wait()
    grants: list[str] = []
    with share.place.open() as store:
        worker = Granter(store, share.name)
        grants += (f"{key} {worker.grant(key)}" for key in turns)
    share.outside.joinpath(share.name).write_text("".join(f"{line}\n" for line in grants))


def granting_until(share: Rounds, over: Path) -> None:
    """Writes the keys by turns until a file appears; each grant is counted once it is known."""
    tally, pause = share.tally(), threading.Event()
    with share.place.open() as store:
        worker = Granter(store, share.name, pause, tally)
        for key in _until(over, itertools.cycle(share.keys)):
            try:
                tally.mark(f"{key} {worker.grant(key)}")
            except Lost:
                tally.mark(f"{key} lost")
                return


def looping_until(share: Rounds, over: Path) -> None:
    """Runs one keyed loop after the other to its end, until a file appears."""
    be_quiet()
    tally, pause = share.tally(), threading.Event()
    with share.place.open() as store:
        for number in _until(over, itertools.count()):
            key = f"{share.name}-{number}"
            report: Any = None
            while report is None or not report.status.terminal:
                report = loop_on(store, key).run(lambda key=key: tally.mark(f"{key} body"))
                if report.breaker == "store":
                    pause.wait(PAUSE)
            tally.mark(f"{key} {report.status}: {report.reason}")


def loop_on(store: Store, key: str) -> Loop:
    """Returns the loop of a key: so many starts, and nothing else ends it."""
    cap = IterationCap(CAP, max_consecutive_failures=None)
    return Loop(cap, ExitCondition(success=never), key=key, store=store)


def _until(over: Path, things: Iterable[Any]) -> Iterable[Any]:
    return itertools.takewhile(lambda _: not over.exists(), things)


class Granter:
    """One worker's hand on the keys.

    Args:
        store: where they are.
        name: its own, which each of its writes shows.
        pause: what it waits on while the server is down; without, a fault is raised.
        tally: where it counts writes of which it cannot know at once whether they were done.
    """

    def __init__(
        self,
        store: Store,
        name: str,
        pause: threading.Event | None = None,
        tally: Tally | None = None,
    ) -> None:
        self._store, self._name, self._pause, self._tally = store, name, pause, tally
        self._seen: dict[str, Entry | None] = {}
        self._most: dict[str, int] = {}

    def grant(self, key: str) -> int:
        """Makes the key's number one larger; returns the number that this write made.

        Raises:
            Lost: what is there is less than what was there.
        """
        while True:
            known = (
                self._seen[key] if key in self._seen else self._asked(None, self._store.read, key)
            )
            number = self._number(key, known) + 1
            value = f"{number} {self._name}".encode()
            expected = 0 if known is None else known.version
            maybe = f"{key} maybe {number}"
            found = self._asked(maybe, self._store.write, key, value, expected=expected)
            current = found.current if isinstance(found, Conflict) else found
            self._number(key, current)
            self._seen[key] = current
            if current is not None and current.value == value:
                return number

    def _number(self, key: str, entry: Entry | None) -> int:
        number = 0 if entry is None else int(entry.value.split()[0])
        if number < self._most.get(key, 0):
            raise Lost(key)
        self._most[key] = number
        return number

    def _asked(self, maybe: str | None, call: Any, *words: Any, **named: Any) -> Any:
        while True:
            try:
                return call(*words, **named)
            except StoreError as error:
                if self._pause is None or self._tally is None:
                    raise
                if maybe is not None and error.outcome == "unknown":
                    self._tally.mark(maybe)
                self._pause.wait(PAUSE)
