# SPDX-License-Identifier: MIT
"""How a thread waits for descriptors: the twin of ``_waits_async``.

It knows descriptors and seconds, and not what is read.
"""

from __future__ import annotations

import math
import select
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext

__all__ = ["breathe", "ready", "sheltered"]

#: Seconds within which an exception that another thread sets in this one is raised.
_TICK = 0.04


def ready(
    readers: Iterable[int], seconds: float = math.inf, *, writers: Iterable[int] = ()
) -> None:
    """Waits so long at most, or shorter, until one can be read from or written into."""
    poller = select.poll()  # Unlike `select.select` it takes any descriptor.
    wanted = dict.fromkeys(readers, select.POLLIN)
    for descriptor in writers:
        wanted[descriptor] = wanted.get(descriptor, 0) | select.POLLOUT
    for descriptor, events in wanted.items():
        poller.register(descriptor, events)
    poller.poll(max(0.0, min(seconds, _TICK)) * 1000)


def breathe() -> None:
    """Lets others have the thread, which the system does by itself."""


def sheltered() -> AbstractContextManager[object]:
    """Returns the shelter in which a child is ended; a thread has none."""
    return nullcontext()
