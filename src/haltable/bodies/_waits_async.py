# SPDX-License-Identifier: MIT
"""How a task waits for descriptors, on asyncio and on trio: the twin of ``_waits_sync``.

It knows descriptors and seconds, and not what is read.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from contextlib import AbstractContextManager

import anyio

__all__ = ["readable", "sheltered"]


async def readable(descriptors: Iterable[int], seconds: float = math.inf) -> None:
    """Waits so long at most, or shorter, for something to read on one of them."""
    try:
        with anyio.move_on_after(max(0.0, seconds)):
            async with anyio.create_task_group() as tasks:
                for descriptor in descriptors:
                    tasks.start_soon(_wait, descriptor, tasks.cancel_scope)
    except BaseExceptionGroup as group:
        # A Ctrl-C that trio delivers in a task comes out as it went in.
        raise group.exceptions[0] from None


async def _wait(descriptor: int, others: anyio.CancelScope) -> None:
    await anyio.wait_readable(descriptor)
    others.cancel()


def sheltered() -> AbstractContextManager[object]:
    """Returns the shelter in which a child is ended, whoever cancels."""
    return anyio.CancelScope(shield=True)
