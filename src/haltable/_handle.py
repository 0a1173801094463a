# SPDX-License-Identifier: MIT
"""What the sync and the async verbs of a run have in common.

Being used once, giving control to a body and taking it back, and turning the
run's own interrupts into what a caller may catch.
"""

from __future__ import annotations

import threading
from typing import Any, cast

from haltable._context import here
from haltable._state import RunState
from haltable.errors import ConfigurationError, HaltableError, LoopInterrupt
from haltable.model import Status
from haltable.report import Report, halted

__all__ = ["Handle", "LeftEarly", "split_interrupt"]


class LeftEarly(HaltableError):
    """The ``for`` of a keyed loop was left with an iteration open."""


class Handle(RunState):
    """A run as its verbs see it."""

    _used: str = ""
    _calls: threading.RLock | None = None

    def use(self, way: str) -> None:
        """Notes how the run is used.

        Raises:
            ConfigurationError: if it was used before; only a block may hold a
                ``for``.
        """
        if self._used and not (self.entered and way == "for" and not self.begun):
            raise ConfigurationError(
                f"this run was used already (by {self._used}); take a new one: loop.start()"
            )
        self._used = way

    def give_control(self) -> None:
        """Makes this the current run while the body has control."""
        self.previous = here.get()
        here.set(self)

    def take_control(self) -> None:
        """Undoes `give_control`, unless another context is asked."""
        if here.get() is self:
            here.set(self.previous)
        self.previous = None

    def begin_generator(self) -> None:
        """Notes that a decorated generator drives the run."""
        self.use("a generator")
        self.kernel.interrupt_quiet()

    def unwrap(self) -> Any:
        """Returns the result; raises what the report says otherwise."""
        ruling = self.kernel.ruling
        if ruling is not None and ruling.status is Status.SUCCEEDED and self.stored_result is None:
            return self.kernel.result
        return self.report.unwrap()

    def check_open(self) -> None:
        """Raises if the run has ended; the verdict is sticky."""
        if self.kernel.ruling is not None or self.finished:
            raise self.refusal()

    def check_call(self) -> None:
        """Raises if the run has ended, or another wrapped call is open in this very thread."""
        self.check_open()
        if self.ran and self.kernel.outcome is None and self.step is None:
            raise ConfigurationError(
                f"iteration {self.kernel.run_number} of this run is still open: a wrapped tool "
                "called another, or tick() and wrap() are mixed"
            )

    def one_at_a_time(self) -> threading.RLock:
        """Returns the lock under which wrapped calls of several threads wait for one another."""
        if self._calls is None:
            self._calls = threading.RLock()
        return self._calls

    def note_left(self) -> None:
        """Says how the open iteration ended when its ``for`` was left."""
        kernel = self.kernel
        if not self.ran or kernel.outcome is not None:
            return
        if kernel.claim is not None:
            kernel.returned(None)
        elif self.key is None:
            kernel.interrupted()
        else:
            kernel.failed(
                LeftEarly(
                    "the `for` was left without `with iteration:`, done() or give_up(); "
                    "`break` and an exception look the same from here"
                )
            )

    def end_of_block(self, *, ours: bool, rest: BaseException | None) -> None:
        """Raises what leaves a block around somebody else's loop instead of our interrupt."""
        if rest is not None and not (ours and isinstance(rest, Exception)):
            return  # Somebody else's exception passes; the report is at `report` and the sinks.
        report: Report[Any] = self.report
        if ours or (report.status.terminal and not report.ok):
            raise halted(report)


def split_interrupt(
    run: RunState, error: BaseException | None
) -> tuple[bool, BaseException | None]:
    """Takes a run's own interrupts out of what left its block, also out of groups.

    Returns:
        Whether there was one, and what is left.
    """
    if isinstance(error, LoopInterrupt) and error.run is run:
        return True, None
    if isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        own, rest = group.split(lambda e: isinstance(e, LoopInterrupt) and e.run is run)
        return own is not None, rest
    return False, error
