# SPDX-License-Identifier: MIT
"""What lives on an event loop, for tests that do not: its verbs are plain calls.

So that what befalls a store is shown once, for both twins.  It knows no store.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Any, Self

from anyio.from_thread import BlockingPortal


class Awaited:
    """Something whose verbs are awaited, with the same verbs to be called.

    Args:
        given: a store, a connection, a pool or a cursor.
        portal: leads to the event loop that it lives on.
    """

    def __init__(self, given: Any, portal: BlockingPortal) -> None:
        self.given, self._portal = given, portal

    def __repr__(self) -> str:
        return repr(self.given)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.given, name)
        if inspect.isasyncgenfunction(found):
            return lambda *words: iter(self._portal.call(_listed, found, words))
        if not inspect.iscoroutinefunction(found):
            return found

        def call(*words: Any, **named: Any) -> Any:
            made = self._portal.call(partial(found, *words, **named))
            # A cursor's verbs are awaited too.
            return Awaited(made, self._portal) if hasattr(made, "fetchone") else made

        return call

    def __enter__(self) -> Self:
        self._portal.call(self.given.__aenter__)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._portal.call(self.given.__aexit__, kind, error, trace)


async def _listed(scan: Callable[..., Any], words: tuple[Any, ...]) -> list[Any]:
    return [found async for found in scan(*words)]
