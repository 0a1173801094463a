# SPDX-License-Identifier: MIT
"""Which run has control here: the one context variable.

It holds the run whose body is executing in this context, or a stand-in that a
test put there to take the waits out of loops.  It knows nothing of what a run
does.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Protocol

import attrs

from haltable.clock import Clock
from haltable.errors import ConfigurationError
from haltable.iteration import Iteration

__all__ = ["Ambient", "Here", "current", "here"]


class Here(Protocol):
    """What stands in the variable: a run."""

    @property
    def ambient_clock(self) -> Clock | None:
        """The clock that loops begun here use if they were given none."""
        ...

    def open_iteration(self) -> Iteration | None:
        """Returns the iteration that has control, None between two."""
        ...


@attrs.frozen
class Ambient:
    """A stand-in for a run: it has a clock and no iteration."""

    ambient_clock: Clock | None

    def open_iteration(self) -> Iteration | None:
        """Returns None: nothing is running."""
        return None


here: ContextVar[Here | None] = ContextVar("haltable", default=None)


def current() -> Iteration:
    """Returns the iteration that this code is running in.

    For bodies that do not take ``iteration``, such as functions under
    `haltable.bounded_loop`.

    Returns:
        The open iteration of the innermost run of this context.

    Raises:
        ConfigurationError: if no iteration is open here.

    Example:
        >>> from haltable import IterationCap, Loop, current
        >>> report = Loop(IterationCap(3)).run(lambda: current().number)
        >>> report.result
        3
    """
    run = here.get()
    iteration = None if run is None else run.open_iteration()
    if iteration is None:
        raise ConfigurationError("current(): no iteration of a loop is open here")
    return iteration
