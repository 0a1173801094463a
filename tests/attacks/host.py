# SPDX-License-Identifier: MIT
"""A program with a loop under attack: at most three starts of one body, on one key.

    python host.py LEVEL NAME ARENA

It writes one line of JSON at its end: what the loop has come to.  It is copied
beside the bodies, and run by whom they are run by.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import sys
import time
from pathlib import Path

import bodies

from haltable import Deadline, IterationCap, Loop, SQLiteStore
from haltable.bodies import Command, Confinement

#: Seconds from TERM to KILL.
GRACE = 0.3
#: What the memory of this program holds, if nobody has written to it.
INTACT = b"intact"


def function(name, victim):
    """The body, in this process."""

    def body(iteration):
        return bodies.perform(name, iteration, victim)

    return body


def child(name, victim):
    """The body, in a process of its own."""
    return Command(argv(name, victim), grace=GRACE)


def confined(name, victim):
    """The body, in a process that is shut in."""
    return Command(argv(name, victim), grace=GRACE, confine=Confinement(writable=[victim.out]))


def argv(name, victim):
    """The body as a program."""
    program = [sys.executable, "-I", "-S", bodies.__file__]
    return [*program, name, str(victim.arena), str(victim.host), str(victim.address)]


LEVELS = {"iteration": function, "child": child, "confined": confined}


def main(level, name, arena):
    """Runs the loop to its end, whatever the body does."""
    memory = ctypes.create_string_buffer(INTACT, len(INTACT))
    victim = bodies.Victim(arena, os.getpid(), ctypes.addressof(memory))
    body = LEVELS[level](name, victim)
    with SQLiteStore(victim.store) as store:
        cap = IterationCap(bodies.CAP, max_consecutive_failures=None)
        deadline = Deadline(iteration=bodies.LIMIT)
        # There to be found, as in any program.
        loop = Loop(cap, deadline, key="attacked", store=store)
        run = loop.start()
        with contextlib.suppress(BaseException):
            run.run(body)
        report = run.report
    said = {
        "status": None if report is None else str(report.status.value),
        "failures": None if report is None else report.failures,
        "reason": None if report is None else str(report.reason),
        "ran": None if report is None else report.ran,
        "intact": memory.raw == INTACT,
        "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "ended": time.monotonic(),
    }
    Path(arena, "said.json").write_text(json.dumps(said))


if __name__ == "__main__":
    main(*sys.argv[1:])
