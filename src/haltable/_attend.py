# SPDX-License-Identifier: MIT
"""The task that attends an asynchronous run: the twin of the watcher thread.

It decides nothing: a look at the record, a glance at the body, and what follows
from them are the driver's.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from contextlib import suppress

import anyio

from haltable import _watch
from haltable._claim_async import watch
from haltable._oversee_async import glance
from haltable._state import RunState

__all__ = ["Attendant", "run_watched"]


class Attendant:
    """Looks at a run's record and at its running body, as long as the run is attended."""

    __slots__ = ("_ended", "_gone", "_group", "_left", "_run", "_scopes")

    def __init__(self, run: RunState) -> None:
        self._run = run
        self._group = anyio.create_task_group()
        #: One for each task, since what ended the run is not for the group to see.
        self._scopes: set[anyio.CancelScope] = set()
        self._ended = False
        #: How many tasks have not ended, and whether all have.
        self._left = 0
        self._gone = anyio.Event()

    async def begin(self) -> None:
        """Starts the tasks."""
        self._run.attended = True
        self._run.spawn = self._spawn
        await self._group.__aenter__()
        if self._run.key is not None:
            self._spawn(functools.partial(self._repeat, _watch.INTERVAL, watch))
        self._spawn(functools.partial(self._repeat, self._run.patience, self._glance))

    async def end(self) -> None:
        """Ends the tasks; what ended the run is not for the group to see and wrap."""
        self._run.spawn = None
        self._ended = True
        for scope in self._scopes:
            scope.cancel()
        try:
            # A group that waits in a cancelled scope raises that instead of what comes out.
            with anyio.CancelScope(shield=True):
                if self._left:
                    await self._gone.wait()
        finally:
            await self._leave()

    async def _leave(self) -> None:
        try:
            await self._group.__aexit__(None, None, None)
        except BaseExceptionGroup as group:
            # A Ctrl-C that trio delivers while the group waits comes out as it went in.
            raise group.exceptions[0] from None

    def _spawn(self, act: Callable[[], Awaitable[None]]) -> None:
        self._left += 1
        self._group.start_soon(self._within, act)

    async def _within(self, act: Callable[[], Awaitable[None]]) -> None:
        try:
            if not self._ended:
                # Cancelled with its run it only ends: to say so is the run's business.
                with suppress(anyio.get_cancelled_exc_class()), anyio.CancelScope() as scope:
                    self._scopes.add(scope)
                    await act()
                self._scopes.discard(scope)
        finally:
            self._left -= 1
            if self._ended and not self._left:
                self._gone.set()

    async def _repeat(self, seconds: float, look: Callable[[RunState], Awaitable[None]]) -> None:
        while True:
            await anyio.sleep(seconds)
            await look(self._run)

    async def _glance(self, run: RunState) -> None:
        if run.oversight is None:
            return
        try:
            await glance(run)
        except Exception as error:
            run.note_blind_watch(error)


async def run_watched(run: RunState, drive: Callable[[], Awaitable[object]]) -> None:
    """Carries a run while tasks look at its record and at its running body.

    Args:
        run: the run; a verdict or an operator's stop cancels what the drive awaits.
        drive: carries it.
    """
    attendant = Attendant(run)
    await attendant.begin()
    try:
        with anyio.CancelScope() as body:
            run.interrupter = body.cancel
            await drive()
    finally:
        run.interrupter = None
        await attendant.end()
