# SPDX-License-Identifier: MIT
"""The stores that come with haltable pass the suite that a host's own store must pass."""

from __future__ import annotations

from typing import Literal

import pytest

from haltable.stores import MemoryStore, SQLiteStore
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
