# SPDX-License-Identifier: MIT
"""The task that attends an asynchronous run with a key: the twin of the watcher thread.

It decides nothing: a look is the driver's, and so is what follows from it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress

import anyio

from haltable import _watch
from haltable._state import RunState

__all__ = ["Attendant", "run_watched"]


class Attendant:
    """A task that looks at a run's record once a second, as long as the run is attended."""

    __slots__ = ("_gone", "_group", "_look", "_run", "_scope")

    def __init__(self, run: RunState, look: Callable[[RunState], Awaitable[None]]) -> None:
        self._run = run
        self._look = look
        self._group = anyio.create_task_group()
        self._scope = anyio.CancelScope()
        self._gone = anyio.Event()

    async def begin(self) -> None:
        """Starts the task."""
        self._run.attended = True
        await self._group.__aenter__()
        self._group.start_soon(self._attend)

    async def end(self) -> None:
        """Ends the task; what ended the run is not for the group to see and wrap."""
        self._scope.cancel()
        try:
            # A group that waits in a cancelled scope raises that instead of what comes out.
            with anyio.CancelScope(shield=True):
                await self._gone.wait()
        finally:
            await self._leave()

    async def _leave(self) -> None:
        try:
            await self._group.__aexit__(None, None, None)
        except BaseExceptionGroup as group:
            # A Ctrl-C that trio delivers while the group waits comes out as it went in.
            raise group.exceptions[0] from None

    async def _attend(self) -> None:
        try:
            # Cancelled with its run it only ends: to say so is the run's business.
            with suppress(anyio.get_cancelled_exc_class()), self._scope:
                while True:
                    await anyio.sleep(_watch.INTERVAL)
                    await self._look(self._run)
        finally:
            self._gone.set()


async def run_watched(
    run: RunState,
    drive: Callable[[], Awaitable[object]],
    look: Callable[[RunState], Awaitable[None]],
) -> None:
    """Carries a run with a key while a task looks at its record.

    Args:
        run: the run; an operator's stop cancels what the drive awaits.
        drive: carries it.
        look: looks at the record and renews the lease.
    """
    attendant = Attendant(run, look)
    await attendant.begin()
    try:
        with anyio.CancelScope() as body:
            run.interrupter = body.cancel
            await drive()
    finally:
        run.interrupter = None
        await attendant.end()
