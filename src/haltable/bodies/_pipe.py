# SPDX-License-Identifier: MIT
"""A pipe that a child writes into, read without ever waiting for its writers.

It knows descriptors, and neither the child nor what the bytes are for.
"""

from __future__ import annotations

import os
import select
from types import TracebackType
from typing import Self

__all__ = ["Pipe"]

_CHUNK = 1 << 16
#: No pipe holds more bytes, unless the machine's owner has allowed it.
_LARGEST = 1 << 20


class Pipe:
    """Both ends of a pipe; leaving the ``with`` block closes them.

    Attributes:
        reader: our end.
        writer: the child's, until `close_writer`.
        ended: whether all writers are known to have closed theirs.
    """

    __slots__ = ("_writing", "ended", "reader", "writer")

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        os.set_blocking(self.reader, False)
        self._writing = True
        self.ended = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close_writer()
        os.close(self.reader)

    def close_writer(self) -> None:
        """Gives up the child's end; once it has one of its own, the end can be seen."""
        if self._writing:
            self._writing = False
            os.close(self.writer)

    def wait(self, seconds: float) -> None:
        """Waits so long at most for something to read."""
        poller = select.poll()  # Unlike `select.select` it takes any descriptor.
        poller.register(self.reader, select.POLLIN)
        poller.poll(seconds * 1000)

    def read(self) -> bytes:
        """Returns some of what is there; nothing if nothing is, or all has ended."""
        try:
            chunk = os.read(self.reader, _CHUNK)
        except BlockingIOError:
            return b""
        self.ended = not chunk
        return chunk

    def rest(self) -> bytes:
        """Returns what a writer that is gone has left: as much as a pipe can hold.

        Other writers may go on for ever, so the end is not waited for.
        """
        rest = bytearray()
        while len(rest) < _LARGEST and (chunk := self.read()):
            rest += chunk
        return bytes(rest)
