# SPDX-License-Identifier: MIT
"""How a task waits for descriptors, on asyncio and on trio: the twin of ``_waits_sync``.

It knows descriptors and seconds, and not what is read.
"""

from __future__ import annotations

import math
import selectors
from collections.abc import Iterable
from contextlib import AbstractContextManager

import anyio
import anyio.lowlevel

__all__ = ["breathe", "ready", "sheltered"]


async def ready(
    readers: Iterable[int], seconds: float = math.inf, *, writers: Iterable[int] = ()
) -> None:
    """Waits so long at most, or shorter, until one can be read from or written into."""
    with selectors.DefaultSelector() as selector:
        events = dict.fromkeys(readers, selectors.EVENT_READ)
        for writer in writers:
            events[writer] = events.get(writer, 0) | selectors.EVENT_WRITE
        for descriptor, event in events.items():
            selector.register(descriptor, event)
        # One descriptor for all: with a task for each, a Ctrl-C on trio might come
        # between a task and the coroutine that is made for it.
        with anyio.move_on_after(max(0.0, seconds)):
            await anyio.wait_readable(selector.fileno())


async def breathe() -> None:
    """Lets other tasks have the event loop."""
    await anyio.lowlevel.checkpoint()


def sheltered() -> AbstractContextManager[object]:
    """Returns the shelter in which a child is ended, whoever cancels."""
    return anyio.CancelScope(shield=True)
