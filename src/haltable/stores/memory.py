# SPDX-License-Identifier: MIT
"""The store that ends with its process.

It knows no file and no driver: a dictionary, a lock and one counter.  What it
hands out are immutable values, so that it has the very manners of a real one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import cast

from haltable.errors import ConfigurationError
from haltable.store import Conflict, Durability, Entry

__all__ = ["MemoryStore"]


class MemoryStore:
    """Keeps records in memory: for tests, and for loops that need not survive a restart.

    It is safe to share between threads.  A forked child has a copy that goes
    its own way; several processes need a store outside them, such as
    `SQLiteStore`.

    Args:
        clock: returns seconds and never goes backwards; ages are measured by it.
            ``time.monotonic`` by default.

    Raises:
        ConfigurationError: the clock cannot be called.

    Example:
        >>> store = MemoryStore()
        >>> store.write("greeting", b"hello", expected=0).version
        1
        >>> store.write("greeting", b"again", expected=0).current.value
        b'hello'
    """

    #: No call waits for anything, so that async drivers make it inline.
    blocks = False
    durability = Durability.NOTHING

    __slots__ = ("_clock", "_held", "_lock", "_versions")

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        if not callable(cast("object", clock)):
            message = f"clock={clock!r}: it must be callable and return seconds"
            raise ConfigurationError(message)
        self._clock = clock
        # Reentrant, since a garbage collection under it may end a run that was dropped.
        self._lock = threading.RLock()
        #: key -> (value, version, time of the write)
        self._held: dict[str, tuple[bytes, int, float]] = {}
        # One counter for all keys, so that a deleted key needs no trace.
        self._versions = 0

    def __repr__(self) -> str:
        return f"<MemoryStore: {len(self._held)} keys>"

    def read(self, key: str) -> Entry | None:
        """Returns the key's entry, None if it is absent."""
        held = self._held.get(key)
        return None if held is None else self._entry(held)

    def write(self, key: str, value: bytes, *, expected: int) -> Entry | Conflict:
        """Replaces the value if the key is at version ``expected``; 0 means absent.

        Args:
            key: any text.
            value: the bytes to keep.
            expected: the version that the key must be at.

        Returns:
            The new `Entry`, or the `Conflict` with what is there.
        """
        with self._lock:
            held = self._held.get(key)
            if expected != (0 if held is None else held[1]):
                return Conflict(None if held is None else self._entry(held))
            self._versions = version = self._versions + 1
            self._held[key] = (value, version, self._clock())
        return Entry(value, version)

    def scan(self, prefix: str) -> Iterator[tuple[str, Entry]]:
        """Yields the entries whose keys start with the prefix, as they were when it began."""
        with self._lock:
            found = [(key, held) for key, held in self._held.items() if key.startswith(prefix)]
        for key, held in found:
            yield key, self._entry(held)

    def delete(self, key: str, *, expected: int) -> bool:
        """Removes the key if it is at version ``expected``; returns whether it did."""
        with self._lock:
            held = self._held.get(key)
            if held is None or held[1] != expected:
                return False
            del self._held[key]
            return True

    def _entry(self, held: tuple[bytes, int, float]) -> Entry:
        value, version, written = held
        return Entry(value, version, max(0.0, self._clock() - written))
