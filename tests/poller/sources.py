# SPDX-License-Identifier: MIT
"""What the tests of the poller share: a policy, and sources that hand out tasks.

They know lists and keys, and nothing of how a poller works.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from haltable import ExitCondition, IterationCap, Loop, MemoryStore, Poller
from haltable.conditions import idle, returned
from haltable.testing import FakeClock

__all__ = ["Attempts", "in_order", "policy", "polled"]


def policy(**options: Any) -> Loop:
    """Returns the loop of every task: done when an attempt returns, dead after three failures."""
    options.setdefault("store", MemoryStore())
    return Loop(IterationCap(5), ExitCondition(success=returned), key="any", **options)


def in_order(*answers: Any) -> Callable[[], Any]:
    """Returns a source that gives these answers, and None after the last."""
    left = list(answers)
    return lambda: left.pop(0) if left else None


class Attempts:
    """An act that notes its payloads, and raises for some of them."""

    def __init__(self, *broken: Any) -> None:
        self.made: list[Any] = []
        self._broken = broken

    @property
    def counts(self) -> Counter[Any]:
        """How often each payload was attempted."""
        return Counter(self.made)

    def __call__(self, payload: Any) -> Any:
        """Makes an attempt."""
        self.made.append(payload)
        if payload in self._broken:
            raise ValueError(f"{payload} is broken")
        return payload

    async def awaited(self, payload: Any) -> Any:
        """Makes an attempt in a task."""
        return self(payload)


def polled(ready: Callable[..., Any], act: Callable[..., Any], **options: Any) -> Poller:
    """Returns a poller whose waits take no time, and that ends when it is idle."""
    for name, default in {"loop": None, "until": idle, "clock": FakeClock()}.items():
        options.setdefault(name, default)
    options["loop"] = options["loop"] or policy()
    return Poller(ready, act, **options)
