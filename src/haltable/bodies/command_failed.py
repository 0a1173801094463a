# SPDX-License-Identifier: MIT
"""A command's failure, as an exception that says what the command said last.

It carries the finished command as a value, and knows neither processes nor loops.
"""

from __future__ import annotations

import shlex
import signal

from haltable.bodies.completed import Completed
from haltable.errors import HaltableError

__all__ = ["CommandFailed"]

_LAST_LINES = 3
_WIDTH = 300


class CommandFailed(HaltableError):
    """A command did not start, or did not end with status 0.

    Args:
        completed: how it ended, and what it said.  One that could not be
            started has a shell's status: 127 if there is no such program or
            directory, else 126.
        why: why it could not be started; None if it was.
    """

    def __init__(self, completed: Completed, why: str | None = None) -> None:
        super().__init__(completed, why)
        self.completed = completed
        self.why = why

    @property
    def status(self) -> int:
        """The exit status; below zero the signal that killed it."""
        return self.completed.status

    @property
    def signal(self) -> int | None:
        """The signal that killed it; None if it exited by itself."""
        return self.completed.signal

    def __str__(self) -> str:
        command = _shortened(shlex.join(self.completed.argv))
        said = _last_words(self.completed.text)
        return f"`{command}` {self._fate()}" + (f"; it said last: {said}" if said else "")

    def _fate(self) -> str:
        if self.why is not None:
            return f"did not start: {self.why}"
        if self.signal is not None:
            names = {number.value: number.name for number in signal.Signals}
            return f"was killed by {names.get(self.signal, f'signal {self.signal}')}"
        return f"ended with status {self.status}"


def _last_words(text: str) -> str:
    """Returns the last lines as one, for receipts."""
    lines = [stripped for line in text.splitlines() if (stripped := line.strip())]
    words = " / ".join(lines[-_LAST_LINES:])
    return words if len(words) <= _WIDTH else f"...{words[-_WIDTH:]}"


def _shortened(command: str) -> str:
    line = " ".join(command.split())
    return line if len(line) <= _WIDTH // 3 else f"{line[: _WIDTH // 3]}..."
