# SPDX-License-Identifier: MIT
"""A run whose bodies are watched: who has control, and what is told of a verdict in mid-body.

It knows that somebody may be watching, and not who or how; it decides nothing.
"""

from __future__ import annotations

import math

from haltable._nesting import Nesting
from haltable._oversight import Oversight
from haltable._watch import INTERVAL
from haltable.events import VerdictFell
from haltable.model import Outcome
from haltable.plan import Asked

__all__ = ["Watched"]


class Watched(Nesting):
    """A run as those see it who watch its bodies."""

    @property
    def patience(self) -> float:
        """Seconds between two looks at a running body."""
        return min(self.kernel.plan.patience, INTERVAL)

    @property
    def is_watched(self) -> bool:
        """Whether anybody may want to interrupt a body: a breaker, or a key's operator."""
        return self.key is not None or self.kernel.plan.patience < math.inf

    @property
    def has_watchers(self) -> bool:
        """Whether a breaker has something to say or to ask while a body runs."""
        plan = self.kernel.plan
        return plan.patience < math.inf or bool(plan.meanwhile)

    def overseen(self) -> Oversight:
        """Returns what is known of the running body of a run that is watched."""
        if self.oversight is None:
            raise AssertionError("only a run that is watched has an oversight")
        return self.oversight

    def opened(self) -> None:
        """Notes that the body gets control."""
        if self.oversight is not None:
            self.oversight.opened()

    def shut(self) -> None:
        """Notes that the driver has control."""
        if self.oversight is not None:
            self.oversight.shut()

    def is_asking(self) -> bool:
        """Whether questions were being asked when the body ended by itself."""
        oversight, outcome = self.oversight, self.kernel.outcome
        if oversight is None or oversight.inquiry is None or oversight.inquiry.is_given_up:
            return False
        return outcome is not Outcome.KILLED and outcome is not Outcome.INTERRUPTED

    def take_answers(self) -> None:
        """Hears what was asked while the body ran, for the moment at which that began."""
        oversight, kernel = self.overseen(), self.kernel
        inquiry = oversight.collect()
        if inquiry is not None:
            glimpse = kernel.glimpse(inquiry.now, since=oversight.since)
            kernel.overhear(glimpse, inquiry.answers)

    def check_unasked(self, asked: Asked) -> None:
        """Raises `TimeoutError` if a question is still being asked since the body ran."""
        inquiry = None if self.oversight is None else self.oversight.inquiry
        if inquiry is not None and inquiry.awaits(asked):
            raise TimeoutError(f"no answer within the grace of {self.settings.grace:g} s")

    def note_overrun(self, moment: float) -> None:
        """Warns of a body that went on although a verdict had fallen."""
        ruled = None if self.oversight is None else self.oversight.ruled
        if ruled is not None and moment - ruled > self.settings.grace:
            self.kernel.warn("body", f"it went on for {moment - ruled:.1f} s after the verdict")

    def tell_verdict(self, *, durable: bool) -> None:
        """Tells of the verdict on the running body."""
        kernel, oversight = self.kernel, self.overseen()
        ruling = kernel.ruling
        if ruling is None or self.finished:
            return
        lasted = kernel.glimpse(self.now(), since=oversight.since).lasted or 0.0
        self.tell(VerdictFell(self.label, ruling, kernel.starts, lasted, durable))

    def stop_inner(self) -> None:
        """Ends the runs that were begun in the body, before that is struck."""
        ruling = self.kernel.ruling
        if ruling is not None:
            self.stop_children(ruling.reason)
