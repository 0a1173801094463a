# SPDX-License-Identifier: MIT
"""Kills processes at random moments, as often as asked, and holds every key to its cap.

The heavy lane beside ``test_kill_points``: there each named point is hit, here
the moments between them are.  Two processes at a time work through keys at one
place; each is killed by a timer of its own.
"""

from __future__ import annotations

import itertools
import logging
import os
import random
import signal
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import attrs
import coverage
import trio

from haltable import ExitCondition, IterationCap, Loop, LoopBusy, Operator
from haltable.conditions import never
from tests.faults.children import all_ended, start
from tests.faults.places import Place
from tests.faults.tally import Tally
from tests.faults.ways import WAYS

__all__ = ["CAP", "Lane", "Losses", "be_quiet"]

CAP = 10
#: Seconds within which a process dies: some in its first write, some after dozens of keys.
LIFE = 0.12
#: Seconds after which a process that still lives cannot have had its Ctrl-C.
LOST = 10.0
SIDE_BY_SIDE = 2
#: How a process ends that was interrupted.
INTERRUPTED = 130
CHOICE = (
    "run",
    "step",
    "for",
    "arun on asyncio",
    "arun on trio",
    "astep on trio",
    "bare async for on asyncio",
)


@attrs.frozen
class Losses:
    """What the kills did, summed over all keys.

    Args:
        kills: processes that were killed.
        keys: keys that came to their end.
        starts: starts that were recorded.
        bodies: bodies that were counted outside.
        crashes: starts that were recorded as crashed.
    """

    kills: int
    keys: int
    starts: int
    bodies: int
    crashes: int


class Lane:
    """Processes that die over one place, and what must hold when they have."""

    def __init__(self, folder: Path, place: Place, seed: int) -> None:
        self._place = place
        self._tally = Tally(folder / "outside")
        self._chance = random.Random(seed)

    def kill(self, kills: int) -> None:
        """Starts processes until so many of them were killed.

        Raises:
            AssertionError: if one ended in any other way.
        """
        self._end(kills, signal.SIGKILL, -signal.SIGKILL)

    def interrupt(self, interrupts: int) -> None:
        """Starts processes until so many of them had a Ctrl-C; see `kill`."""
        self._end(interrupts, signal.SIGINT, INTERRUPTED)

    def _end(self, times: int, by: signal.Signals, expected: int) -> None:
        for _ in range(0, times, SIDE_BY_SIDE):
            codes = all_ended([start(work, self._death(by)) for _ in range(SIDE_BY_SIDE)])
            if codes != [expected] * SIDE_BY_SIDE:
                raise AssertionError(f"children were to end with {expected}, and did with {codes}")

    def check(self, kills: int) -> Losses:
        """Runs every key to its end, and holds it against what was counted outside.

        Raises:
            AssertionError: if a promise broke; it says which, of which key.
        """
        words = Counter(self._tally.words())
        self._place.settle()
        with self._place.open() as store:
            ops, late = Operator(store), Counter[str]()
            states = []
            for found in ops.list():
                report = loop_on(store, found.key).run(lambda key=found.key: late.update([key]))
                states.append(ops.show(found.key))
                bodies = words[found.key] + late[found.key]
                state = states[-1]
                problems = {
                    "bodies over the cap": bodies > CAP,
                    "a body that was not recorded": bodies > state.starts,
                    "not at its end": not report.status.terminal or state.running is not None,
                    "starts that are not the cap": state.starts != CAP,
                    "failures that were none": state.failures != state.crashes,
                }
                if any(problems.values()):
                    raise AssertionError(f"{found.key}: {problems}, {bodies} bodies, {state}")
        losses = Losses(
            kills=kills,
            keys=len(states),
            starts=sum(state.starts for state in states),
            bodies=sum(words.values()) + sum(late.values()),
            crashes=sum(state.crashes for state in states),
        )
        if losses.starts - losses.bodies > kills or losses.crashes > kills:
            raise AssertionError(f"a kill cost more than one unit: {losses}")
        return losses

    def _death(self, by: signal.Signals) -> Death:
        done = sum(1 for count in Counter(self._tally.words()).values() if count >= CAP - 1)
        chance = self._chance
        return Death(
            self._place,
            str(self._tally.path),
            chance.choice(CHOICE),
            first=max(0, done - 20),
            after=chance.random() * LIFE,
            by=by,
        )


@attrs.frozen
class Death:
    """A process's work until it dies: where, by which way in, from which key on, when, of what."""

    place: Place
    outside: str
    way: str
    first: int
    after: float
    by: signal.Signals


def work(death: Death) -> None:
    """Runs one key after the other to its end, until this process dies."""
    measuring = coverage.Coverage.current()
    if measuring is not None:
        # A Ctrl-C that falls into the tracer leaves it locked: then nothing goes on.
        measuring.stop()
    try:
        threading.Thread(target=_end, args=(death,), daemon=True).start()
        _run_keys(death)
    except KeyboardInterrupt:
        os._exit(INTERRUPTED)
    except trio.TrioInternalError as error:
        # A Ctrl-C that falls into trio's own code, before or after that guards itself.
        if not isinstance(error.__cause__, KeyboardInterrupt):
            raise
        os._exit(INTERRUPTED)


def _end(death: Death) -> None:
    pause = threading.Event()
    pause.wait(death.after)
    while True:
        os.kill(os.getpid(), death.by)
        # A Ctrl-C that falls into a finaliser is dropped by the interpreter itself.
        pause.wait(LOST)


def _run_keys(death: Death) -> None:
    be_quiet()
    tally = Tally(death.outside)
    store = death.place.open()
    for number in itertools.count(death.first):
        key = f"key {number:06}"
        loop = loop_on(store, key)
        try:
            while not WAYS[death.way](loop, lambda key=key: tally.mark(key)).status.terminal:
                pass
        except LoopBusy:
            continue


def be_quiet() -> None:
    """Keeps thousands of trips, all of them wanted, out of the terminal."""
    logging.getLogger("haltable").setLevel(logging.ERROR)


def loop_on(store: Any, key: str) -> Loop:
    """Returns the loop of one key: N starts, and nothing else ends it."""
    cap = IterationCap(CAP, max_consecutive_failures=None)
    return Loop(cap, ExitCondition(success=never), key=key, store=store)
