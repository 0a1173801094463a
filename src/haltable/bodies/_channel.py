# SPDX-License-Identifier: MIT
"""Messages between us and an isolated function: one line of JSON each, never trusted.

It reads and writes what there is and never waits.  What the messages mean it
knows no more than their kinds.
"""

from __future__ import annotations

import json
import socket
from typing import Any, cast

from haltable.bodies._pipe import above_streams
from haltable.bodies.isolated_failed import IsolatedFailed
from haltable.errors import LoopInterrupt

__all__ = ["Channel"]

#: By which of its fields a message is known: what asks, what answers, what ends.
_KINDS = frozenset({"verb", "ran", "failed", "returned", "raised", "interrupted"})
_CHUNK = 1 << 16


class Channel:
    """Our end of the line to an isolated function.

    Args:
        name: the function's.
        limit: how many bytes one message may have.

    Attributes:
        interrupt: the interrupt that the function was told of, if it was.
        own: the failure of one of its effects, which it has the original of.
        ended: whether it is known to say nothing more.
        broken: what it did that no function of ours does, once it has.
    """

    def __init__(self, name: str, limit: int) -> None:
        self.name = name
        self.interrupt: LoopInterrupt | None = None
        self.own: Exception | None = None
        self.broken: IsolatedFailed | None = None
        self._limit = limit
        self._ours, its = socket.socketpair()
        self._its = socket.socket(fileno=above_streams(its.detach()))
        self._ours.settimeout(0)  # It never waits.
        self._heard, self._unsent = bytearray(), bytearray()
        self.ended = False

    @property
    def handed(self) -> int:
        """The other end, for the child."""
        return self._its.fileno()

    @property
    def readers(self) -> tuple[int, ...]:
        """Our end, as long as there may be something to read that is of use now."""
        return () if self.ended or self._unsent else (self._ours.fileno(),)

    @property
    def writers(self) -> tuple[int, ...]:
        """Our end, as long as there is something to write."""
        return (self._ours.fileno(),) if self._unsent else ()

    def let_go(self) -> None:
        """Gives up the child's end, once it has its own."""
        self._its.close()

    def close(self) -> None:
        """Gives up both ends."""
        self._its.close()
        self._ours.close()

    def say(self, message: dict[str, Any]) -> None:
        """Sends a message, now or as soon as it can be."""
        self._unsent += json.dumps(message, default=repr).encode() + b"\n"
        self.pump()

    def pump(self) -> None:
        """Reads and writes what there is to read and to write."""
        try:
            if self._unsent:
                del self._unsent[: self._ours.send(self._unsent, _NO_SIGNAL)]
        except BlockingIOError:
            pass  # It reads slowly.
        except OSError:
            self._unsent.clear()  # It reads no more, which its end will tell.
        try:
            while not self.ended and not self._unsent and len(self._heard) <= self._limit:
                chunk = self._ours.recv(_CHUNK)
                self._heard += chunk
                self.ended = not chunk
        except BlockingIOError:
            pass  # It has nothing more to say.
        except OSError:
            self.ended = True

    def next(self) -> dict[str, Any] | None:
        """Returns the next message, None if there is none yet.

        Raises:
            IsolatedFailed: if what was said is no message.
        """
        end = self._heard.find(b"\n")
        if end < 0 and len(self._heard) <= self._limit:
            return None
        if not 0 <= end <= self._limit:
            raise self.fault(f"sent a message of more than {self._limit} bytes")
        line = bytes(self._heard[:end])
        del self._heard[: end + 1]
        try:
            message = json.loads(line, parse_constant=_refused)
        except (ValueError, RecursionError):
            message = None
        if not isinstance(message, dict) or len(_KINDS & message.keys()) != 1:
            raise self.fault(f"sent what is no message: {line[:40]!r}")
        return cast("dict[str, Any]", message)

    @property
    def more(self) -> bool:
        """Whether something was said that nobody has asked for."""
        return bool(self._heard)

    def fault(self, what: str) -> IsolatedFailed:
        """Returns what its misbehaviour is reported as, and remembers it."""
        self.broken = IsolatedFailed(self.name, None, what)
        return self.broken


def _refused(constant: str) -> object:
    raise ValueError(constant)


#: Where a signal would tell of a closed pipe, which may be the end of a host that left it so.
_NO_SIGNAL: int = getattr(socket, "MSG_NOSIGNAL", 0)
