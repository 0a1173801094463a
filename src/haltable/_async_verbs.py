# SPDX-License-Identifier: MIT
"""The verbs of a run for asyncio and trio; the twins of those in ``run``.

The async driver, and with it the event loop's library, is loaded by the first
of them.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Awaitable, Callable
from types import TracebackType
from typing import Any, Self

from haltable import _drive_sync, _ports_sync, _watch
from haltable._call import Call
from haltable._context import here
from haltable._handle import Handle
from haltable.iteration import Iteration

__all__ = ["AsyncVerbs"]


class AsyncVerbs(Handle):
    """What can be awaited of a run."""

    async def acarry(self, call: Call) -> None:
        """Runs an async body until the run ends."""
        from haltable import _drive_async as driver
        from haltable._attend import run_watched
        from haltable._ports_async import BREATH, note_task

        self.use("arun")
        call = self.guarded_async(call)
        self.kernel.breath = BREATH
        note_task(self)
        token = here.set(self)
        try:
            if self.is_watched:
                await run_watched(self, lambda: driver.drive(self, call.body, takes=call.takes))
            else:
                await driver.drive(self, call.body, takes=call.takes)
        finally:
            here.reset(token)
            call.close()

    async def acarry_once(self, call: Call) -> None:
        """Runs one iteration with an async body and gives the key back."""
        from haltable import _drive_async as driver
        from haltable._attend import run_watched

        self.use("astep")
        self.single_step = True
        call = self.guarded_async(call)
        token = here.set(self)
        try:
            await run_watched(self, lambda: driver.single(self, call.body, takes=call.takes))
        finally:
            here.reset(token)
            call.close()

    def __aiter__(self) -> AsyncIterator[Iteration]:
        """Iterates until the loop succeeds; any other end is raised.

        Leaving it early ends the run; with an async store that needs
        ``async with loop.start() as run`` around it.

        Raises:
            LoopHalted: if the loop ends without success.
            LoopBusy: if another run holds the key.
        """
        from haltable._async_iterator import AsyncIterations

        self.use("for")
        self.looping = True
        return AsyncIterations(self, self.drop_async)

    async def __aenter__(self) -> Self:
        """Begins to count a loop that somebody else drives."""
        from haltable._attend import Attendant

        self.use("async with")
        if self.is_watched:
            # While the block lasts, tasks look at the record and at what runs in it.
            self.attendant = Attendant(self)
            await self.attendant.begin()
        self.entered = True
        self.give_control()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        from haltable import _drive_async as driver

        self.take_control()
        ours, rest = self.end_of_body(error)
        try:
            await driver.end_block(self, rest)
        finally:
            if self.attendant is not None:
                await self.attendant.end()
        self.entered = False
        return self.end_of_block(ours=ours, rest=rest)

    async def atick(self) -> None:
        """Says that one more iteration of somebody else's loop starts; the twin of ``tick``."""
        from haltable import _drive_async as driver

        self.count("tick()")
        if self.ran and self.kernel.outcome is None:
            self.kernel.returned(None)
        if not await driver.turn(self, each_asked=False):
            raise self.refuse_call()

    def wrap_async(self, tool: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        """Returns an async tool, each call of which is a whole iteration."""
        from haltable import _drive_async as driver
        from haltable._async_turns import Turnstile

        turnstile = self.turnstile = self.turnstile or Turnstile()

        @functools.wraps(tool)
        async def wrapped(*args: Any, **kwargs: Any) -> Any:
            async with turnstile.passing():
                self.check_call()
                if not await driver.turn(self, each_asked=False):
                    raise self.refuse_call()
                token = here.set(self)
                try:
                    with turnstile.inside():
                        result = await tool(*args, **kwargs)
                except Exception as error:
                    self.kernel.failed(error)
                    await driver.end_call(self)
                    raise
                except BaseException as error:
                    if not await driver.interrupt(self, error):
                        raise
                else:
                    self.kernel.returned(result)
                    await driver.end_call(self)
                    return result
                finally:
                    here.reset(token)
                raise self.refuse_call()

        return wrapped

    def drop_async(self) -> None:
        """Ends a run whose ``async for`` was left, where that can be done without awaiting."""
        self.take_control()
        self.note_left()
        if self.book is None or self.settings.store is not None:
            _ports_sync.adopt(self)
            _drive_sync.leave(self, "the `async for` was left before the loop had ended")
        else:
            # Nothing can be awaited here.  Without its token the claim counts as
            # a dead owner's, so that the next start need not wait for the lease.
            _watch.shared.remove(self.book.owner.token)
