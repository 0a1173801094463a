# SPDX-License-Identifier: MIT
"""How a thread waits for descriptors: the twin of ``_waits_async``.

It knows descriptors and seconds, and not what is read.
"""

from __future__ import annotations

import math
import select
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext

__all__ = ["readable", "sheltered"]

#: Seconds within which an exception that another thread sets in this one is raised.
_TICK = 0.04


def readable(descriptors: Iterable[int], seconds: float = math.inf) -> None:
    """Waits so long at most, or shorter, for something to read on one of them."""
    poller = select.poll()  # Unlike `select.select` it takes any descriptor.
    for descriptor in descriptors:
        poller.register(descriptor, select.POLLIN)
    poller.poll(max(0.0, min(seconds, _TICK)) * 1000)


def sheltered() -> AbstractContextManager[object]:
    """Returns the shelter in which a child is ended; a thread has none."""
    return nullcontext()
