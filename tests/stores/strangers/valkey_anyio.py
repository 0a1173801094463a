# SPDX-License-Identifier: MIT
"""A host's own store over Valkey or Redis, without any client, on asyncio and on trio.

It speaks the protocol itself.  One script a write, so that look, write and time
are one step, and no write is ever sent twice.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import anyio
import anyio.abc
from anyio.streams.buffered import BufferedByteReceiveStream

from haltable import StoreError
from haltable.stores import Conflict, Durability, Entry

# A deleted key keeps its version, so that no version is given out twice.
SCRIPT = """
local value, version, written = unpack(redis.call('HMGET', KEYS[1], 'value', 'version', 'written'))
local at = redis.call('TIME')
local now = at[1] * 1000000 + at[2]
local there = value and {value, version, tostring((now - written) / 1000000)} or false
if ARGV[1] == 'read' or (value and version or '0') ~= ARGV[2] then
    return {0, there}
end
if ARGV[1] == 'write' then
    redis.call('HSET', KEYS[1], 'value', ARGV[3], 'written', string.format('%.0f', now))
    return {redis.call('HINCRBY', KEYS[1], 'version', 1), false}
end
return {redis.call('HDEL', KEYS[1], 'value'), false}
"""
PATTERN = re.compile(r"([\\*?\[\]^-])")


class AnyioValkeyStore:
    durability = Durability.NOTHING

    def __init__(self, socket: str) -> None:
        self._socket = socket
        self._stream: anyio.abc.SocketStream | None = None
        self._lock = anyio.Lock()

    async def read(self, key: str) -> Entry | None:
        return entry((await self._run(key, "read"))[1])

    async def write(self, key: str, value: bytes, *, expected: int) -> Entry | Conflict:
        version, there = await self._run(key, "write", expected, value)
        return Entry(value, version) if version else Conflict(entry(there))

    async def delete(self, key: str, *, expected: int) -> bool:
        return expected > 0 and (await self._run(key, "delete", expected))[0] == 1

    async def scan(self, prefix: str) -> AsyncIterator[tuple[str, Entry]]:
        cursor, seen = b"0", set[bytes]()
        while True:
            cursor, keys = await self._ask("SCAN", cursor, "MATCH", pattern(prefix))
            for key in set(keys) - seen:
                there = await self.read(key.decode())
                if there is not None:
                    yield key.decode(), there
            seen.update(keys)
            if cursor == b"0":
                return

    async def close(self) -> None:
        if self._stream is not None:
            await self._stream.aclose()

    async def _run(self, key: str, *arguments: object) -> Any:
        return await self._ask("EVAL", SCRIPT, 1, key, *arguments)

    async def _ask(self, *words: object) -> Any:
        sent = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        request = b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in sent)
        async with self._lock:
            if self._stream is None:
                self._stream = await anyio.connect_unix(self._socket)
            stream, self._stream = self._stream, None
            try:
                await stream.send(b"*%d\r\n%b" % (len(sent), request))
                answer = await _answer(BufferedByteReceiveStream(stream))
                self._stream = stream
            except (OSError, anyio.EndOfStream, anyio.BrokenResourceError) as error:
                raise StoreError(f"Valkey: {error}") from error
            finally:
                # A call that was cut off takes its connection, and its answer, with it.
                if self._stream is None:
                    await anyio.aclose_forcefully(stream)
        if isinstance(answer, StoreError):
            raise answer
        return answer


async def _answer(stream: BufferedByteReceiveStream) -> Any:
    line = await stream.receive_until(b"\r\n", 65536)
    kind, rest = line[:1], line[1:]
    if kind == b"-":
        return StoreError(f"Valkey: {rest.decode()}")
    number = int(rest)
    if kind == b"$" and number >= 0:
        return (await stream.receive_exactly(number + 2))[:-2]
    if kind == b"*":
        return [await _answer(stream) for _ in range(number)]
    return number if kind == b":" else None


def entry(there: list[bytes] | None) -> Entry | None:
    """Returns what the script found, if anything."""
    if not there:
        return None
    value, version, age = there
    return Entry(value, int(version), max(0.0, float(age)))


def pattern(prefix: str) -> str:
    """Returns the pattern that matches what starts with the prefix, and nothing else."""
    return PATTERN.sub(r"\\\1", prefix) + "*"
