# SPDX-License-Identifier: MIT
"""A named pipe that children hold open, so that a test can see the last of them die.

No clock is asked: reading ends when the last process that has it open is gone.
"""

from __future__ import annotations

import os
import select
from pathlib import Path
from typing import Self


class Tether:
    """The test's end; a script ties itself, and all it starts, with `TIE`."""

    #: The first line of a script: from then on its whole family holds the tether.
    TIE = 'exec 9>"$TETHER"; echo tied >&9; '

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        #: With the number of the test's process, for scripts to signal it.
        self.environment = {**os.environ, "TETHER": str(path), "HOST": str(os.getpid())}
        self.descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        os.close(self.descriptor)

    def hear(self) -> bytes:
        """Waits for a line that somebody writes."""
        poller = select.poll()  # Before the first writer has come, reading would not wait.
        poller.register(self.descriptor, select.POLLIN)
        poller.poll()
        return os.read(self.descriptor, 100)

    def hear_all(self) -> bytes:
        """Waits until nobody holds it any more; returns what was written."""
        os.set_blocking(self.descriptor, True)
        heard = b""
        while more := os.read(self.descriptor, 100):
            heard += more
        return heard
