# SPDX-License-Identifier: MIT
"""A key that is held for long is renewed in every way in; a run never used is forgotten."""

from __future__ import annotations

import anyio
import pytest

from haltable import IterationCap, Loop, LoopBusy, LoopTripped, MemoryStore, bounded_loop

LEASE = 1.5


async def body():
    """Does nothing."""


async def iterated(store, entered, left):
    """Holds the key in a bare ``async for``."""
    async for iteration in Loop(IterationCap(1), key="k", store=store, lease=LEASE):
        with iteration:
            entered.set()
            await left.wait()


async def generated(store, entered, left):
    """Holds the key in a decorated async generator."""

    @bounded_loop(IterationCap(1), key="k", store=store, lease=LEASE)
    async def generator():
        entered.set()
        await left.wait()
        yield

    async for _ in generator():
        pass


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("way", [iterated, generated])
def test_a_long_iteration_keeps_its_key(way, backend):
    """Past its lease, a run that no task attends still holds its key."""
    store, found = MemoryStore(), []

    async def main():
        entered, left = anyio.Event(), anyio.Event()

        async def contend():
            await entered.wait()
            for _ in range(12):
                await anyio.sleep(LEASE / 6)  # Twice the lease in all.
                try:
                    await Loop(IterationCap(9), key="k", store=store).arun(body)
                except LoopBusy as busy:
                    found.append(busy.key)
            left.set()

        async with anyio.create_task_group() as group:
            group.start_soon(contend)
            with pytest.raises(LoopTripped):
                await way(store, entered, left)

    anyio.run(main, backend=backend)

    assert found == ["k"] * 12


def test_a_run_that_is_never_used_is_forgotten():
    """A body that starts runs and uses none leaves nothing with its own run."""
    outer = Loop(IterationCap(1)).start()
    outer.run(lambda: [Loop(IterationCap(1)).start() for _ in range(100)] and None)

    assert not outer.children
