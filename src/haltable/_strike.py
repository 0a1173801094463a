# SPDX-License-Identifier: MIT
"""Interrupts a body from another thread: a signal for the main thread, an exception for others.

It knows threads and signals, and neither runs nor verdicts: what it raises and
whether it may is asked of its owner.

Four facts carry it.  A signal handler of Python's runs in the main thread and
cuts short what waits there (a sleep, a lock, a socket), so it is a real-time
signal that nobody else handles, sent to that very thread.  An exception that is
set in another thread is raised between two of its bytecodes: a call that waits
comes back first.  A signal that finds its handler gone would end the process,
so a handler is only taken away when all that was sent has come; and signals of
one number that come together call it once, so none is sent while one is under
way.  And inside the body other runs may begin and end, whose own work must not
be torn in two: whoever is struck in it is struck again a little later.
"""

from __future__ import annotations

import inspect
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from haltable._seals import seals, seals_around
from haltable._standby import Standby, free_signal, is_handled_by
from haltable.errors import LoopInterrupt

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
        "_over",
        "_state",
        "_watched",
        "counting",
        "hearing",
        "iteration",
        "kernel",
        "loop",
        "run",
    )
)
#: Code that would leave a lock of the whole process held for ever, and how many seconds it gets.
_BRITTLE = frozenset(
    (room, name)
    for room, names in {
        "coverage.collector": ("lock_data", "unlock_data"),
        "logging": ("_acquireLock", "_releaseLock", "acquire", "handle", "isEnabledFor", "release"),
    }.items()
    for name in names
)
_POLITE = 0.25
#: Seconds that a body gets to be left by a Ctrl-C or the like, which ours must not replace.
_LEAVING = 1.0
#: Seconds within which a thread that runs code of Python's raises what it was given.
_WINDOW = 0.005
#: Turns of a loop in which this thread certainly does.
_STEPS = 1000
#: Not every interpreter has it.
_FRAMES = "_current_frames"


class Striker:
    """Raises an exception in the thread that made it, as long as that allows it.

    Args:
        exception: returns what is raised.
        allowed: whether the body has control; asked in its own thread.
        standby: a signal that is held for the runs of this thread, if one is.
    """

    __slots__ = (
        "_allowed",
        "_came",
        "_exception",
        "_handled",
        "_handled_number",
        "_met_at",
        "_number",
        "_sealed",
        "_sent",
        "_standby",
        "_thread",
        "missed",
    )

    def __init__(
        self,
        exception: Callable[[], BaseException],
        allowed: Callable[[], bool],
        standby: Standby | None = None,
    ) -> None:
        self._exception = exception
        self._allowed = allowed
        self._thread = threading.get_ident()
        self._sent = self._came = 0
        #: What is being handled around this run, which says nothing of its body.
        self._handled = sys.exc_info()[1]
        #: When it was first asked for a moment.
        self._met_at: float | None = None
        #: Whether the newest strike came at a bad moment, so that another is called for.
        self.missed = False
        #: The seals around this run itself, which say nothing of what its body does.
        self._sealed: int
        self._number: int | None
        if standby is not None and standby.is_free:
            self._standby: Standby | None = standby
            self._sealed, self._number = standby.sealed, standby.number
        else:
            self._standby = None
            self._sealed = seals_around(inspect.currentframe())
            self._number = free_signal()
        #: The one whose handler is still to be taken away.
        self._handled_number: int | None = None

    def begin(self) -> None:
        """Gets ready to strike, for a body that has no control yet."""
        number = self._number
        if number is None:
            return
        self._handled_number = number
        if self._standby is not None:
            self._standby.receiver = self._receive
        else:
            signal.signal(number, self._receive)

    @property
    def is_exact(self) -> bool:
        """Whether it never raises in code of ours that is about to look by itself."""
        return self._number is not None

    @property
    def is_here(self) -> bool:
        """Whether this is the very thread whose body it interrupts."""
        return self._thread == threading.get_ident()

    def strike(self) -> None:
        """Interrupts the body, while it has control, from whatever thread."""
        self.missed = False
        if self._thread == threading.get_ident():
            if self._allowed():
                raise self._exception()
        elif self._number is None:
            frame = _frame_of(self._thread)
            if frame is None or self._is_at_work(frame):
                self.missed = True
            else:
                self.missed = not _raise_in(self._thread, self._exception())
        elif not self._is_heard(self._number):
            # The body has set another handler, or none: it would end the process.
            self.missed = True
        elif self._came == self._sent:
            self._sent += 1
            signal.pthread_kill(self._thread, self._number)

    def end(self) -> None:
        """Puts everything back as it was; in the body's thread, when it has no control.

        Where it is interrupted itself, it is to be called again.
        """
        number = self._handled_number
        if number is None or threading.get_ident() != self._thread:
            return
        limit = time.monotonic() + _ARRIVAL
        while self._came < self._sent and time.monotonic() < limit:
            time.sleep(0)
        if self._came == self._sent:
            self._number = None
            if self._standby is not None:
                self._standby.receiver = None
            elif self._is_heard(number):
                # What a body has made of it is the host's.
                signal.signal(number, signal.SIG_DFL)
            self._handled_number = None

    def _is_heard(self, number: int) -> bool:
        """Whether the signal still calls what was set for it."""
        if self._standby is not None:
            return self._standby.is_heard
        return is_handled_by(number, self._receive)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        del number
        self._came += 1
        if not self._allowed():
            return
        if frame is None or self._is_at_work(frame) or self._is_leaving():
            self.missed = True
        else:
            raise self._exception()

    def _is_at_work(self, frame: FrameType) -> bool:
        """Whether a frame belongs to a driver, be it of a run that was begun in the body."""
        room = frame.f_globals.get("__name__")
        if (room, frame.f_code.co_name) in _BRITTLE:
            return self._gives(_POLITE)
        return room in _DRIVERS or seals(frame) > self._sealed

    def _is_leaving(self) -> bool:
        """Whether something is on its way out of the body that nobody may swallow."""
        error = sys.exc_info()[1]
        if error is None or error is self._handled or isinstance(error, (Exception, LoopInterrupt)):
            return False
        return self._gives(_LEAVING)

    def _gives(self, seconds: float) -> bool:
        """Says whether it still waits, so many seconds after it was first asked for a moment."""
        now = time.monotonic()
        self._met_at = self._met_at or now
        return now - self._met_at < seconds


def _frame_of(thread: int) -> FrameType | None:
    """Returns what a thread is doing; None where the interpreter does not tell."""
    # It goes on from this very frame once it gets the interpreter back.
    look: Callable[[], dict[int, FrameType]] | None = getattr(sys, _FRAMES, None)
    return None if look is None else look().get(thread)


class _Calmed(BaseException):
    """Is raised where it is caught at once."""


def _raise_in(thread: int, exception: BaseException) -> bool:
    """Raises an exception in a thread that runs code of Python's; says whether that was seen.

    In one that waits in a call it would be raised when that returns.  But as
    long as it is not, every thread of the process looks for it at each step, and
    under a tracer CPython 3.11 does nothing else any more.  So it is taken back
    soon, and that look is ended by an exception that is raised and caught here.
    """
    if sys.implementation.name != "cpython":
        return False
    import ctypes  # The light door: hardly any loop ever comes here.

    seen: list[bool] = []

    class Interrupt(BaseException):
        """Makes the one that is meant; a thread can be given a class only."""

        def __new__(cls, *args: object) -> Any:
            del args
            seen.append(True)
            return exception

    put, sleep = ctypes.pythonapi.PyThreadState_SetAsyncExc, time.sleep
    there, here = ctypes.c_ulong(thread), ctypes.c_ulong(threading.get_ident())
    meant, calmed = ctypes.py_object(Interrupt), ctypes.py_object(_Calmed)
    # No function of Python's is called from here on: see above.
    try:
        put(there, meant)
        sleep(_WINDOW)
        if not seen:
            put(there, None)
            put(here, calmed)
            for _ in range(_STEPS):
                pass
    except _Calmed:
        pass
    return bool(seen)
