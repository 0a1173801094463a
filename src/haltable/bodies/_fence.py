# SPDX-License-Identifier: MIT
"""Verbs that end when somebody closes the fence before them.

It stands between an iteration and its run, for a body that cannot be stopped
and may speak when nobody waits for it any more.  It knows no thread.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from haltable.errors import LoopInterrupt
from haltable.iteration import Given, Iteration
from haltable.model import Done, GiveUp

__all__ = ["Fence"]


class Fence:
    """The verbs of one iteration, until it is closed: then each of them raises.

    Args:
        closed: says whether it is.
        inner: the iteration that the run has made.
    """

    __slots__ = ("_closed", "_inner")

    def __init__(self, closed: Callable[[], bool], inner: Iteration) -> None:
        self._closed = closed
        self._inner = inner

    def claim(self, iteration: Iteration, claim: Done | GiveUp, value: object) -> None:
        """Notes what the body says of itself."""
        del iteration
        if isinstance(claim, Done):
            self._open().done(value)
        else:
            self._open().give_up(claim.reason)

    def check(self, iteration: Iteration) -> None:
        """Raises if the run has ended or was asked to stop."""
        del iteration
        self._open().check()

    def enter(self, iteration: Iteration) -> None:
        """Begins a block."""
        del iteration
        self._open().__enter__()

    def leave(self, iteration: Iteration, error: BaseException | None) -> bool:
        """Ends a block; returns whether the exception became an outcome."""
        del iteration
        traceback = None if error is None else error.__traceback__
        return self._open().__exit__(type(error) if error else None, error, traceback)

    def once(self, iteration: Iteration, key: str, fn: Callable[..., Any], given: Given) -> Any:
        """Carries out an effect."""
        del iteration
        args, kwargs, payload = given
        return self._open().once(key, fn, *args, payload=payload, **kwargs)

    async def aonce(
        self, iteration: Iteration, key: str, fn: Callable[..., Any], given: Given
    ) -> Any:
        """Carries out an async effect."""
        del iteration
        args, kwargs, payload = given
        return await self._open().aonce(key, fn, *args, payload=payload, **kwargs)

    def _open(self) -> Iteration:
        if self._closed():
            raise LoopInterrupt("this body was abandoned, and the loop has gone on without it")
        return self._inner
