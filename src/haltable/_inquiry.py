# SPDX-License-Identifier: MIT
"""Questions that are put to the world while a body runs, and what has come back so far.

One thread or task asks; the driver may wait for it, or give it up.  Who hears
the answers is decided above.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from haltable.plan import Asked
from haltable.probe import Answer

__all__ = ["Inquiry"]


@attrs.define(eq=False)
class Inquiry:
    """Some questions, asked one after another beside the body.

    Args:
        turn: the one in which they are asked.
        now: the moment for which their answers stand.
        due: the questions.
    """

    turn: int
    now: float
    due: tuple[Asked, ...]
    #: Those that came back, in the order of the questions.
    answers: tuple[tuple[Asked, Answer], ...] = ()
    #: Whether nobody is asking any more.
    is_over: bool = False
    #: Whether the driver has waited in vain, so that what comes is too late.
    is_given_up: bool = False
    #: Wakes the driver that waits for it.
    waker: Callable[[], None] | None = None

    def note(self, asked: Asked, answer: Answer) -> None:
        """Takes an answer."""
        self.answers = (*self.answers, (asked, answer))

    def awaits(self, asked: Asked) -> bool:
        """Whether somebody is asking this question, or is about to."""
        return not self.is_over and asked in self.due[len(self.answers) :]
