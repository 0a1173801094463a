# SPDX-License-Identifier: MIT
"""The iterator behind ``async for iteration in loop``.

A class and not an async generator, because an event loop finalises a generator
that was left only later, and trio not at all; dropping this ends the run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

from haltable import _drive_async as driver
from haltable._handle import Handle
from haltable.iteration import Iteration

__all__ = ["AsyncIterations"]


class AsyncIterations:
    """Yields the iterations of one run."""

    __slots__ = ("_drop", "_run")

    def __init__(self, run: Handle, drop: Callable[[], None]) -> None:
        self._run = run
        self._drop = drop

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Iteration:
        run = self._run
        kernel = run.kernel
        run.take_control()
        if run.ran and kernel.outcome is None:
            kernel.returned(None)
        try:
            going = not run.finished and await driver.turn(run, each_asked=False)
        except BaseException as error:
            await driver.interrupt(run, error)
            raise
        if not going:
            run.unwrap()
            raise StopAsyncIteration
        run.give_control()
        return kernel.current(run.verbs)

    def __del__(self) -> None:
        if not self._run.finished:
            self._drop()
