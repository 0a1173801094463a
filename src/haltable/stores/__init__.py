# SPDX-License-Identifier: MIT
"""Where records are kept: the contract, and the stores that come with haltable.

A store knows keys, bytes and versions, and nothing of loops.  This face loads
a store's module, and with it a driver, only when the store is asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from haltable.store import (
        AsyncStore as AsyncStore,
        Conflict as Conflict,
        Durability as Durability,
        Entry as Entry,
        Store as Store,
    )
    from haltable.stores.memory import MemoryStore as MemoryStore
    from haltable.stores.postgres import PostgresStore as PostgresStore
    from haltable.stores.postgres_async import AsyncPostgresStore as AsyncPostgresStore
    from haltable.stores.postgres_transaction import PostgresTransaction as PostgresTransaction
    from haltable.stores.postgres_transaction_async import (
        AsyncPostgresTransaction as AsyncPostgresTransaction,
    )
    from haltable.stores.redis import RedisStore as RedisStore
    from haltable.stores.redis_async import AsyncRedisStore as AsyncRedisStore
    from haltable.stores.sqlite import SQLiteStore as SQLiteStore
    from haltable.stores.sqlite_transaction import SQLiteTransaction as SQLiteTransaction

__all__ = [
    "AsyncPostgresStore",
    "AsyncPostgresTransaction",
    "AsyncRedisStore",
    "AsyncStore",
    "Conflict",
    "Durability",
    "Entry",
    "MemoryStore",
    "PostgresStore",
    "PostgresTransaction",
    "RedisStore",
    "SQLiteStore",
    "SQLiteTransaction",
    "Store",
]

_HOMES = {
    "AsyncPostgresStore": "haltable.stores.postgres_async",
    "AsyncPostgresTransaction": "haltable.stores.postgres_transaction_async",
    "AsyncRedisStore": "haltable.stores.redis_async",
    "AsyncStore": "haltable.store",
    "Conflict": "haltable.store",
    "Durability": "haltable.store",
    "Entry": "haltable.store",
    "MemoryStore": "haltable.stores.memory",
    "PostgresStore": "haltable.stores.postgres",
    "PostgresTransaction": "haltable.stores.postgres_transaction",
    "RedisStore": "haltable.stores.redis",
    "SQLiteStore": "haltable.stores.sqlite",
    "SQLiteTransaction": "haltable.stores.sqlite_transaction",
    "Store": "haltable.store",
}


if not TYPE_CHECKING:  # Or checkers would believe that every name is there.

    def __getattr__(name: str) -> object:
        home = _HOMES.get(name)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(home), name)
        globals()[name] = value  # The next look-up finds it without asking here.
        return value


def __dir__() -> list[str]:
    return [*__all__]
