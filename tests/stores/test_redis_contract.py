# SPDX-License-Identifier: MIT
"""The stores on Redis pass the suite that a host's own store must pass, on one server and many."""

from __future__ import annotations

import pytest
import redis
import redis.asyncio

from haltable.stores import AsyncRedisStore, Durability, RedisStore
from haltable.testing.store_contract import StoreContract

#: The servers of these tests keep nothing, and this says that it is meant.
KEPT = Durability.NOTHING
CLUSTER = {"decode_responses": True, "socket_timeout": 5}


class RedisContract(StoreContract):
    @pytest.fixture(autouse=True)
    def _server(self, redis_url):
        self.url = redis_url

    def client(self):
        return redis.Redis.from_url(self.url)

    def make_store(self):
        return RedisStore(self.client(), durability=KEPT)

    def close_store(self, store):
        store.close()

    def another_handle(self, store):
        return self.make_store()


class TestRedisStore(RedisContract):
    pass


class TestRedisStoreOfAClientThatDecodes(RedisContract):
    def client(self):
        return redis.Redis.from_url(self.url, decode_responses=True, protocol=3)


class TestRedisStoreOfAClientThatWaitsForItsTurn(RedisContract):
    def client(self):
        pool = redis.BlockingConnectionPool.from_url(self.url, max_connections=2)
        return redis.Redis.from_pool(pool)


class TestAsyncRedisStore(StoreContract):
    backends = ("asyncio",)

    @pytest.fixture(autouse=True)
    def _server(self, redis_url):
        self.url = redis_url

    async def make_store(self):
        return AsyncRedisStore(redis.asyncio.Redis.from_url(self.url), durability=KEPT)

    async def close_store(self, store):
        await store.aclose()

    def another_handle(self, store):
        return self.make_store()


class TestRedisStoreOnACluster(StoreContract):
    @pytest.fixture(autouse=True)
    def _server(self, redis_cluster_port):
        with redis.RedisCluster("127.0.0.1", redis_cluster_port, **CLUSTER) as self.cluster:
            yield

    def make_store(self):
        return RedisStore(self.cluster, durability=KEPT)

    def close_store(self, store):
        store.close()

    def another_handle(self, store):
        return self.make_store()


class TestAsyncRedisStoreOnACluster(StoreContract):
    backends = ("asyncio",)

    @pytest.fixture(autouse=True)
    def _server(self, redis_cluster_port):
        self.port = redis_cluster_port

    async def make_store(self):
        cluster = redis.asyncio.RedisCluster("127.0.0.1", self.port, **CLUSTER)
        return AsyncRedisStore(cluster, durability=KEPT)

    async def close_store(self, store):
        await store._route._client.aclose()

    def another_handle(self, store):
        return self.make_store()
