# SPDX-License-Identifier: MIT
"""Kills processes that carry out effects, at random moments, and counts what has happened.

The heavy lane beside ``test_effect_crashes``: there each named point is hit,
here the moments between them are.  Processes work side by side through keys at
one place, some of them able to ask the outside; each is killed by a timer of its own.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import threading
from pathlib import Path
from typing import Any, Literal

import attrs

from haltable import EffectHeld, IdempotencyGuard, Operator, OutcomeUnknown
from haltable.effects import EffectState, Happened, NotHappened
from tests.effects.sites import Site
from tests.faults.children import all_ended, start
from tests.faults.lane import be_quiet
from tests.faults.places import Place
from tests.faults.tally import Tally

__all__ = ["Counts", "EffectLane"]

#: Seconds within which a process dies, and which one effect may take.
LIFE, EFFECT = 0.15, 0.02
SIDE_BY_SIDE = 4
#: Keys behind the newest one to which every process comes back.
BEHIND = 4
WAYS = ("once", "aonce on asyncio", "aonce on trio")


@attrs.frozen
class Counts:
    """What the kills came to.

    Args:
        kills: processes that were killed.
        keys: keys that were called.
        effects: keys whose effect has happened, each of them once.
        unknown: keys of which nobody knew so when the last process was dead.
        reconciled: keys that had happened, and of which a process found that out by asking.
    """

    kills: int
    keys: int
    effects: int
    unknown: int
    reconciled: int

    def __str__(self) -> str:
        return ", ".join(f"{name}={value}" for name, value in attrs.asdict(self).items())


@attrs.frozen
class Death:
    """A process's work until it dies: where, how, from which key on, and when."""

    folder: str
    place: Place
    way: str
    on_held: Literal["raise", "wait", "skip"]
    asks: bool
    first: int
    after: float
    seed: int


class EffectLane:
    """Processes that die over one place, and what must hold when they have."""

    def __init__(self, folder: Path, place: Place, seed: int) -> None:
        self._folder, self._place = folder, place
        self._chance = random.Random(seed)
        self._tally = Tally(folder / "newest")
        (folder / "keys").mkdir()

    def kill(self, kills: int) -> None:
        """Starts processes until so many of them were killed.

        Raises:
            AssertionError: if one ended in any other way.
        """
        while kills > 0:
            many = min(SIDE_BY_SIDE, kills)
            codes = all_ended([start(work, self._death()) for _ in range(many)])
            if codes != [-signal.SIGKILL] * many:
                raise AssertionError(f"children were to be killed, and ended with {codes}")
            kills -= many

    def check(self, kills: int) -> Counts:
        """Holds every key against what was counted outside, then brings it to its end.

        Raises:
            AssertionError: if a promise broke; it says which, of which key.
        """
        self._place.settle()
        with self._place.open() as store:
            ops = Operator(store)
            left = ops.effects()
            for view in left:
                self._check(view.key, view.state, last=False)
            asks = IdempotencyGuard(store=store, reconcile=self._truth)
            for view in left:
                asks.once(view.key, _act, str(self._folder), view.key, 0.0, payload=view.key)
            for view in ops.effects():
                self._check(view.key, view.state, last=True)
        return Counts(
            kills=kills,
            keys=len(left),
            effects=len(left),
            unknown=sum(view.state is EffectState.UNKNOWN for view in left),
            reconciled=sum(bool(view.history) for view in left),
        )

    def _check(self, key: str, state: EffectState, *, last: bool) -> None:
        words = _outside(str(self._folder), key).words()
        effects = [word for word in words if word.startswith("effect ")]
        values = {word.partition(" ")[2] for word in words}
        problems = {
            "I1: it happened more than once": len(effects) > 1,
            "I1: it happened, and is free": state is EffectState.FREE and effects,
            "I2: it is done, and did not happen": state is EffectState.DONE and not effects,
            "I5: its callers got different values": len(values) > 1,
            "it is being carried out by nobody": state is EffectState.CLAIMED,
            "it is not at its end": last and state is not EffectState.DONE,
        }
        if any(problems.values()):
            broken = [name for name, broke in problems.items() if broke]
            raise AssertionError(f"{key}: {broken}, {state}, {words}")

    def _truth(self, key: str, record: object) -> Any:
        return _truth(str(self._folder), key, record)

    def _death(self) -> Death:
        newest = max((int(word) for word in self._tally.words()[-SIDE_BY_SIDE:]), default=0)
        chance = self._chance
        return Death(
            folder=str(self._folder),
            place=self._place,
            way=chance.choice(WAYS),
            on_held=chance.choice(("raise", "wait", "skip")),
            asks=chance.random() < 0.3,
            first=max(0, newest - BEHIND),
            after=chance.random() * LIFE,
            seed=chance.randrange(2**32),
        )


def work(death: Death) -> None:
    """Carries out one effect after the other, until this process dies."""
    be_quiet()
    threading.Thread(target=_end, args=(death.after,), daemon=True).start()
    chance = random.Random(death.seed)
    tally = Tally(Path(death.folder, "newest"))
    store = death.place.open()
    site = Site(death.way, store, store, not_at_all)

    def truth(key: str, record: object) -> Any:
        return _truth(death.folder, key, record)

    guard = site.guard(on_held=death.on_held, reconcile=truth if death.asks else None)
    for newest in itertools.count(death.first):
        tally.mark(str(newest))
        for number in (newest, max(0, newest - chance.randrange(BEHIND))):
            key = f"charge:{number}"
            try:
                took = chance.random() * EFFECT
                value = site.call(guard, key, _act, death.folder, key, took, payload=key)
            except (EffectHeld, OutcomeUnknown):
                continue
            if value is not None:
                _outside(death.folder, key).mark(f"returned {json.dumps(value)}")


def not_at_all(seconds: float) -> None:
    """Does not move a real store's clock."""
    raise AssertionError(seconds)


def _end(after: float) -> None:
    threading.Event().wait(after)
    os.kill(os.getpid(), signal.SIGKILL)


def _act(folder: str, key: str, took: float) -> dict[str, int]:
    value = {"receipt of": os.getpid()}
    pause = threading.Event()
    pause.wait(took / 2)
    _outside(folder, key).mark(f"effect {json.dumps(value)}")
    pause.wait(took / 2)
    return value


def _truth(folder: str, key: str, record: object) -> Any:
    del record
    words = _outside(folder, key).words()
    found = [word.removeprefix("effect ") for word in words if word.startswith("effect ")]
    return Happened(json.loads(found[0])) if found else NotHappened()


def _outside(folder: str, key: str) -> Tally:
    return Tally(Path(folder, "keys", key))
