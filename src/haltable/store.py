# SPDX-License-Identifier: MIT
"""The contract for persistence: a versioned key-value map with compare-and-set.

A store knows no loop and no record, only keys, bytes and versions; the rules
live in ``haltable.ledger``.  A host brings its own in about 50 lines over the
database it already has, and proves it with ``haltable.testing.StoreContract``.

Rules of every store:

1. Each verb is atomic.  It is done, refused, or *unknown*: whatever it raises,
   cancellation included, leaves the outcome unknown, unless it is a
   `haltable.StoreError` whose ``outcome`` says ``"refused"``.
2. A version never repeats for a key, also not after a delete: it is the fencing
   token that goes to the world outside.
3. ``Entry.age`` is measured by the store's clock alone.
4. A write is never retried underneath: no client or driver may send it twice.
"""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator, Iterator
from typing import Protocol, TypeAlias, runtime_checkable

import attrs

__all__ = ["AnyStore", "AsyncStore", "Conflict", "Durability", "Entry", "Store", "files_of"]


class Durability(enum.IntEnum):
    """What an acknowledged write survives; the greater, the more.

    A server whose settings keep less than a cap counts on is warned of, in the log.
    """

    #: Nothing: it ends with the process.
    NOTHING = 0
    #: The death of the process, ``kill -9`` included.
    PROCESS = 1
    #: The death of the machine, power loss included.
    MACHINE = 2
    #: The loss of a machine.
    REPLICATED = 3


@attrs.frozen
class Entry:
    """One key's value as the store holds it.

    Args:
        value: the bytes that were written.
        version: grows with every write of the key and never repeats for it.
        age: seconds since that write, by the store's clock; ``math.inf`` where
            the store knows that it was another boot of the machine.
    """

    value: bytes
    version: int
    age: float = 0.0


@attrs.frozen
class Conflict:
    """A write was refused: the key does not hold the version that was expected.

    Args:
        current: what is there instead, None for an absent key.  It may be
            stale; who needs more reads again.
    """

    current: Entry | None


@runtime_checkable
class Store(Protocol):
    """A versioned key-value map with compare-and-set, for synchronous drivers.

    Two more attributes are read if they are there: ``blocks`` (default True)
    says that a call may wait on a disk, a lock or a network, so that an async
    driver calls it in a worker thread; ``path`` is the file that it keeps all
    in, from which a confined body is kept.
    """

    @property
    def durability(self) -> Durability:
        """What an acknowledged write survives."""
        ...

    def read(self, key: str) -> Entry | None:
        """Returns the key's entry, None if it is absent."""
        ...

    def write(self, key: str, value: bytes, *, expected: int) -> Entry | Conflict:
        """Replaces the value if the key is at version ``expected``; 0 means absent.

        Returns the new `Entry` (its ``version`` is what counts) or, with the
        store untouched, the `Conflict`.
        """
        ...

    def scan(self, prefix: str) -> Iterator[tuple[str, Entry]]:
        """Yields the entries whose keys start with the prefix, weakly consistent, in any order."""
        ...

    def delete(self, key: str, *, expected: int) -> bool:
        """Removes the key if it is at version ``expected``; returns whether it did."""
        ...


@runtime_checkable
class AsyncStore(Protocol):
    """The twin of `Store` for asyncio and trio hosts; the same rules.

    One more attribute is read if it is there: ``event_loop`` names the only
    event loop that the store works on, as ``"asyncio"``; a run on another one is
    refused before it asks anything of the store.
    """

    @property
    def durability(self) -> Durability:
        """What an acknowledged write survives."""
        ...

    async def read(self, key: str) -> Entry | None:
        """Returns the key's entry, None if it is absent."""
        ...

    async def write(self, key: str, value: bytes, *, expected: int) -> Entry | Conflict:
        """Replaces the value if the key is at version ``expected``; 0 means absent."""
        ...

    def scan(self, prefix: str) -> AsyncIterator[tuple[str, Entry]]:
        """Yields the entries whose keys start with the prefix, weakly consistent, in any order."""
        ...

    async def delete(self, key: str, *, expected: int) -> bool:
        """Removes the key if it is at version ``expected``; returns whether it did."""
        ...


AnyStore: TypeAlias = Store | AsyncStore


def files_of(*stores: AnyStore | None) -> tuple[str, ...]:
    """Returns the files that stores keep all in, of those that have one."""
    paths: list[object] = [getattr(store, "path", None) for store in stores]
    return tuple(path for path in paths if isinstance(path, str))
