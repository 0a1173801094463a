# SPDX-License-Identifier: MIT
"""The failure of a function in a process of its own, as an exception that travels as words.

It carries what the child said of itself, which was never unpickled, and knows
neither processes nor loops.
"""

from __future__ import annotations

from haltable.errors import HaltableError

__all__ = ["IsolatedFailed"]


class IsolatedFailed(HaltableError):
    """An isolated function raised, or its process did not answer as it should.

    Args:
        name: the function's.
        kind: the name of the type of what it raised; None if it raised nothing
            and its process failed.
        message: the text of what it raised, or what went wrong.
        traceback: where it was raised, as a traceback's text; empty if unknown.
    """

    def __init__(self, name: str, kind: str | None, message: str, traceback: str = "") -> None:
        super().__init__(name, kind, message, traceback)
        self.name = name
        self.kind = kind
        self.message = message
        self.traceback = traceback

    def __str__(self) -> str:
        if self.kind is None:
            return f"the process of {self.name} {self.message}"
        return f"{self.name} raised {self.kind}" + (f": {self.message}" if self.message else "")
