# SPDX-License-Identifier: MIT
"""Rows: what an import costs, each time in a fresh interpreter.

Only the import is timed, inside the interpreter that does it.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

from tests.benchmarks.measuring import Figures, Goal, Row, Size, ratios

__all__ = ["ROWS"]

_PROGRAM = """
from time import perf_counter
start = perf_counter()
{statement}
print(perf_counter() - start)
"""


def seconds(statement: str) -> float:
    """Returns how long an import statement takes in a fresh interpreter."""
    program = [sys.executable, "-c", _PROGRAM.format(statement=statement)]
    return float(subprocess.run(program, check=True, capture_output=True, text=True).stdout)


def beside_attrs(statement: str) -> Callable[[Size], Figures]:
    """Returns the row's samples for a statement."""

    def samples(size: Size) -> Figures:
        attrs_alone = "import attrs, typing_extensions"
        yield from ratios(lambda: seconds(statement), lambda: seconds(attrs_alone))

    return samples


_BESIDE = "attrs, typing_extensions"

ROWS = (
    Row("import haltable", _BESIDE, Goal(1.6), beside_attrs("import haltable")),
    Row("from haltable import Loop", _BESIDE, None, beside_attrs("from haltable import Loop")),
)
