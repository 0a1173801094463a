# SPDX-License-Identifier: MIT
"""The stores that come with haltable pass the suite that a host's own store must pass."""

from __future__ import annotations

import sqlite3
from typing import Literal

import pytest

from haltable.stores import Durability, MemoryStore, SQLiteStore, SQLiteTransaction
from haltable.testing.store_contract import StoreContract


class TestMemoryStore(StoreContract):
    def make_store(self):
        return MemoryStore()


class SQLiteContract(StoreContract):
    durability: Literal["process", "machine"]

    @pytest.fixture(autouse=True)
    def _file(self, tmp_path):
        self.path = tmp_path / "loops.db"

    def make_store(self):
        return SQLiteStore(self.path, self.durability)

    def close_store(self, store):
        store.close()

    def another_handle(self, store):
        return SQLiteStore(self.path, self.durability, create=False)


class TestSQLiteStoreForTheProcess(SQLiteContract):
    durability = "process"


class TestSQLiteStoreForTheMachine(SQLiteContract):
    durability = "machine"


class Found:
    """What a scan found, as a host may hand it out: an async iterator, and no generator."""

    def __init__(self, entries):
        self._entries = iter(entries)

    def __aiter__(self):
        return self

    async def __anext__(self):
        for found in self._entries:
            return found
        raise StopAsyncIteration


class Iterated:
    """A host's async store over a dictionary, whose scans need not be closed."""

    durability = Durability.NOTHING

    def __init__(self):
        self._held = MemoryStore()

    async def read(self, key):
        return self._held.read(key)

    async def write(self, key, value, *, expected):
        return self._held.write(key, value, expected=expected)

    async def delete(self, key, *, expected):
        return self._held.delete(key, expected=expected)

    def scan(self, prefix):
        return Found(self._held.scan(prefix))


class TestAStoreWhoseScansAreIterators(StoreContract):
    async def make_store(self):
        return Iterated()


class TestSQLiteTransaction(StoreContract):
    @pytest.fixture(autouse=True)
    def _file(self, tmp_path):
        self.path = tmp_path / "shop.db"

    def make_store(self):
        # Shared by threads, as the races want it; a host's own connection need not be.
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        connection.execute("BEGIN IMMEDIATE")
        store = SQLiteTransaction(connection)
        store.create()
        return store

    def close_store(self, store):
        store._connection.close()

    def another_handle(self, store):
        return SQLiteTransaction(store._connection)
