# SPDX-License-Identifier: MIT
"""The command as a real process: started, spoken to, and waited for.

It knows words and codes, and nothing of what happens in between.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import attrs

HALTABLE = (sys.executable, "-m", "haltable")
#: Seconds after which a test has found a hang.
PATIENCE = 60


@attrs.frozen
class Ended:
    """How a process ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def sentence(self) -> str:
        """What it said of itself, which is one line."""
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("haltable: "), self.err
        return lines[0]


@attrs.frozen
class Shell:
    """Starts the command in a directory, with a state directory of its own."""

    directory: str

    @property
    def path(self):
        """The directory."""
        return Path(self.directory)

    def environment(self):
        """Returns what it finds around it."""
        return {**os.environ, "XDG_STATE_HOME": f"{self.directory}/state"}

    def start(self, *words, **how):
        """Starts it, its streams held by pipes; it hears every signal."""
        return subprocess.Popen(
            [*HALTABLE, *map(str, words)],
            cwd=self.directory,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **how},
        )

    def __call__(self, *words):
        """Runs it and returns how it ended."""
        return self.end(self.start(*words))

    def end(self, process):
        """Waits for a process's end."""
        with process:
            try:
                out, err = process.communicate(timeout=PATIENCE)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGABRT)
                raise
        return Ended(process.returncode, out.decode(errors="replace"), err.decode())
