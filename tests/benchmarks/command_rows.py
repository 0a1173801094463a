# SPDX-License-Identifier: MIT
"""Rows: what the command costs, as whole processes, beside what a script would do.

A lap is the difference of long runs and short ones, so that the start is not in it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time

from tests.benchmarks.measuring import TURNS, Figures, Goal, Row, Size, ratios

__all__ = ["ROWS"]

#: So many that the start of a run is little beside its laps.
_LAPS = 201


def _seconds(argv: list[str]) -> float:
    # Everybody's second start has its modules compiled.
    writing = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    start = time.perf_counter()
    subprocess.run(argv, env=writing, capture_output=True, check=False)
    return time.perf_counter() - start


def _run(laps: int) -> float:
    words = ["-m", "haltable", "run", "--max", str(laps), "--", "true"]
    return _seconds([sys.executable, *words])


def _beyond_the_interpreter(size: Size) -> Figures:
    del size
    while True:
        pairs = [(_run(1), _seconds([sys.executable, "-c", "pass"])) for _ in range(TURNS)]
        yield 1000 * (min(mine for mine, _ in pairs) - min(other for _, other in pairs))


def _by_hand() -> float:
    true = str(shutil.which("true"))
    start = time.perf_counter()
    for _ in range(_LAPS):
        os.waitpid(os.posix_spawn(true, [true], os.environ), 0)
    return (time.perf_counter() - start) / _LAPS


def _a_lap(size: Size) -> Figures:
    del size
    yield from ratios(lambda: (_run(_LAPS) - _run(1)) / (_LAPS - 1), _by_hand)


ROWS = (
    Row(
        "haltable run --max 1 -- true",
        "python -c pass, in ms beyond it",
        Goal(150),
        _beyond_the_interpreter,
        unit="ms",
    ),
    Row("a lap of true", "fork, exec, wait", Goal(2), _a_lap),
)
