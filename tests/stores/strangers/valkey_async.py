# SPDX-License-Identifier: MIT
"""The same store for asyncio: one connection pool, the same script, no retries."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import redis
import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from haltable import StoreError
from haltable.stores import Conflict, Durability, Entry
from tests.stores.strangers.valkey import SCRIPT, entry, pattern


class AsyncValkeyStore:
    durability = Durability.NOTHING

    def __init__(self, socket: str) -> None:
        self._client: Any = redis.asyncio.Redis(
            unix_socket_path=socket, retry=Retry(NoBackoff(), 0)
        )
        self._script = self._client.register_script(SCRIPT)

    async def read(self, key: str) -> Entry | None:
        return entry((await self._run(key, "read"))[1])

    async def write(self, key: str, value: bytes, *, expected: int) -> Entry | Conflict:
        version, there = await self._run(key, "write", expected, value)
        return Entry(value, version) if version else Conflict(entry(there))

    async def delete(self, key: str, *, expected: int) -> bool:
        return expected > 0 and (await self._run(key, "delete", expected))[0] == 1

    async def scan(self, prefix: str) -> AsyncIterator[tuple[str, Entry]]:
        try:
            keys = {key async for key in self._client.scan_iter(pattern(prefix), count=1000)}
        except redis.RedisError as error:
            raise StoreError(f"Valkey: {error}") from error
        for key in keys:
            there = await self.read(key.decode())
            if there is not None:
                yield key.decode(), there

    async def close(self) -> None:
        await self._client.aclose()

    async def _run(self, key: str, *arguments: object) -> Any:
        try:
            return await self._script([key], arguments)
        except redis.RedisError as error:
            raise StoreError(f"Valkey: {error}") from error
