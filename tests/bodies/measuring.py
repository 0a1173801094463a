# SPDX-License-Identifier: MIT
"""Has the processes of bodies measured too, if somebody measures.

They start with nothing of ours otherwise, and what is shut in could not leave
its measurements anywhere.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import coverage

from haltable.bodies._task import Told

__all__ = ["CONFINE", "LAUNCH", "folder", "names", "with_folder", "with_folder_told"]

#: What an interpreter is told, to be a keeper or to shut in by the code that is measured.
LAUNCH = ("-c", "from haltable.bodies import _keeper; _keeper.main()", "no folder")
CONFINE = ("-c", "import sys; from haltable.bodies import _confine; _confine.main(*sys.argv[1:])")


def names() -> tuple[str, ...]:
    """Returns the variables by which a process is told to measure itself; none if nobody does."""
    return tuple(name for name in os.environ if name.startswith("COVERAGE"))


def folder() -> str | None:
    """Returns where measurements are written; None if nobody measures."""
    measured = coverage.Coverage.current()
    if measured is None:
        return None
    return os.path.realpath(Path(str(measured.get_option("run:data_file"))).parent)


def with_folder(order: Mapping[str, Any]) -> dict[str, Any]:
    """Returns an order to confine that lets measurements be written."""
    place = folder()
    return {**order, "writable": [*order["writable"], *([] if place is None else [place])]}


def with_folder_told(told: Told) -> Told:
    """Returns the same of what a keeper is told."""
    *rest, order = told
    return (*rest, None if order is None else with_folder(order))
