# SPDX-License-Identifier: MIT
"""A run around an existing iterable: its end is success, a refused item is pending.

An iteration is ended before the next item is asked for, which may take long or
never come.  The item is fetched before its start is charged, so that an end of
the items costs nothing and an item that may not start is not lost.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from typing import Generic, Self, TypeVar

from haltable import _drive_sync as driver
from haltable.iteration import Iteration
from haltable.model import Done
from haltable.run import Run

__all__ = ["AsyncOver", "Over"]

T = TypeVar("T")
_EXHAUSTED = Done("the items are at their end")


class Over(Generic[T]):
    """Iterates pairs of an iteration and an item.

    Attributes:
        run: the run that counts; ``run.report`` is its receipt.
    """

    def __init__(self, run: Run, items: Iterable[T]) -> None:
        self.run = run
        self._items = items

    def __iter__(self) -> Iterator[tuple[Iteration, T]]:
        self.run.use("over")
        self.run.looping = True
        return self._pairs()

    def _pairs(self) -> Iterator[tuple[Iteration, T]]:
        run = self.run
        kernel = run.kernel
        try:
            source = iter(self._items)
            while not run.finished:
                try:
                    run.pending = next(source)
                except StopIteration:
                    driver.exhaust(run, _EXHAUSTED)
                    break
                if not driver.turn(run, each_asked=False):
                    break
                item, run.pending = run.pending, None
                run.give_control()
                yield kernel.current(run.verbs), item
                run.take_control()
                if kernel.outcome is None:
                    kernel.returned(None)
                driver.end_call(run)
        except GeneratorExit:
            run.take_control()
            run.note_left()
            driver.leave(run, "the `for` was left before the loop had ended")
            raise
        except BaseException as error:
            driver.interrupt(run, error)
            raise
        run.unwrap()


class AsyncOver(Generic[T]):
    """Iterates pairs of an iteration and an item of an async iterable.

    Attributes:
        run: the run that counts; ``run.report`` is its receipt.
    """

    def __init__(self, run: Run, items: AsyncIterable[T]) -> None:
        self.run = run
        self._items = items
        self._source: AsyncIterator[T] | None = None

    def __aiter__(self) -> Self:
        self.run.use("over")
        self.run.looping = True
        self._source = aiter(self._items)
        return self

    async def __anext__(self) -> tuple[Iteration, T]:
        from haltable import _drive_async as adriver

        run = self.run
        kernel = run.kernel
        run.take_control()
        if self._source is None:
            raise AssertionError("`async for` asks for the iterator first")
        try:
            if run.ran and run.step is None and not run.finished:
                if kernel.outcome is None:
                    kernel.returned(None)
                await adriver.end_call(run)
            going = not run.finished
            if going:
                run.pending = await anext(self._source)
                going = await adriver.turn(run, each_asked=False)
        except StopAsyncIteration:
            await adriver.exhaust(run, _EXHAUSTED)
            run.unwrap()
            raise
        except BaseException as error:
            await adriver.interrupt(run, error)
            raise
        if not going:
            run.unwrap()
            raise StopAsyncIteration
        item, run.pending = run.pending, None
        run.give_control()
        return kernel.current(run.verbs), item

    def __del__(self) -> None:
        if self._source is not None and not self.run.finished:
            self.run.drop_async()
