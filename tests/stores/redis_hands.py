# SPDX-License-Identifier: MIT
"""Stores on Redis over each kind of client, all with the same plain verbs.

So that what befalls a server is shown once, for the synchronous and for the
asynchronous store alike.  It starts no server.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import redis
import redis.asyncio
from anyio.from_thread import start_blocking_portal

from haltable.stores import AsyncRedisStore, RedisStore
from tests.stores.awaited import Awaited


@contextlib.contextmanager
def called(url: str, client: dict[str, Any] | None = None, **options: Any) -> Iterator[Any]:
    """Opens a store over a client that blocks.

    Args:
        url: where the server is.
        client: how the client is made; with ``cluster=True`` it is one of a cluster.
        options: how the store is made.
    """
    given = {"cluster": False, **(client or {})}
    if given.pop("cluster"):
        # Made from a URL, redis-py's leaves a connection open when it is closed.
        host: Any = redis.RedisCluster(*_address(url), **given)
    else:
        host = redis.Redis.from_url(url, **given)
    with host, RedisStore(host, **options) as store:
        yield store


@contextlib.contextmanager
def awaited(url: str, client: dict[str, Any] | None = None, **options: Any) -> Iterator[Any]:
    """Opens a store over a client that is awaited; its arguments are the same."""
    given = {"cluster": False, **(client or {})}
    kind = redis.asyncio.RedisCluster if given.pop("cluster") else redis.asyncio.Redis

    async def made() -> tuple[Any, AsyncRedisStore]:
        host = kind.from_url(url, **given)
        return host, AsyncRedisStore(host, **options)

    with start_blocking_portal("asyncio") as portal:
        host, store = portal.call(made)
        try:
            with Awaited(store, portal) as opened:
                yield opened
        finally:
            portal.call(host.aclose)


def _address(url: str) -> tuple[str, int]:
    address = urlsplit(url)
    return address.hostname or "", address.port or 0


#: Each of both.
OPENERS = (called, awaited)
