# SPDX-License-Identifier: MIT
"""A body that could not be stopped, as an error that says where it still is.

It carries words only; the thread itself it does not hold.
"""

from __future__ import annotations

from haltable.errors import HaltableError

__all__ = ["Abandoned"]


class Abandoned(HaltableError):
    """A body was interrupted, but its thread runs on: nothing in a process can end a thread.

    Args:
        name: what is called in the thread.
        stack: where the thread was when it was abandoned, as a traceback's text.
    """

    def __init__(self, name: str, stack: str) -> None:
        super().__init__(name, stack)
        self.name = name
        self.stack = stack

    def __str__(self) -> str:
        place = [line.strip() for line in self.stack.splitlines() if line.startswith("  File ")]
        # `File "/long/path/to/file.py", line 7, in function`, as tracebacks have it.
        where = place[-1].rpartition("/")[2].replace('"', "") if place else "nobody knows where"
        return f"{self.name} is abandoned, still running: {where}"
