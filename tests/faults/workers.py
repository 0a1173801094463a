# SPDX-License-Identifier: MIT
"""What child processes do to one key: race for it, die in its body, start it again.

Each function is the whole work of one process.  Starts are counted outside, by
`Tally`; how a run ended is a word there too.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

from haltable import (
    ExitCondition,
    IterationCap,
    Loop,
    LoopBusy,
    LoopHalted,
    Report,
    SQLiteStore,
)
from haltable.conditions import never
from tests.faults.gate import Gate
from tests.faults.tally import Tally
from tests.faults.ways import WAYS, Body

__all__ = [
    "KEY",
    "START",
    "attempt_once",
    "die_in_body",
    "die_in_for",
    "fail",
    "fork_in_body",
    "leave_a_zombie",
    "loop_on",
    "succeed",
    "until_not_busy",
]

KEY = "job"
START = "start"
#: Seconds for which a process goes on asking for a key that others hold.
PATIENCE = 50.0


def loop_on(path: str, cap: IterationCap) -> Loop:
    """Returns the loop that all processes of a test share: the same policy, key and file."""
    return Loop(cap, ExitCondition(success=never), key=KEY, store=SQLiteStore(path))


def until_not_busy(work: Callable[[], Report[Any]]) -> Report[Any]:
    """Asks again and again until nobody else holds the key."""
    limit, pause = time.monotonic() + PATIENCE, threading.Event()
    while True:
        try:
            return work()
        except LoopBusy:
            if time.monotonic() > limit:
                raise
            # Only to be kind to the others: it would be as right without.
            pause.wait(0.002)


def fail(path: str, outside: str, way: str, cap: IterationCap, gate: Gate) -> None:
    """Runs the key with all others at once, until it has ended; each body fails."""
    tally = Tally(outside)

    def body() -> None:
        tally.mark(START)
        raise ValueError("it always fails")

    gate.wait()
    tally.mark(_until_the_end(loop_on(path, cap), way, body))


def succeed(path: str, outside: str, way: str, cap: IterationCap, gate: Gate) -> None:
    """Runs the key with all others at once, until it has ended; each body returns."""
    tally = Tally(outside)
    gate.wait()
    tally.mark(_until_the_end(loop_on(path, cap), way, lambda: tally.mark(START)))


def attempt_once(path: str, outside: str, cap: IterationCap) -> None:
    """Makes one attempt, which fails, and ends in good order."""
    tally = Tally(outside)

    def body() -> None:
        tally.mark(START)
        raise ValueError("it always fails")

    tally.mark(loop_on(path, cap).step(body).status)


def die_in_body(path: str, outside: str, way: str, death: str, cap: IterationCap) -> None:
    """Starts the key again and dies in its body, if it gets there."""
    tally = Tally(outside)

    def body() -> None:
        tally.mark(START)
        _die(death)

    began = time.monotonic()
    report = WAYS[way](loop_on(path, cap), body)
    tally.mark(report.status)
    tally.mark(f"refused after {time.monotonic() - began:.3f} s")


def die_in_for(path: str, outside: str, cap: IterationCap) -> None:
    """A host's own loop, whose third iteration of each process kills it."""
    tally = Tally(outside)
    try:
        for iteration in loop_on(path, cap):
            with iteration:
                tally.mark(START)
                if iteration.number == 3:
                    _die("SIGKILL")
                if iteration.starts % 4 == 1:
                    raise ValueError("every fourth one fails")
    except LoopHalted as halted:
        tally.mark(halted.report.status)


def fork_in_body(path: str, outside: str, way: str, cap: IterationCap) -> None:
    """Runs the key to its end, and forks in the second body; both copies go on."""
    tally, first = Tally(outside), os.getpid()

    def body() -> None:
        tally.mark(START)
        if tally.count(START) == 2:
            os.fork()

    loop = loop_on(path, cap)
    report = WAYS[way](loop, body)
    if os.getpid() != first:
        said = f"{report.status}, {report.breaker}: {report.reason}, durable {report.durable}"
        tally.mark(f"copy: {said}")
        os._exit(0)
    os.wait()
    tally.mark(_until_the_end(loop, way, body))


def leave_a_zombie(path: str, outside: str, cap: IterationCap) -> None:
    """Starts the key while its last owner is dead and nobody has asked how it ended."""
    child = os.fork()
    if child == 0:
        die_in_body(path, outside, "run", "SIGKILL", cap)
    # Waits for the end and leaves it to be waited for.
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    loop_on(path, cap).step(lambda: Tally(outside).mark(START))
    os.waitpid(child, 0)


def _until_the_end(loop: Loop, way: str, body: Body) -> str:
    while True:
        report = until_not_busy(lambda: WAYS[way](loop, body))
        if report.status.terminal:
            return report.status


def _die(death: str) -> None:
    if death == "os._exit":
        os._exit(1)
    os.kill(os.getpid(), signal.Signals[death])
