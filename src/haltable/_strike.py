# SPDX-License-Identifier: MIT
"""Interrupts a body from another thread: a signal for the main thread, an exception for others.

It knows threads and signals, and neither runs nor verdicts: what it raises and
whether it may is asked of its owner.

Three facts carry it.  A signal handler of Python's runs in the main thread and
cuts short what waits there (a sleep, a lock, a socket), so it is a real-time
signal that nobody else handles, sent to that very thread.  An exception that is
set in another thread is raised between two of its bytecodes: a call that waits
comes back first.  And a signal that finds its handler gone would end the
process, so a handler is only taken away when all that was sent has come.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

__all__ = ["Striker"]

#: Seconds that a signal gets to arrive before its handler is left where it is.
_ARRIVAL = 1.0
#: Code of ours into which no exception is raised: it is about to look by itself.
_DRIVERS = frozenset(
    f"haltable.{room}"
    for room in (
        "_bounded_generators",
        "_claim_sync",
        "_context",
        "_drive_sync",
        "_handle",
        "_oversight",
        "_over",
        "_state",
        "_watched",
        "counting",
        "hearing",
        "iteration",
        "kernel",
        "run",
    )
)


class Striker:
    """Raises an exception in the thread that made it, as long as that allows it.

    Args:
        exception: returns what is raised.
        allowed: whether the body has control; asked in its own thread.
    """

    __slots__ = ("_allowed", "_came", "_exception", "_number", "_pending", "_sent", "_thread")

    def __init__(self, exception: Callable[[], BaseException], allowed: Callable[[], bool]) -> None:
        self._exception = exception
        self._allowed = allowed
        self._thread = threading.get_ident()
        self._sent = self._came = 0
        self._pending = False
        self._number = _free_signal()
        if self._number is not None:
            signal.signal(self._number, self._receive)

    @property
    def is_exact(self) -> bool:
        """Whether it never raises in code of ours that is about to look by itself."""
        return self._number is not None

    @property
    def is_here(self) -> bool:
        """Whether this is the very thread whose body it interrupts."""
        return self._thread == threading.get_ident()

    def strike(self) -> None:
        """Interrupts the body while it has control."""
        if self._number is not None:
            self._sent += 1
            signal.pthread_kill(self._thread, self._number)
        else:
            self._pending = _set_exception(self._thread, _raising(self._exception))

    def calm(self) -> None:
        """Takes back what has not been raised yet; in the body's thread, when it has no control."""
        if self._pending:
            self._pending = False
            _set_exception(self._thread, None)

    def end(self) -> None:
        """Puts everything back as it was; in the body's thread, when it has no control."""
        self.calm()
        number = self._number
        if number is None or threading.get_ident() != self._thread:
            return
        limit = time.monotonic() + _ARRIVAL
        while self._came < self._sent and time.monotonic() < limit:
            time.sleep(0)
        if self._came == self._sent:
            self._number = None
            signal.signal(number, signal.SIG_DFL)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        del number
        self._came += 1
        room = None if frame is None else frame.f_globals.get("__name__")
        if room not in _DRIVERS and self._allowed():
            raise self._exception()


def _free_signal() -> int | None:
    """Returns a real-time signal that nobody handles; None where this thread can handle none."""
    highest: Any = getattr(signal, "SIGRTMAX", None)
    lowest: Any = getattr(signal, "SIGRTMIN", None)
    if highest is None or threading.current_thread() is not threading.main_thread():
        return None
    for number in range(highest, lowest, -1):
        if signal.getsignal(number) is signal.SIG_DFL:
            return number
    return None


def _raising(exception: Callable[[], BaseException]) -> type[BaseException]:
    """Returns a class whose instances, made without arguments, are such exceptions."""
    # A thread can be given a class only, and the interpreter makes the instance.
    model = exception()

    class Interrupt(BaseException):
        """Makes the one that is meant."""

        def __new__(cls, *args: object) -> Any:
            del args
            return model

    return Interrupt


def _set_exception(thread: int, kind: type[BaseException] | None) -> bool:
    """Has a thread raise an exception, or with None not raise it; says whether it will."""
    if sys.implementation.name != "cpython":
        return False
    import ctypes  # The light door: hardly any loop ever comes here.

    what = ctypes.py_object(kind) if kind is not None else None
    found: int = ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), what)
    return found == 1
