# SPDX-License-Identifier: MIT
"""A host's own store over Valkey or Redis, with the synchronous client.

The client must not retry: by default it sends a write whose reply is late once
more.  One script a write, so that look, write and time are one step.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

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


class ValkeyStore:
    # What an acknowledged write survives is the server's setting: this one keeps nothing.
    durability = Durability.NOTHING

    def __init__(self, socket: str) -> None:
        self._client: Any = redis.Redis(unix_socket_path=socket, retry=Retry(NoBackoff(), 0))
        self._script = self._client.register_script(SCRIPT)

    def read(self, key: str) -> Entry | None:
        return entry(self._run(key, "read")[1])

    def write(self, key: str, value: bytes, *, expected: int) -> Entry | Conflict:
        version, there = self._run(key, "write", expected, value)
        return Entry(value, version) if version else Conflict(entry(there))

    def delete(self, key: str, *, expected: int) -> bool:
        return expected > 0 and self._run(key, "delete", expected)[0] == 1

    def scan(self, prefix: str) -> Iterator[tuple[str, Entry]]:
        # The server may name a key more than once.
        for key in set(self._asked(self._client.scan_iter, pattern(prefix), count=1000)):
            there = self.read(key.decode())
            if there is not None:
                yield key.decode(), there

    def close(self) -> None:
        self._client.close()

    def _run(self, key: str, *arguments: object) -> Any:
        return self._asked(self._script, [key], arguments)

    def _asked(self, ask: Callable[..., Any], *arguments: object, **named: object) -> Any:
        try:
            answer = ask(*arguments, **named)
            return list(answer)
        except redis.RedisError as error:
            raise StoreError(f"Valkey: {error}") from error


def entry(there: list[bytes] | None) -> Entry | None:
    """Returns what the script found, if anything."""
    if not there:
        return None
    value, version, age = there
    return Entry(value, int(version), max(0.0, float(age)))


def pattern(prefix: str) -> str:
    """Returns the pattern that matches what starts with the prefix, and nothing else."""
    return PATTERN.sub(r"\\\1", prefix) + "*"
