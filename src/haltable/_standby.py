# SPDX-License-Identifier: MIT
"""A signal that nobody else handles, found for one run or held for many.

It knows signals and threads.  What a signal means, whoever receives it knows.
"""

from __future__ import annotations

import inspect
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

from haltable._seals import seals_around

__all__ = ["Standby", "free_signal", "is_handled_by"]

#: What ``signal`` asks itself; it then makes names of the answers, which takes ten times as long.
_plain: Any = sys.modules.get("_signal", signal)


class Standby:
    """Holds a signal's handler while many runs begin and end, one after the other, in one thread.

    To find a signal, set its handler and take it away again costs each as much
    as a write of its record.  A signal that comes between two runs means nothing.
    What a body has made of the signal is the host's from then on: no further run
    has it, and it is not taken back.
    """

    __slots__ = ("_held", "_thread", "number", "receiver", "sealed")

    def __init__(self) -> None:
        self._thread = threading.get_ident()
        #: The signal; None where this thread can receive none.
        self.number: int | None = None
        #: What is called when it comes, as long as a run's body may be struck.
        self.receiver: Callable[[int, FrameType | None], None] | None = None
        #: The seals around all of the runs.
        self.sealed = 0
        #: The one whose handler is still to be taken away.
        self._held: int | None = None

    def __enter__(self) -> Self:
        try:
            self._begin()
        except BaseException:
            # A Ctrl-C, which may come at any moment.
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.end()

    def end(self) -> None:
        """Gives the signal back; does nothing the second time.

        A block calls it itself.  Whoever must not lose the signal calls it once more,
        for a Ctrl-C may come in the very moment in which the end of a block begins.
        """
        try:
            self._end()
        except BaseException:
            self._end()
            raise

    @property
    def is_free(self) -> bool:
        """Whether the next run of this thread may have the signal."""
        number = self.number
        return (
            number is not None
            and self.receiver is None
            and self._thread == threading.get_ident()
            # The body of an earlier one may have changed both.
            and self.is_heard
            and number not in _plain.pthread_sigmask(signal.SIG_BLOCK, ())
        )

    @property
    def is_heard(self) -> bool:
        """Whether the signal still calls what was set here; in any thread."""
        return self._held is not None and is_handled_by(self._held, self._receive)

    def _begin(self) -> None:
        self.sealed = seals_around(inspect.currentframe())
        number = free_signal()
        if number is not None:
            # Known before it changes anything.
            self._held = number
            signal.signal(number, self._receive)
            self.number = number

    def _end(self) -> None:
        self.number = None
        # One that was sent and has not come would end the process without a handler.
        if self._held is not None and self.receiver is None:
            if self.is_heard:
                signal.signal(self._held, signal.SIG_DFL)
            self._held = None

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.receiver is not None:
            self.receiver(number, frame)


def is_handled_by(number: int, handler: object) -> bool:
    """Whether a signal still calls a handler that was set for it; in any thread."""
    return bool(_plain.getsignal(number) == handler)


def free_signal() -> int | None:
    """Returns a real-time signal that nobody handles; None where this thread can receive none."""
    highest: Any = getattr(signal, "SIGRTMAX", None)
    lowest: Any = getattr(signal, "SIGRTMIN", None)
    if highest is None or threading.current_thread() is not threading.main_thread():
        return None
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    for number in range(highest, lowest, -1):
        if number not in blocked and signal.getsignal(number) is signal.SIG_DFL:
            return number
    return None
