# SPDX-License-Identifier: MIT
"""Stores that hosts would write over the database they have pass the same contract as ours."""

from __future__ import annotations

import pytest

from haltable.testing.store_contract import StoreContract
from tests.stores.strangers.postgres import PostgresStore
from tests.stores.strangers.postgres_async import AsyncPostgresStore
from tests.stores.strangers.valkey_anyio import AnyioValkeyStore


class TestAnyioValkeyStore(StoreContract):
    @pytest.fixture(autouse=True)
    def _server(self, valkey_socket):
        self.socket = valkey_socket

    async def make_store(self):
        return AnyioValkeyStore(self.socket)

    async def close_store(self, store):
        await store.close()

    def another_handle(self, store):
        return self.make_store()


class TestPostgresStore(StoreContract):
    @pytest.fixture(autouse=True)
    def _server(self, postgres_url):
        self.url = postgres_url

    def make_store(self):
        return PostgresStore(self.url)

    def close_store(self, store):
        store.close()

    def another_handle(self, store):
        return self.make_store()


class TestAsyncPostgresStore(StoreContract):
    backends = ("asyncio",)

    @pytest.fixture(autouse=True)
    def _server(self, postgres_url):
        self.url = postgres_url

    async def make_store(self):
        return await AsyncPostgresStore.connect(self.url)

    async def close_store(self, store):
        await store.close()

    def another_handle(self, store):
        return self.make_store()
