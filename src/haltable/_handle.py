# SPDX-License-Identifier: MIT
"""What the sync and the async verbs of a run have in common.

Being used once, giving control to a body and taking it back, and turning the
run's own interrupts into what a caller may catch.
"""

from __future__ import annotations

import threading
from typing import Any

from haltable._call import Call
from haltable._context import here
from haltable._state import RunState
from haltable.errors import ConfigurationError, HaltableError, LoopInterrupt, split_interrupt
from haltable.iteration import Iteration
from haltable.model import Status
from haltable.report import LoopHalted, Report, halted
from haltable.store import files_of

__all__ = ["Handle", "LeftEarly"]

#: The ways in which somebody else's loop is counted.
_COUNTING = ("with", "async with", "tick()", "wrap()")
#: The ways that are given a body.
_BODIES = ("run", "arun", "step", "astep")
# Looking a member up on its enum costs more than the comparison.
_SUCCEEDED = Status.SUCCEEDED


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
        effects = self.settings.effects
        if effects is not None and effects.key is not None and way not in _BODIES:
            raise ConfigurationError(
                f"IdempotencyGuard(key=...) guards whole bodies, and {way} has none; use run, "
                "arun, step or astep, or iteration.once for what the body does"
            )
        if not self._used:
            # Alive is what lies inside the run; its handle may be much older.
            self.kernel.origin = self.now()
        self._used = way

    def guarded(self, call: Call) -> Call:
        """Returns the body as the effect that the loop's guard takes it for, if it does."""
        call = call.kept_from(self._files)
        effects = self.settings.effects
        name = None if effects is None else effects.key
        if name is None:
            return call
        body, given = call.body, call.takes

        def guarded(iteration: Iteration) -> Any:
            return iteration.once(name(iteration), body, *((iteration,) if given else ()))

        return Call(guarded, takes=True, close=call.close)

    def guarded_async(self, call: Call) -> Call:
        """Returns an async body likewise."""
        call = call.kept_from(self._files)
        effects = self.settings.effects
        name = None if effects is None else effects.key
        if name is None:
            return call
        body, given = call.body, call.takes

        async def guarded(iteration: Iteration) -> Any:
            return await iteration.aonce(name(iteration), body, *((iteration,) if given else ()))

        return Call(guarded, takes=True, close=call.close)

    def _files(self) -> tuple[str, ...]:
        settings = self.settings
        stores = (settings.store, settings.async_store)
        own = () if settings.effects is None else settings.effects.files
        return (*files_of(*stores), *own)

    def give_control(self) -> None:
        """Makes this the current run while the body has control."""
        around = here.get()
        if around is not self:
            self.previous = around
            here.set(self)

    def take_control(self) -> None:
        """Undoes `give_control`, unless another context is asked."""
        inner = here.get()
        if inner is self:
            here.set(self.previous)
        # Two that take turns, as under `zip`, end in any order.
        while isinstance(inner, Handle):
            if inner.previous is self:
                inner.previous = self.previous
            inner = inner.previous
        self.previous = None

    def begin_generator(self) -> None:
        """Notes that a decorated generator drives the run."""
        self.use("a generator")
        self.generating = True
        self.kernel.interrupt_quiet()

    def unwrap(self) -> Any:
        """Returns the result; raises what the report says otherwise."""
        kernel = self.kernel
        ruling = kernel.ruling
        if ruling is not None and ruling.status is _SUCCEEDED and self.stored_result is None:
            return kernel.result
        report = self.report
        if not report.ok:
            raise halted(report)  # Here, so that one frame less stands in the traceback.
        return report.unwrap()

    def refuse_call(self) -> LoopInterrupt | LoopHalted:
        """Returns what a call that counts raises once the run has ended.

        An interrupt inside a block or body of ours, which turns it into a
        `LoopHalted`; that one itself elsewhere.
        """
        driven = self._used not in _COUNTING and not self.finished
        return self.refusal() if self.entered or driven else halted(self.report)

    def count(self, way: str) -> None:
        """Notes that a call counts somebody else's loop.

        Raises:
            LoopInterrupt: if the run has ended; the verdict is sticky.
            LoopHalted: the same, where there is no block.
            ConfigurationError: if the run drives a loop of its own.
        """
        if not self._used:
            self.use(way)
        # One on which a verdict fell in mid-body has yet to end, and nobody else would end it.
        ending = self.ran and not self.entered and self._used in _COUNTING
        if self.finished or (self.kernel.ruling is not None and not ending):
            raise self.refuse_call()
        if self._used not in _COUNTING:
            raise ConfigurationError(
                f"{way}: it counts a loop that somebody else drives, and this run has a loop of "
                f"its own ({self._used}); take another: loop.start()"
            )

    def check_call(self) -> None:
        """Raises if the run has ended, or another wrapped call is open in this very thread."""
        self.count("wrap()")
        if self.ran and self.kernel.outcome is None and self.step is None:
            raise ConfigurationError(
                f"iteration {self.kernel.run_number} of this run is still open: a wrapped tool "
                "called another, or tick() and wrap() are mixed"
            )

    def one_at_a_time(self) -> threading.RLock:
        """Returns the lock under which wrapped calls of several threads wait for one another."""
        calls = self._calls
        if calls is None:
            # Whichever thread is first, all get the same.
            calls = vars(self).setdefault("_calls", threading.RLock())
        return calls

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

    def end_of_body(self, error: BaseException | None) -> tuple[bool, BaseException | None]:
        """Takes our interrupt out of what left a block; what it interrupted was no success."""
        ours, rest = split_interrupt(error, self.verbs)
        if ours and self.ran and self.kernel.outcome is None:
            self.kernel.killed(rest if isinstance(rest, Exception) else None)
        return ours, rest

    def end_of_block(self, *, ours: bool, rest: BaseException | None) -> bool:
        """Raises what leaves a block around somebody else's loop instead of our interrupt.

        Returns:
            Whether nothing leaves it: the interrupt came after a success.
        """
        if rest is not None and not ours:
            return False  # It passes; the report is at `report` and the sinks.
        report: Report[Any] = self.report
        if rest is not None and (report.ok or not isinstance(rest, Exception)):
            raise rest from rest.__cause__
        if not report.ok and (ours or report.status.terminal):
            refusal = halted(report)
            raise refusal from rest or refusal.__cause__
        return ours
