# SPDX-License-Identifier: MIT
"""The stores on PostgreSQL pass the suite that a host's own store must pass.

Over each kind of source: a connection, a pool, a factory, and a new connection
for every call, as behind a pooler where each statement has another backend.
"""

from __future__ import annotations

import uuid
from contextlib import contextmanager
from functools import partial

import anyio
import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from haltable import StoreError
from haltable.stores import (
    AsyncPostgresStore,
    AsyncPostgresTransaction,
    PostgresStore,
    PostgresTransaction,
)
from haltable.testing.store_contract import StoreContract


class PostgresContract(StoreContract):
    @pytest.fixture(autouse=True)
    def _server(self, postgres_url):
        self.url = postgres_url
        with PostgresStore(self.connect) as store:
            store.create_schema()

    def connect(self):
        return psycopg.connect(self.url, autocommit=True)

    def another_handle(self, store):
        return self.make_store()


class TestOverAFactory(PostgresContract):
    def make_store(self):
        return PostgresStore(self.connect)

    def close_store(self, store):
        store.close()


class TestOverAFactoryThatIsNotInAutocommit(TestOverAFactory):
    def connect(self):
        return psycopg.connect(self.url)


class TestOverAConnection(PostgresContract):
    def make_store(self):
        return PostgresStore(self.connect())

    def close_store(self, store):
        store._source._given.close()


class TestOverAConnectionThatPrepares(TestOverAConnection):
    def make_store(self):
        return PostgresStore(self.connect(), prepare=True)


class TestOverAPool(PostgresContract):
    autocommit = True

    def make_store(self):
        values = {"autocommit": self.autocommit}
        return PostgresStore(
            ConnectionPool(self.url, kwargs=values, min_size=1, max_size=3, open=True)
        )

    def close_store(self, store):
        store._source._given.close()


class TestOverAPoolThatIsNotInAutocommit(TestOverAPool):
    autocommit = False


class Pooler:
    """A pool whose every connection is another backend, as behind a transaction pooler."""

    def __init__(self, url):
        self.url = url

    @contextmanager
    def connection(self):
        with psycopg.connect(self.url, autocommit=True, prepare_threshold=0) as connection:
            yield connection


class TestOverAnotherBackendForEachCall(PostgresContract):
    def make_store(self):
        return PostgresStore(Pooler(self.url))


class AsyncPostgresContract(PostgresContract):
    backends = ("asyncio",)

    async def aconnect(self):
        return await psycopg.AsyncConnection.connect(self.url, autocommit=True)


class TestAsyncOverAFactory(AsyncPostgresContract):
    async def make_store(self):
        return AsyncPostgresStore(self.aconnect)

    async def close_store(self, store):
        await store.close()


class TestAsyncOverAConnection(AsyncPostgresContract):
    async def make_store(self):
        return AsyncPostgresStore(await self.aconnect())

    def test_a_call_that_is_cut_off(self):
        """A cancelled call takes the connection with it, and every later call says so."""
        anyio.run(self.cut_off)

    async def cut_off(self):
        store = await self.make_store()
        key = uuid.uuid4().hex
        written = await store.write(key, b"first", expected=0)
        with anyio.move_on_after(0.2) as scope:
            await store._run("wait", b"SELECT pg_sleep(60)")
        with pytest.raises(StoreError) as caught:
            await store.write(key, b"second", expected=written.version)
        await store._source._given.close()

        assert scope.cancelled_caught
        assert caught.value.outcome == "refused"
        # Which of the two the driver leaves behind depends on its version.
        said = str(caught.value)
        assert "the connection is closed" in said or "in the middle of a statement" in said
        with PostgresStore(self.connect) as other:
            assert other.read(key).value == b"first"

    async def close_store(self, store):
        await store._source._given.close()


class TestAsyncOverAConnectionThatPrepares(TestAsyncOverAConnection):
    async def make_store(self):
        return AsyncPostgresStore(await self.aconnect(), prepare=True)


class TestAsyncOverAPool(AsyncPostgresContract):
    async def make_store(self):
        opened = partial(AsyncConnectionPool, self.url, open=False, min_size=1, max_size=3)
        pool = opened(kwargs={"autocommit": True})
        await pool.open()
        return AsyncPostgresStore(pool)

    async def close_store(self, store):
        await store._source._given.close()


class TestInATransaction(PostgresContract):
    def make_store(self):
        connection = self.connect()
        connection.execute("BEGIN")
        return PostgresTransaction(connection)

    def close_store(self, store):
        store._connection.close()

    def another_handle(self, store):
        return PostgresTransaction(store._connection)


class TestAsyncInATransaction(AsyncPostgresContract):
    async def make_store(self):
        connection = await psycopg.AsyncConnection.connect(self.url)
        return AsyncPostgresTransaction(connection)

    async def close_store(self, store):
        await store._connection.close()

    def another_handle(self, store):
        return AsyncPostgresTransaction(store._connection)

    def test_a_call_that_is_cut_off(self):
        """A cancelled call takes the connection and the transaction with it, and says so."""
        anyio.run(self.cut_off)

    async def cut_off(self):
        store = await self.make_store()
        written = await store.write(uuid.uuid4().hex, b"first", expected=0)
        with anyio.move_on_after(0.2) as scope:
            await store._run("wait", b"SELECT pg_sleep(60)")
        with pytest.raises(StoreError) as caught:
            await store.write("key", b"second", expected=written.version)
        await store._connection.close()

        assert scope.cancelled_caught
        assert caught.value.outcome == "refused"
        # Which of the two the driver leaves behind depends on its version.
        said = str(caught.value)
        assert "the connection is closed" in said or "in the middle of a statement" in said
