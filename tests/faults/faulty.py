# SPDX-License-Identifier: MIT
"""A store that fails at one of its calls, in the ways that real ones do, and its async twin.

Under it lies a `MemoryStore` whose clock the test moves; what is really stored
can be looked at beside the fault.  It knows no loop.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import anyio
import attrs

from haltable import StoreError
from haltable.stores import Conflict, Durability, Entry, MemoryStore
from haltable.testing import FakeClock

__all__ = ["DOWN", "FAULTS", "AsyncFaulty", "Broken", "Fault", "Faulty"]


class Broken(OSError):
    """What the fault raises: nothing that a store is asked to raise."""


@attrs.frozen
class Fault:
    """What goes wrong at a call.

    Args:
        name: for the test's own words.
        done: whether the call is carried out.
        raises: whether its caller is told that something went wrong.
        refused: whether the error says that nothing was done.
        slow: seconds of the store's clock that it takes.
        lasting: whether every call after it fails too, until it is mended.
    """

    name: str
    done: bool = False
    raises: bool = True
    refused: bool = False
    slow: float = 0.0
    lasting: bool = False

    def __str__(self) -> str:
        return self.name

    def error(self) -> Exception:
        """Returns what the caller gets to see."""
        if self.refused:
            return StoreError("the store said no", outcome="refused")
        return Broken("the connection was reset")


#: One call fails, the next is as good as ever.
FAULTS = (
    Fault("refuses", refused=True),
    Fault("loses the request"),
    Fault("loses the reply", done=True),
    Fault("hangs", done=True, raises=False, slow=100.0),
    Fault("hangs and loses the reply", done=True, slow=100.0),
)
#: From one call on all fail, until it is mended.
DOWN = (
    Fault("is down", lasting=True),
    Fault("is mute", done=True, lasting=True),
    Fault("refuses all", refused=True, lasting=True),
)


class Faults:
    """Counts the calls and says which of them fails, and how."""

    def __init__(self, fault: Fault | None, at: int) -> None:
        self.fault, self.at = fault, at
        self.clock = FakeClock()
        #: What is really stored.
        self.inner = MemoryStore(clock=self.clock.now)
        self.calls = 0
        #: The keys of the calls that failed.
        self.struck: list[str] = []

    @property
    def durability(self) -> Durability:
        return Durability.NOTHING

    def mend(self) -> None:
        """Ends the fault."""
        self.fault = None

    def strike(self, key: str) -> Fault | None:
        """Counts a call; returns what goes wrong with it."""
        self.calls += 1
        fault = self.fault
        if fault is None or self.calls < self.at or (self.calls > self.at and not fault.lasting):
            return None
        self.struck.append(key)
        self.clock.advance(fault.slow)
        return fault


class Faulty(Faults):
    """The synchronous one."""

    blocks = False

    def read(self, key: str) -> Entry | None:
        fault = self.strike(key)
        entry = self.inner.read(key)
        if fault is not None and fault.raises:
            raise fault.error()
        return entry

    def write(self, key: str, value: bytes, *, expected: int) -> Entry | Conflict:
        fault = self.strike(key)
        if fault is None or fault.done:
            reply = self.inner.write(key, value, expected=expected)
            if fault is None or not fault.raises:
                return reply
        raise fault.error()

    def scan(self, prefix: str) -> Iterator[tuple[str, Entry]]:
        return self.inner.scan(prefix)

    def delete(self, key: str, *, expected: int) -> bool:
        return self.inner.delete(key, expected=expected)


class AsyncFaulty(Faults):
    """The asynchronous one; each call lets other tasks run before it and after it."""

    async def read(self, key: str) -> Entry | None:
        fault = self.strike(key)
        await anyio.lowlevel.checkpoint()
        entry = self.inner.read(key)
        await anyio.lowlevel.checkpoint()
        if fault is not None and fault.raises:
            raise fault.error()
        return entry

    async def write(self, key: str, value: bytes, *, expected: int) -> Entry | Conflict:
        fault = self.strike(key)
        await anyio.lowlevel.checkpoint()
        if fault is None or fault.done:
            reply = self.inner.write(key, value, expected=expected)
            await anyio.lowlevel.checkpoint()
            if fault is None or not fault.raises:
                return reply
        raise fault.error()

    async def scan(self, prefix: str) -> AsyncIterator[tuple[str, Entry]]:
        for found in self.inner.scan(prefix):
            await anyio.lowlevel.checkpoint()
            yield found

    async def delete(self, key: str, *, expected: int) -> bool:
        await anyio.lowlevel.checkpoint()
        return self.inner.delete(key, expected=expected)
