# SPDX-License-Identifier: MIT
"""The head and the tail of a long text, in bounded memory.

It knows bytes, and not where they come from.
"""

from __future__ import annotations

__all__ = ["Excerpt"]


class Excerpt:
    """Keeps the first and the last bytes of all that is added.

    Args:
        limit: how many bytes to keep, half of them from the end.

    Attributes:
        size: how many bytes were added in all.
    """

    __slots__ = ("_head", "_head_limit", "_tail", "_tail_limit", "size")

    def __init__(self, limit: int) -> None:
        self._head_limit, self._tail_limit = limit - limit // 2, limit // 2
        self._head, self._tail = bytearray(), bytearray()
        self.size = 0

    def add(self, more: bytes) -> None:
        """Takes the next bytes."""
        self.size += len(more)
        room = self._head_limit - len(self._head)
        self._head += more[:room]
        self._tail += more[room:]
        if len(self._tail) > 2 * self._tail_limit:  # Not at once, or every byte would move others.
            self._cut()

    @property
    def left_out(self) -> int:
        """How many bytes in the middle were not kept."""
        return max(0, self.size - self._head_limit - self._tail_limit)

    def __bytes__(self) -> bytes:
        self._cut()
        if not self.left_out:
            return bytes(self._head + self._tail)
        return bytes(self._head) + b"\n[%d bytes left out]\n" % self.left_out + bytes(self._tail)

    def _cut(self) -> None:
        del self._tail[: max(0, len(self._tail) - self._tail_limit)]
