# SPDX-License-Identifier: MIT
"""What hears a child: it keeps an excerpt and hands lines on as they come.

It knows bytes and lines, and neither the child nor what the lines are for.
"""

from __future__ import annotations

from collections.abc import Callable

from haltable.bodies._excerpt import Excerpt

__all__ = ["LONGEST_LINE", "Ear"]

#: Bytes after which a line is handed on although it has not ended.
LONGEST_LINE = 1 << 16


class Ear:
    """Hears what is printed.

    Args:
        limit: how many bytes to keep.
        on_output: is called with each line, without its end; None for nobody.
        on_bytes: is called with each piece, after the number of the stream (1
            or 2) that it was printed to; None for nobody.

    Attributes:
        excerpt: what is kept.
    """

    def __init__(
        self,
        limit: int,
        on_output: Callable[[str], object] | None = None,
        on_bytes: Callable[[int, bytes], object] | None = None,
    ) -> None:
        self.excerpt = Excerpt(limit)
        self._on_output = on_output
        self._on_bytes = on_bytes
        self._begun = bytearray()

    def hear(self, more: bytes, errors: bytes = b"") -> None:
        """Takes the next bytes; what a listener raises comes out, and silences it.

        Args:
            more: of the output.
            errors: of what is printed to the standard error, if that is apart.
        """
        for stream, piece in ((1, more), (2, errors)):
            if piece:
                self._take(stream, piece)

    def _take(self, stream: int, more: bytes) -> None:
        self.excerpt.add(more)
        listener, self._on_bytes = self._on_bytes, None
        if listener is not None:
            listener(stream, more)  # Once it has raised, it is heard of no more.
            self._on_bytes = listener
        if self._on_output is None:
            return
        *lines, rest = more.split(b"\n")
        for line in lines:
            self._begun += line
            self._hand_on()
        self._begun += rest
        if len(self._begun) >= LONGEST_LINE:
            self._hand_on()

    def rest(self) -> None:
        """Hands on a last line that has no end."""
        if self._begun:
            self._hand_on()

    def _hand_on(self) -> None:
        line = self._begun.decode(errors="replace")
        self._begun.clear()
        listener, self._on_output = self._on_output, None
        if listener is not None:
            listener(line)  # Once it has raised, it is heard of no more.
            self._on_output = listener
