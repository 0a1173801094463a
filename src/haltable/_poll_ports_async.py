# SPDX-License-Identifier: MIT
"""What a poller's async driver does to the world: fetch, launch, rest; with tasks.

The twin of ``_poll_ports_sync``, on asyncio and on trio.  It decides nothing.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterator
from types import TracebackType
from typing import Self, cast

import anyio
import anyio.lowlevel

from haltable._async_turns import AsyncWaker
from haltable._call import Call
from haltable._polling import LOOK, MOMENT, Plan, Polling
from haltable._tasks import NO_MORE, Task, checked, is_task, several
from haltable.clock import Clock
from haltable.errors import LoopBusy
from haltable.run import Run

__all__ = ["AsyncAir"]


class AsyncAir(Polling):
    """A poller's attempts that are running, and how it waits."""

    def __init__(self, plan: Plan, clock: Clock) -> None:
        super().__init__(plan, clock)
        self._asked = Call(self._first, takes=False)
        self._waker: AsyncWaker | None = None
        self._hand: Iterator[object] | AsyncIterator[object] | None = None
        self._group = anyio.create_task_group()

    def wake(self) -> None:
        """Cuts a rest short; from any thread."""
        waker = self._waker
        if waker is not None:
            waker()

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._drop_hand()
        try:
            await self._group.__aexit__(kind, error, traceback)
        except BaseExceptionGroup as group:
            # Attempts let nothing out, so this is what left the poller itself, as it went in.
            raise group.exceptions[0] from None
        self.take_note()
        if self.fatal is not None and error is None:
            raise self.fatal

    @property
    def is_to_ask(self) -> bool:
        """Whether the next task must be asked for."""
        return self._hand is None

    async def is_done(self) -> bool:
        """Says whether the poller's own condition holds."""
        if self.is_over:
            return True
        try:
            answer = self._condition()
            if inspect.isawaitable(answer):
                answer = await answer
            return bool(answer) and self._fulfilled()
        except Exception as error:
            return self._faulted(error)

    async def fetch(self) -> Task | None:
        """Returns the next task; None where the source has no more for now."""
        if self.rounds.troubled:
            await self._drop_hand()
        elif self._hand is not None:
            try:
                return await self._next(self._hand)
            except Exception as error:
                self._broke(error)
                await self._drop_hand()
        else:
            run = self._ask()
            await run.acarry(self._asked)
            return self._answer(run.report)
        return None

    async def _first(self) -> Task | None:
        try:
            handed = self.plan.ready(**self._skips())
            if inspect.isawaitable(handed):
                handed = await handed
            self.rounds.asked(single=is_task(handed))
            if isinstance(handed, AsyncIterable):
                self._hand = aiter(cast("AsyncIterable[object]", handed))
            else:
                self._hand = iter(several(handed))
            return await self._next(self._hand)
        except Exception as error:
            self.rounds.failed(error)
            await self._drop_hand()
            raise

    async def _next(self, hand: Iterator[object] | AsyncIterator[object]) -> Task | None:
        if isinstance(hand, AsyncIterator):
            item = await anext(hand, NO_MORE)
        else:
            item = next(hand, NO_MORE)
        if item is not NO_MORE:
            return checked(item)
        self._hand = None
        self.rounds.read()
        return None

    async def _drop_hand(self) -> None:
        hand, self._hand = self._hand, None
        if isinstance(hand, AsyncGenerator):
            # Left to the garbage collection, it would end in another task, or not at all.
            with anyio.CancelScope(shield=True):
                await hand.aclose()

    async def launch(self, task: Task) -> None:
        """Has the task attempted."""
        if self.plan.concurrency == 1:
            self._landed(task[0], await self._attempt(task))
            return
        self.in_air += 1
        self._group.start_soon(self._fly, task)

    async def land(self) -> None:
        """Waits until an attempt has ended, or for a moment."""
        self._waker = AsyncWaker()
        if not self.landings:
            await self._pause(LOOK)

    async def rest(self, seconds: float) -> None:
        """Waits, until something has happened at the latest."""
        self._waker = AsyncWaker()
        if self.landings or self.rounds.over(self.now()):
            return
        seconds = min(seconds, self.rounds.left(self.now()), threading.TIMEOUT_MAX)
        if not self.clock.virtual:
            await self._pause(seconds)
        elif not self.in_air or not await self._pause(MOMENT):
            self.clock.wait(seconds, threading.Event())
            await anyio.lowlevel.checkpoint()

    async def _pause(self, seconds: float) -> bool:
        """Waits; returns whether it was woken."""
        if self._waker is not None:
            with anyio.move_on_after(seconds):
                await self._waker.event.wait()
                return True
        return False

    async def _fly(self, task: Task) -> None:
        try:
            self.landings.append((task[0], await self._attempt(task)))
        except anyio.get_cancelled_exc_class():
            raise
        except BaseException as error:
            self.fatal = self.fatal or error
        finally:
            self.wake()

    async def _attempt(self, task: Task) -> Run | Exception:
        try:
            run, call = self._start(task)
            await run.acarry_once(call)
        except LoopBusy as busy:
            return busy
        except Exception as error:
            return self._refused(task[0], error)
        return run
