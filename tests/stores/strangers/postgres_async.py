# SPDX-License-Identifier: MIT
"""The same store for asyncio: the same statements over psycopg's asynchronous connection."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Self

import anyio
import psycopg

from haltable import StoreError
from haltable.stores import Conflict, Durability, Entry
from tests.stores.strangers.postgres import (
    DELETE,
    READ,
    SCAN,
    TABLE,
    WRITE,
    first,
    outcome,
)


class AsyncPostgresStore:
    durability = Durability.MACHINE

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: psycopg.AsyncConnection[Any] | None = None
        self._lock = anyio.Lock()

    @classmethod
    async def connect(cls, url: str) -> Self:
        store = cls(url)
        await store._run(TABLE)
        return store

    async def read(self, key: str) -> Entry | None:
        return first(await self._run(READ, key=key))

    async def write(self, key: str, value: bytes, *, expected: int) -> Entry | Conflict:
        return outcome(value, await self._run(WRITE, key=key, value=value, expected=expected))

    async def delete(self, key: str, *, expected: int) -> bool:
        return bool(await self._run(DELETE, key=key, expected=expected))

    async def scan(self, prefix: str) -> AsyncIterator[tuple[str, Entry]]:
        for key, version, value, age in await self._run(SCAN, key=prefix):
            yield key, Entry(value, version, max(0.0, age))

    async def close(self) -> None:
        if self._connection is not None:
            await self._connection.close()

    async def _run(self, statement: Any, **values: object) -> list[Any]:
        try:
            async with self._lock:
                # A call that was cancelled takes its connection with it.
                if self._connection is None or self._connection.closed:
                    connect = psycopg.AsyncConnection.connect
                    self._connection = await connect(self._url, autocommit=True)
                cursor = await self._connection.execute(statement, values or None, binary=True)
                return await cursor.fetchall() if cursor.description else []
        except psycopg.Error as error:
            raise StoreError(f"PostgreSQL: {error}") from error
