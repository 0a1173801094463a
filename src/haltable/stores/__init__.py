# SPDX-License-Identifier: MIT
"""Where records are kept: the contract, and the stores that come with haltable.

A store knows keys, bytes and versions, and nothing of loops.  This face loads
a store's module, and with it a driver, only when the store is asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from haltable.store import AsyncStore, Conflict, Durability, Entry, Store
    from haltable.stores.memory import MemoryStore
    from haltable.stores.sqlite import SQLiteStore

__all__ = [
    "AsyncStore",
    "Conflict",
    "Durability",
    "Entry",
    "MemoryStore",
    "SQLiteStore",
    "Store",
]

_HOMES = {
    "AsyncStore": "haltable.store",
    "Conflict": "haltable.store",
    "Durability": "haltable.store",
    "Entry": "haltable.store",
    "MemoryStore": "haltable.stores.memory",
    "SQLiteStore": "haltable.stores.sqlite",
    "Store": "haltable.store",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(importlib.import_module(home), name)


def __dir__() -> list[str]:
    return sorted(__all__)
