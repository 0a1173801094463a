# SPDX-License-Identifier: MIT
"""A gate that processes pass together: a file that is locked until all stand before it."""

from __future__ import annotations

import contextlib
import fcntl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import attrs

from tests.faults.tally import Tally

__all__ = ["Gate"]

_LIMIT = 30.0


@attrs.frozen
class Gate:
    """A gate for so many processes, by the path of its file."""

    path: Path
    parties: int

    @contextlib.contextmanager
    def closed(self) -> Iterator[None]:
        """Keeps the gate closed while processes are started, then opens it for all at once.

        Raises:
            TimeoutError: if one of them did not come.
        """
        with self.path.open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
            limit, pause = time.monotonic() + _LIMIT, threading.Event()
            while self._waiting.count("here") < self.parties:
                if time.monotonic() > limit:
                    raise TimeoutError(f"not all {self.parties} came to the gate")
                pause.wait(0.005)

    def wait(self) -> None:
        """Waits in a process of its own until the gate opens."""
        self._waiting.mark("here")
        with self.path.open("a") as file:
            fcntl.flock(file, fcntl.LOCK_SH)

    @property
    def _waiting(self) -> Tally:
        return Tally(self.path.with_suffix(".waiting"))
