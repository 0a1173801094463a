# SPDX-License-Identifier: MIT
"""What whoever watches a running body knows: since when it runs, and what came of it.

It decides by asking the kernel, under one lock with the driver: while that is
at work between two bodies, nobody watches.  Who calls it and when, and what is
written, it does not know.

The theory.  Between the driver and a body control goes to and fro; `opened` and
`shut` say where it is.  A glance only counts while the body has it:

    shut --opened--> open --glance, no verdict--> open
                     open --glance, a verdict--> condemned --(told, struck)*
    open or condemned --shut--> shut

A verdict that has fallen stays; then the body is interrupted again and again,
once a grace, until it lets go of the control.

Questions take time.  Only one inquiry is under way at once; its answers are
heard for the moment at which it began, by whoever has control when they come:

    (none) --inquire--> asking --open, same turn--> heard by the breakers
                        asking --shut--> the driver waits, and hears them as its own
                        asking --shut, a grace--> given up: what comes is dropped
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterable
from typing import Any

from haltable._inquiry import Inquiry
from haltable._strike import Striker
from haltable.plan import Asked
from haltable.probe import Answer

__all__ = ["Oversight"]


class Oversight:
    """One run as those see it who watch its body.

    Args:
        run: the run, which is not kept alive.
    """

    __slots__ = (
        "_gate",
        "_helpers",
        "_helping",
        "_is_open",
        "_is_over",
        "_leaving",
        "_pid",
        "_run",
        "_seen",
        "_struck",
        "_turns",
        "attend",
        "demanded",
        "inquiry",
        "is_stored",
        "is_told",
        "over",
        "pronouncing",
        "ruled",
        "since",
        "striker",
    )

    def __init__(self, run: Any) -> None:
        self._run = weakref.ref(run)
        #: Called when the run has ended.
        self.over: Callable[[], None] | None = None
        #: Begins the looks at a body that nobody has looked at yet; returns what ends them.
        self.attend: Callable[[], Callable[[], None]] | None = None
        self._gate = threading.Lock()
        self._pid = os.getpid()
        #: Whether the body has control.
        self._is_open = self._is_over = False
        #: How often the driver took it back.
        self._turns = 0
        #: The start that was open at the newest glance, and when it was first seen.
        self._seen, self.since = 0, 0.0
        #: When the verdict fell; None before.
        self.ruled: float | None = None
        #: When the body was interrupted last.
        self._struck: float | None = None
        #: The questions that are being asked, or whose answers nobody has heard yet.
        self.inquiry: Inquiry | None = None
        #: Whether an operator wants the body interrupted.
        self.demanded = False
        #: How far the verdict is: somebody writes it just now, it is written, it is told.
        self.pronouncing = self.is_stored = self.is_told = False
        self.striker: Striker | None = None
        #: The same, until it has put everything back.
        self._leaving: Striker | None = None
        self._helping = threading.Lock()
        self._helpers: list[threading.Thread] = []

    # The driver's side --------------------------------------------------------------

    def opened(self) -> None:
        """Notes that the body gets control."""
        self._is_open = True

    def shut(self) -> None:
        """Notes that the driver has control; waits for a glance that is under way."""
        self._mend()
        with self._gate:
            self._is_open = False
            self._turns += 1

    def collect(self) -> Inquiry | None:
        """Returns the questions under way that have been answered; the driver gives up others."""
        with self._gate:
            inquiry = self.inquiry
            if inquiry is None or inquiry.is_over:
                self.inquiry = None
                return inquiry
            inquiry.is_given_up = True
            return None

    def arm(self, *, exactly: bool = False) -> None:
        """Lets the body of this very thread be interrupted.

        Args:
            exactly: only where it can be done without fail between two frames,
                for a body that no driver of ours is around: in the main thread.
        """
        run = self._run()
        if run is None or self.striker is not None:
            return
        striker = Striker(
            run.refusal, lambda: self._is_open and self.striker is not None, run.standby
        )
        if striker.is_exact or not exactly:
            # Known before it changes anything: a Ctrl-C may come at any moment.
            self.striker = self._leaving = striker
            striker.begin()

    def disarm(self) -> None:
        """Undoes `arm`; if it is interrupted itself, by the next call."""
        self._mend()
        with self._gate:
            self.striker = None
        if self._leaving is not None:
            self._leaving.end()
            self._leaving = None

    def end(self) -> None:
        """Ends the watching, for the run has ended; all of it if it is called twice."""
        self.shut()
        self.disarm()
        if self.over is not None:
            self.over()
            self.over = None
        with self._helping:
            self._is_over = True
        # Whoever hangs in a question was waited for already.
        hangs = self.inquiry is not None and self.inquiry.is_given_up
        for helper in self._helpers:
            if helper is not threading.current_thread():
                helper.join(0.0 if hangs else self._grace())

    def _mend(self) -> None:
        if self._pid != os.getpid():
            # A fork copied the locks in whatever state they were, and nobody who watches.
            self._gate, self._helping, self._pid = threading.Lock(), threading.Lock(), os.getpid()
            self.inquiry = None

    # The watcher's side -------------------------------------------------------------

    def aside(self, act: Callable[[], None]) -> None:
        """Does something in a thread of its own, so that no other run waits for it."""
        helper = threading.Thread(target=act, name="haltable-watcher-aside", daemon=True)
        with self._helping:
            # Whoever ends the run waits for those that stand in the list.
            if not self._is_over:
                helper.start()
                self._helpers = [*(each for each in self._helpers if each.is_alive()), helper]

    def weigh(self, now: float) -> bool:
        """Asks the breakers of the running body; says whether it is to be interrupted."""
        # The driver never waits long, and where it is at work nothing is to be weighed.
        if not self._gate.acquire(blocking=False):
            return False
        try:
            return self._weigh(now)
        finally:
            self._gate.release()

    def inquire(self, now: float) -> Inquiry | None:
        """Begins to ask what is due, None if nothing is or if somebody still asks."""
        if not self._gate.acquire(blocking=False):
            return None
        try:
            run, last = self._watched(), self.inquiry
            if run is None or (last is not None and not last.is_over):
                return None
            due = run.kernel.due_meanwhile(now)
            self.inquiry = Inquiry(self._turns, now, due) if due else None
            return self.inquiry
        finally:
            self._gate.release()

    def conclude(self, inquiry: Inquiry) -> bool:
        """Has the answers weighed, or leaves them to the driver; says what `weigh` does."""
        # An answer is not lost because somebody else is just looking.
        with self._gate:
            inquiry.is_over = True
            if self.inquiry is inquiry:
                is_ours = self._watched() is not None and inquiry.turn == self._turns
                if is_ours or inquiry.is_given_up:
                    self.inquiry = None
                if is_ours:
                    return self._weigh(inquiry.now, inquiry.answers)
        if inquiry.waker is not None:
            inquiry.waker()
        return False

    def _watched(self) -> Any:
        """Returns the run if its body has control, None if not."""
        run = self._run()
        if run is None or not self._is_open or run.finished or run.kernel.outcome is not None:
            return None
        return run

    def _weigh(self, now: float, answers: Iterable[tuple[Asked, Answer]] = ()) -> bool:
        run = self._watched()
        if run is None:
            return False
        kernel = run.kernel
        if self._seen != kernel.starts:
            self._seen, self.since = kernel.starts, now
        if kernel.ruling is None:
            ruling = kernel.oversee(kernel.glimpse(now, since=self.since), answers)
            if ruling is not None:
                kernel.ruling, self.ruled = ruling, now
                kernel.interrupt_quiet()
        return self.ruled is not None or self.demanded

    def is_late(self, now: float, patience: float) -> bool:
        """Whether the body is to be interrupted even if the verdict is not told yet."""
        return self.is_told or self.ruled is None or now - self.ruled >= patience

    def demand(self, now: float) -> None:
        """Has the body interrupted, now and until it lets go."""
        self.demanded = True
        if self.attend is not None:
            self.over, self.attend = self.attend(), None
        if self.striker is None or not self.striker.is_here:
            self.strike(now)

    def strike(self, now: float) -> None:
        """Interrupts the body, if it has control and its mode allows it, once a grace at most."""
        run, striker = self._run(), self.striker
        early = self._struck is not None and now - self._struck < self._grace()
        if run is None or (early and (striker is None or not striker.missed)):
            return
        if not self._gate.acquire(blocking=False):
            return
        try:
            if not self._is_open or run.finished:
                return
            if run.interrupter is not None:
                self._struck, run.interrupted_by_us = now, True
                run.interrupter()
            elif self.striker is not None:  # Looked up again: it may have been disarmed.
                self._struck = now
                self.striker.strike()
        finally:
            self._gate.release()

    def _grace(self) -> float:
        run = self._run()
        return 0.0 if run is None else run.settings.grace
