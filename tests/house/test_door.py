# SPDX-License-Identifier: MIT
"""The light door: importing haltable costs next to nothing and starts nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

#: What no user of a plain loop should pay for.
HEAVY = {
    *("anyio", "asyncio", "trio"),
    *("concurrent", "multiprocessing", "socket", "subprocess"),
    *("psycopg", "redis", "sqlite3"),
}


def loaded_by(code):
    """Returns the top-level names of what a fresh interpreter has loaded after the code."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE")}
    ran = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport json, sys\nprint(json.dumps([*sys.modules]))"],
        capture_output=True,
        text=True,
        env=environment,
        check=True,
    )
    return {name.partition(".")[0] for name in json.loads(ran.stdout)}


def test_the_door_is_light():
    """Importing the package loads the face and what the face says it uses, nothing else."""
    before, after = loaded_by("pass"), loaded_by("import haltable")

    assert after & HEAVY == set()
    assert after - before <= loaded_by("import importlib, typing") | {"__future__", "haltable"}


@pytest.mark.parametrize(
    "code",
    [
        "from haltable import Loop, IterationCap, ExitCondition, StallDetector, Deadline, Backoff",
        "from haltable import Report, Status, Breaker, remembered, LoopTripped",
        "from haltable import Loop, IterationCap\nLoop(IterationCap(3)).run(lambda: None)",
        "import haltable as h\nh.Loop(h.IterationCap(3), key='k', store=h.MemoryStore()).run(int)",
    ],
)
def test_a_plain_loop_is_light(code):
    """What a plain loop needs loads no event loop, no database, no driver; running it neither."""
    assert loaded_by(code) & HEAVY == set()


def test_the_test_sees_what_is_heavy():
    """The look at ``sys.modules`` would see an event loop behind the door."""
    assert loaded_by("import haltable, sqlite3, asyncio") & HEAVY >= {"asyncio", "sqlite3"}
