# SPDX-License-Identifier: MIT
"""A switch for tests of decorated code: no loop in its context waits.

It puts a clock into the context and takes it out again; it knows no loop.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager

from haltable._context import Ambient, here
from haltable.errors import ConfigurationError
from haltable.testing.fake_clock import FakeClock

__all__ = ["instant"]


class _HurriedClock(FakeClock):
    """The machine's clock, put forward by each wait."""

    __slots__ = ()

    # Time must pass in bodies too: a loop that only a deadline bounds, and that
    # does not wait, would never end otherwise.
    def now(self) -> float:
        """Returns the machine's seconds and the waits so far."""
        return time.monotonic() + super().now()


@contextmanager
def instant() -> Generator[FakeClock]:
    """Takes the waits out of every loop that is begun inside.

    A pause moves the loop's time on and takes none: back-offs, deadlines and
    stall windows count it as if it had passed.  It holds in this context only
    (this thread or task, and tasks begun in it), may be nested, and leaves
    alone a loop that was given a clock of its own.

    Yields:
        The clock; its ``waits`` are what the loops would have waited.

    Raises:
        ConfigurationError: inside a body, which already has its loop's clock.

    Example:
        >>> from haltable import IterationCap, Loop
        >>> from haltable.testing import instant
        >>> with instant() as clock:
        ...     report = Loop(IterationCap(3), delay=3600).run(lambda: None)
        >>> report.starts, clock.waits
        (3, (3600.0, 3600.0))
    """
    around = here.get()
    if around is not None and around.open_iteration() is not None:
        raise ConfigurationError("instant(): put it around the loop, not into its body")
    clock = _HurriedClock()
    token = here.set(Ambient(clock))
    try:
        yield clock
    finally:
        here.reset(token)
