# SPDX-License-Identifier: MIT
"""A run among others: stopped from outside, begun inside another, the parent of more.

An outer run's stop and deadline reach the runs that were begun in its body.  It
decides nothing: how a run ends at its next turn is for the kernel to weigh.
"""

from __future__ import annotations

from haltable._reporting import Reporting
from haltable.errors import in_words
from haltable.model import Ruling, Status
from haltable.records import LoopRecord

__all__ = ["Nesting"]


class Nesting(Reporting):
    """A run as the one around it, and whoever stops it, know it."""

    children: list[Nesting] | None = None
    #: The run whose body this one was made in, until it begins.
    around: Nesting | None = None

    def ask_to_stop(self, ruling: Ruling, *, interrupting: bool = False) -> None:
        """Ends the run at its next turn, and wakes it if it waits; from any thread.

        Args:
            ruling: how it ends.
            interrupting: whether the body that is running shall not be waited
                for, where the mode can interrupt it.
        """
        kernel = self.kernel
        if kernel.stop is None:
            kernel.stop = ruling
        kernel.interrupt_quiet()
        waker = self.waker
        if waker is not None:
            waker()
        interrupter = self.interrupter
        if interrupting and interrupter is not None:
            self.interrupted_by_us = True
            interrupter()
        elif interrupting and self.oversight is not None:
            self.oversight.demand(self.now())
        self.stop_children(ruling.reason)

    def stop_children(self, why: str) -> None:
        """Asks the runs that were begun in this one's body to stop."""
        # Copied, since children end in threads of their own.
        for child in tuple(self.children or ()):
            child.ask_to_stop(child.stopped("outer", f"the run around it ended: {why}"))

    def stopped(self, who: str, reason: str) -> Ruling:
        """Returns the ruling of a stop by the host, which leaves a key open for the next run."""
        status = Status.STOPPED if self.key is None else Status.OPEN
        return Ruling(status, who, reason)

    def end_of_time(self, record: LoopRecord) -> float:
        """Returns the moment by which this run, or one around it, is out of time."""
        end = self.now() - record.elapsed + self.settings.plan.time_limit
        return min(end, self.kernel.outer_end)

    def rule_on_block(self, error: BaseException | None) -> None:
        """Says how a block around somebody else's loop ended, if no verdict did."""
        kernel = self.kernel
        if kernel.ruling is not None:
            return
        if error is not None:
            kernel.ruling = Ruling(Status.OPEN, "run", f"left by {in_words(error)}")
        elif kernel.plan.judges_success:
            reason = "the block ended, and the success condition does not hold"
            kernel.ruling = Ruling(Status.OPEN, "run", reason)
        else:
            kernel.ruling = Ruling(Status.SUCCEEDED, "run", "the block ended")

    def blame_store(self, error: BaseException) -> None:
        """Ends the run, not the key: the store failed."""
        self.fault = error
        self.kernel.ruling = Ruling(Status.OPEN, "store", in_words(error))

    def _leave_outer(self) -> None:
        outer, self.outer = self.outer, None
        if isinstance(outer, Nesting) and outer.children and self in outer.children:
            outer.children.remove(self)

    def nest(self) -> None:
        """Makes a run that begins inside another the child of that one.

        Only now, for a run that is never used must not be kept by the outer one.
        """
        outer, self.around = self.around, None
        if outer is None or outer.finished:
            return
        self.outer = outer
        # Several threads may begin children at once: whichever list is first stays.
        children: list[Nesting] = outer.__dict__.setdefault("children", [])
        children.append(self)
        kernel, around, now = self.kernel, outer.kernel, self.now()
        if outer.clock is self.clock:
            left = around.origin + around.plan.time_limit - now
            kernel.outer_end = min(kernel.outer_end, now + min(left, around.outer_end - now))
        if around.stop is not None or around.ruling is not None:
            self.ask_to_stop(self.stopped("outer", "the run around it has ended"))
