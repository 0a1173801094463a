# SPDX-License-Identifier: MIT
"""Stores that hosts would write over the database they have pass the same contract as ours."""

from __future__ import annotations

import pytest

from haltable.testing.store_contract import StoreContract
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
