# SPDX-License-Identifier: MIT
"""What a process on a host of its own does to a key: hold it, or ask for it.

It says what it sees, a line each, and goes on until it is killed.
"""

from __future__ import annotations

import threading
import time
from typing import Any

from haltable import ExitCondition, IterationCap, Loop, LoopBusy
from haltable._owner import new_owner
from haltable.conditions import never
from tests.faults.lane import be_quiet
from tests.fleet.places import Place

__all__ = ["main"]

#: Starts of the key; more than any test makes.
CAP = 50
#: A pause between two questions, to be kind to others.
PAUSE = 0.01


def main(act: str, place: Place, key: str, lease: float) -> None:
    """Says who it is and what time it has, and does what it is for."""
    be_quiet()
    owner = new_owner()
    say("i", owner.boot, owner.space, owner.pid, time.time(), time.monotonic())
    with place.open() as store:
        cap = IterationCap(CAP, max_consecutive_failures=None)
        loop = Loop(cap, ExitCondition(success=never), key=key, store=store, lease=lease)
        ACTS[act](loop)


def hold(loop: Loop) -> None:
    """Stays in the body for ever."""

    def body() -> None:
        say("holding")
        threading.Event().wait()

    loop.step(body)


def ask(loop: Loop) -> None:
    """Asks for the key until it has it; tells of the first refusal."""
    refusals = 0
    while True:
        try:
            report = loop.step(lambda: None)
        except LoopBusy as busy:
            refusals += 1
            if refusals == 1:
                say("busy", busy.lease_left)
            threading.Event().wait(PAUSE)
        else:
            say("granted", report.starts, report.failures, refusals)
            return


def say(*words: object) -> None:
    """Prints a line for whoever started this."""
    print(*words, flush=True)  # noqa: T201


ACTS: dict[str, Any] = {"hold": hold, "ask": ask}
