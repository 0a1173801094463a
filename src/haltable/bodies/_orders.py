# SPDX-License-Identifier: MIT
"""The keeper's end of its line: the orders that come in, and what is said of them.

It knows messages and descriptors, and starts nothing.  The keeper loads it, so
that it loads little.

A message has its length before it, in four bytes.  An order is a dict: ``order``
(its number), ``names`` (of the descriptors that come with it), ``numbers`` (what
is added to the environment), and among the descriptors a file that holds the
``task``, unless that is the same as of the order before.  A string asks for the
end of the order that is being carried out.
"""

from __future__ import annotations

import _socket
import marshal
import os

TYPE_CHECKING = False  # Importing `typing` would be a sixth of the keeper's start.
if TYPE_CHECKING:
    from typing import Any

if TYPE_CHECKING or __package__:
    from haltable.bodies._order import Order
else:  # It runs beside the package, not in it, to load nothing of that.
    from _order import Order

__all__ = ["Orders"]

#: Bytes that are read of the line at once, and descriptors that come with them.
_CHUNK, _DESCRIPTORS = 1 << 12, 8
#: Bytes before each message, which hold its length.
_LENGTH = 4


class Orders:
    """The line, read without ever waiting.

    Args:
        descriptor: of the line.

    Attributes:
        order: the one that is to be carried out; set to None afterwards.
        ended: whether nobody gives orders any more.
    """

    def __init__(self, descriptor: int) -> None:
        self.order: Order | None = None
        self.ended = False
        self._line = _socket.socket(fileno=descriptor)
        self._line.setblocking(False)
        self._told = b""
        self._came: list[int] = []

    def hear(self) -> None:
        """Takes in what has come."""
        flags = getattr(_socket, "MSG_CMSG_CLOEXEC", 0)
        room = _socket.CMSG_SPACE(_DESCRIPTORS * 4)
        try:
            more, extra, _, _ = self._line.recvmsg(_CHUNK, room, flags)
        except BlockingIOError:
            return
        except OSError:
            more, extra = b"", []  # Whoever was there has gone in the midst of it.
        self.ended = not more
        self._told += more
        for _, _, numbers in extra:
            came: list[int] = memoryview(numbers).cast("i").tolist()
            for descriptor in () if flags else came:
                os.set_inheritable(descriptor, False)
            self._came += came
        while len(self._told) >= _LENGTH:
            end = int.from_bytes(self._told[:_LENGTH], "big") + _LENGTH
            if len(self._told) < end:
                break
            message, self._told = self._told[_LENGTH:end], self._told[end:]
            self._take(marshal.loads(message))

    def _take(self, message: dict[str, Any] | str) -> None:
        if isinstance(message, dict):
            came, self._came = self._came, []
            self.order = Order(message, came)
        elif self.order is not None:  # Otherwise it crossed the word that all is over.
            self.order.ending = True
            self.order.at_once = self.order.at_once or message == "at once"

    def say(self, words: bytes) -> None:
        """Says how it goes."""
        try:
            self._line.send(words)
        except OSError:
            pass  # Nobody is there to be told.
