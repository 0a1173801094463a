# SPDX-License-Identifier: MIT
"""How a task waits for descriptors, on asyncio and on trio: the twin of ``_waits_sync``.

It knows descriptors and seconds, and not what is read.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractContextManager

import anyio
import anyio.lowlevel

__all__ = ["breathe", "ready", "sheltered"]


async def ready(
    readers: Iterable[int], seconds: float = math.inf, *, writers: Iterable[int] = ()
) -> None:
    """Waits so long at most, or shorter, until one can be read from or written into."""
    try:
        with anyio.move_on_after(max(0.0, seconds)):
            async with anyio.create_task_group() as tasks:
                for reader in readers:
                    tasks.start_soon(_wait, anyio.wait_readable, reader, tasks.cancel_scope)
                for writer in writers:
                    tasks.start_soon(_wait, anyio.wait_writable, writer, tasks.cancel_scope)
    except BaseExceptionGroup as group:
        # A Ctrl-C that trio delivers in a task comes out as it went in.
        raise group.exceptions[0] from None


async def _wait(
    wait: Callable[[int], Awaitable[None]], descriptor: int, others: anyio.CancelScope
) -> None:
    await wait(descriptor)
    others.cancel()


async def breathe() -> None:
    """Lets other tasks have the event loop."""
    await anyio.lowlevel.checkpoint()


def sheltered() -> AbstractContextManager[object]:
    """Returns the shelter in which a child is ended, whoever cancels."""
    return anyio.CancelScope(shield=True)
