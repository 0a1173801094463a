# SPDX-License-Identifier: MIT
"""Keyed loops run on stores that hosts wrote, over real servers, as on ours."""

from __future__ import annotations

import uuid
from contextlib import asynccontextmanager

import anyio
import pytest

from haltable import IterationCap, Loop, LoopBusy, Status
from tests.stores.strangers.valkey_anyio import AnyioValkeyStore


@pytest.fixture
def servers(valkey_socket):
    """Where the servers listen."""
    return {"valkey": valkey_socket}


@pytest.fixture
def address(server, servers):
    """Where the server of this test listens."""
    return servers[server]


@asynccontextmanager
async def opened(kind, address):
    """Opens an async store, and closes it."""
    store = kind(address)
    try:
        yield store
    finally:
        await store.close()


ASYNC = [
    pytest.param(AnyioValkeyStore, "valkey", "asyncio", id="valkey-asyncio"),
    pytest.param(AnyioValkeyStore, "valkey", "trio", id="valkey-trio"),
]


@pytest.mark.parametrize(("kind", "server", "backend"), ASYNC)
def test_an_async_stranger_carries_an_async_loop(kind, address, backend):
    """Counts, verdict and result are one record on a host's own async store."""
    key = f"orders-{uuid.uuid4()}"
    tries = []

    async def body(iteration):
        tries.append(iteration.fence)
        if iteration.starts < 3:
            raise OSError("not yet")
        iteration.done({"order": 7})

    async def main():
        async with opened(kind, address) as store:
            loop = Loop(IterationCap(9), key=key, store=store)
            return await loop.arun(body), await loop.arun(body)

    first, second = anyio.run(main, backend=backend)

    assert (first.unwrap(), second.unwrap(), second.ran) == ({"order": 7}, {"order": 7}, False)
    assert len(tries) == 3
    assert tries == sorted(set(tries))


@pytest.mark.parametrize(("kind", "server", "backend"), ASYNC)
def test_an_async_stranger_lets_one_run_in(kind, address, backend):
    """A second run of a key that is being run is told who runs it, and runs nothing."""
    key = f"orders-{uuid.uuid4()}"
    refusals = []

    async def main():
        async with opened(kind, address) as store:
            loop = Loop(IterationCap(2), key=key, store=store)

            async def body(iteration):
                try:
                    await loop.arun(body)
                except LoopBusy as busy:
                    refusals.append(busy.key)
                if iteration.starts == 2:
                    iteration.done()

            return await loop.arun(body)

    report = anyio.run(main, backend=backend)

    assert (report.status, report.starts) == (Status.SUCCEEDED, 2)
    assert refusals == [key, key]
