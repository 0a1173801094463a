# SPDX-License-Identifier: MIT
"""A pipe that a child writes into, read without ever waiting for its writers.

It knows descriptors, and neither the child nor what the bytes are for.
"""

from __future__ import annotations

import fcntl
import os
from types import TracebackType
from typing import Self

__all__ = ["Pipe", "above_streams"]

_CHUNK = 1 << 16
#: No pipe holds more bytes, unless the machine's owner has allowed it.
_LARGEST = 1 << 20


def above_streams(descriptor: int) -> int:
    """Returns a descriptor that a child can get under the same number.

    In a host that has closed its standard streams, new ones take their numbers,
    which are others in a child.
    """
    if descriptor > 2:
        return descriptor
    copy = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 3)
    os.close(descriptor)
    return copy


class Pipe:
    """Both ends of a pipe; leaving the ``with`` block closes them.

    Attributes:
        reader: the end to read from, until `close_reader`.
        writer: the end to write into, until `close_writer`.
        ended: whether all writers are known to have closed theirs.
    """

    __slots__ = ("_open", "ended", "reader", "writer")

    def __init__(self) -> None:
        self.reader, self.writer = map(above_streams, os.pipe())
        os.set_blocking(self.reader, False)
        self._open = {self.reader, self.writer}
        self.ended = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes whatever is still open."""
        self.close_writer()
        self.close_reader()

    def close_reader(self) -> None:
        """Gives up the end to read from."""
        self._close(self.reader)

    def close_writer(self) -> None:
        """Gives up the end to write into; once no child has one either, the end can be seen."""
        self._close(self.writer)

    def _close(self, descriptor: int) -> None:
        if descriptor in self._open:
            self._open.remove(descriptor)
            os.close(descriptor)

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
