# SPDX-License-Identifier: MIT
"""What INT, TERM and HUP do to a running loop: the first asks, the second kills.

The handlers stand while a block lasts.  They know the loop only as something
that can be asked to stop.
"""

from __future__ import annotations

import _thread
import contextlib
import os
import signal
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

__all__ = ["Killed", "Signals"]

#: Seconds that are waited until the loop knows, so that no iteration slips in.
_TOLD = 1.0
_HEARD = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Killed(BaseException):
    """A second signal came: the iteration ends now."""


class Signals:
    """Stands for the signals while the block lasts.

    Args:
        stop: asks the loop to stop after this iteration, in words.

    Attributes:
        first: the first signal that came, None if none did.
        over: whether there is nothing left to kill.
    """

    def __init__(self, stop: Callable[[str], object]) -> None:
        self.first: int | None = None
        self.over = False
        self._stop = stop
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in _HEARD:
            # Whoever started us with it ignored, as nohup does, means it.
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        del frame
        name = signal.Signals(number).name
        if self.over:
            return
        if self.first is not None:
            raise Killed(f"{name} came after {signal.Signals(self.first).name}")
        self.first = number
        self._ask(f"{name} came")
        said = f"haltable: {name}: finishing this iteration; the next one kills it\n"
        with contextlib.suppress(OSError):  # After a HUP, the terminal may be gone.
            os.write(2, said.encode())

    def _ask(self, why: str) -> None:
        told = _thread.allocate_lock()
        told.acquire()

        def ask() -> None:
            try:
                self._stop(why)
            finally:
                told.release()

        # Elsewhere, for this thread may have been interrupted with a lock held that
        # it takes; then this wait is in vain, and the loop told right after it.
        _thread.start_new_thread(ask, ())
        told.acquire(timeout=_TOLD)
