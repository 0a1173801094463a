# SPDX-License-Identifier: MIT
"""Where a request and a reply end on the wires of Redis and PostgreSQL.

It looks at bytes and knows no connection: a proxy that cuts exactly one request
of many must know where it begins and where it ends.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Protocol

__all__ = ["PostgresWire", "RedisWire", "Wire"]

_LENGTH = struct.Struct("!i")
#: What a client of PostgreSQL sends before it waits: the end of a batch of
#: messages, a query, a password; or that it goes.
_TURNS = (b"S", b"Q", b"p", b"X")
#: PostgreSQL goes on by itself after these; any other authentication asks the client.
_ACCEPTED = (0, 12)
#: The first half of the protocol's number; other openings ask for something else.
_PROTOCOL = 3


class Wire(Protocol):
    """One server's manner of speaking; a length is 0 while something is missing."""

    def request_length(self, data: bytes, *, first: bool) -> int:
        """Returns how long the request is that the data begins with."""

    def reply_length(self, data: bytes) -> int:
        """Returns how long the reply is that the data begins with."""

    def is_answered(self, request: bytes, *, first: bool) -> bool:
        """Says whether there will be a reply."""

    def is_work(self, request: bytes, *, first: bool) -> bool:
        """Says whether it is more than the opening or the end of a connection."""


class RedisWire:
    """RESP, in both its versions."""

    def request_length(self, data: bytes, *, first: bool) -> int:
        del first
        return self.reply_length(data)

    def reply_length(self, data: bytes) -> int:
        return _end_of_value(data, 0) or 0

    def is_answered(self, request: bytes, *, first: bool) -> bool:
        del request, first
        return True

    def is_work(self, request: bytes, *, first: bool) -> bool:
        del first
        return request.split(b"\r\n")[2] not in {b"HELLO", b"CLIENT", b"AUTH", b"SELECT"}


class PostgresWire:
    """PostgreSQL's protocol, unencrypted."""

    def request_length(self, data: bytes, *, first: bool) -> int:
        if first:  # It has no type.
            length = _LENGTH.unpack_from(data)[0] if len(data) >= _LENGTH.size else 0
            return length if length <= len(data) else 0
        return next((end for kind, _, end in _messages(data) if kind in _TURNS), 0)

    def reply_length(self, data: bytes) -> int:
        for kind, start, end in _messages(data):
            asks = kind == b"R" and _LENGTH.unpack_from(data, start)[0] not in _ACCEPTED
            if kind == b"Z" or asks:
                return end
        return 0

    def is_answered(self, request: bytes, *, first: bool) -> bool:
        if first:  # A request to cancel another one is not.
            return _LENGTH.unpack_from(request, _LENGTH.size)[0] >> 16 == _PROTOCOL
        return request[:1] != b"X"

    def is_work(self, request: bytes, *, first: bool) -> bool:
        return not first and request[:1] not in {b"p", b"X"}


def _messages(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yields the type of each whole message, where its content begins, and where it ends."""
    at = 0
    while at + 1 + _LENGTH.size <= len(data):
        end = at + 1 + _LENGTH.unpack_from(data, at + 1)[0]
        if end > len(data):
            return
        yield data[at : at + 1], at + 1 + _LENGTH.size, end
        at = end


def _end_of_value(data: bytes, at: int) -> int | None:
    """Returns where the value ends that begins at an offset; None while something is missing."""
    line_end = data.find(b"\r\n", at)
    if line_end < 0:
        return None
    kind, end = data[at : at + 1], line_end + 2
    if kind in (b"$", b"=", b"!"):
        length = int(data[at + 1 : line_end])
        end = end if length < 0 else end + length + 2
        return end if end <= len(data) else None
    if kind in (b"*", b"~", b">", b"%"):
        values = max(0, int(data[at + 1 : line_end])) * (2 if kind == b"%" else 1)
        for _ in range(values):
            following = _end_of_value(data, end)
            if following is None:
                return None
            end = following
    return end
