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
from haltable._handle import Handle, split_interrupt
from haltable.iteration import Iteration

__all__ = ["AsyncVerbs"]


class AsyncVerbs(Handle):
    """What can be awaited of a run."""

    async def acarry(self, call: Call) -> None:
        """Runs an async body until the run ends."""
        from haltable import _drive_async as driver
        from haltable._claim_async import watch
        from haltable._ports_async import BREATH, run_watched

        self.use("arun")
        self.kernel.breath = BREATH
        token = here.set(self)
        try:
            if self.key is None:
                await driver.drive(self, call)
            else:
                await run_watched(self, lambda: driver.drive(self, call), watch)
        finally:
            here.reset(token)

    async def acarry_once(self, call: Call) -> None:
        """Runs one iteration with an async body and gives the key back."""
        from haltable import _drive_async as driver
        from haltable._claim_async import watch
        from haltable._ports_async import run_watched

        self.use("astep")
        self.single_step = True
        token = here.set(self)
        try:
            await run_watched(self, lambda: driver.single(self, call), watch)
        finally:
            here.reset(token)

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
        self.use("async with")
        self.entered = True
        self.give_control()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        from haltable import _drive_async as driver

        self.take_control()
        ours, rest = split_interrupt(self, error)
        await driver.end_block(self, rest)
        self.entered = False
        self.end_of_block(ours=ours, rest=rest)

    async def atick(self) -> None:
        """Says that one more iteration of somebody else's loop starts; the twin of ``tick``."""
        from haltable import _drive_async as driver

        self.check_open()
        if self.ran and self.kernel.outcome is None:
            self.kernel.returned(None)
        if not await driver.turn(self, each_asked=False):
            raise self.refusal()

    def wrap_async(self, tool: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        """Returns an async tool, each call of which is a whole iteration."""
        from haltable import _drive_async as driver
        from haltable._ports_async import Turnstile

        turnstile = self.turnstile = self.turnstile or Turnstile()

        @functools.wraps(tool)
        async def wrapped(*args: Any, **kwargs: Any) -> Any:
            async with turnstile.passing():
                self.check_call()
                if not await driver.turn(self, each_asked=False):
                    raise self.refusal()
                try:
                    result = await tool(*args, **kwargs)
                except Exception as error:
                    self.kernel.failed(error)
                    await driver.end_call(self)
                    raise
                except BaseException as error:
                    await driver.interrupt(self, error)
                    raise
                self.kernel.returned(result)
                await driver.end_call(self)
                return result

        return wrapped

    def drop_async(self) -> None:
        """Ends a run whose ``async for`` was left, where that can be done without awaiting."""
        self.take_control()
        if self.finished:
            return
        self.note_left()
        if self.book is None or self.settings.store is not None:
            _ports_sync.adopt(self)
            _drive_sync.leave(self, "the `async for` was left before the loop had ended")
        else:
            # Nothing can be awaited here.  Without its token the claim counts as
            # a dead owner's, so that the next start need not wait for the lease.
            _watch.shared.remove(self.book.owner.token)
