# SPDX-License-Identifier: MIT
"""A key that is held for long is renewed in every way in; a run never used is forgotten."""

from __future__ import annotations

import anyio
import pytest

from haltable import IterationCap, Loop, LoopBusy, LoopTripped, MemoryStore, bounded_loop
from haltable._watch import shared
from haltable.testing import FakeClock

LEASE = 60.0
RECORD = "haltable/loop/k"
#: Milliseconds within which any watcher has looked.
MANY = 10_000


async def body():
    """Does nothing."""


async def iterated(held, entered, left):
    """Holds the key in a bare ``async for``."""
    async for iteration in Loop(IterationCap(1), **held):
        with iteration:
            entered.set()
            await left.wait()


async def generated(held, entered, left):
    """Holds the key in a decorated async generator."""

    @bounded_loop(IterationCap(1), **held)
    async def generator():
        entered.set()
        await left.wait()
        yield

    async for _ in generator():
        pass


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("way", [iterated, generated])
def test_a_long_iteration_keeps_its_key(way, backend, monkeypatch):
    """Past its lease, a run that no task attends still holds its key."""
    monkeypatch.setattr(shared, "_interval", 0.001)
    clock, found = FakeClock(), []
    store = MemoryStore(clock=clock.now)
    held = {"key": "k", "store": store, "lease": LEASE, "clock": clock}

    async def main():
        entered, left = anyio.Event(), anyio.Event()

        async def contend():
            await entered.wait()
            for _ in range(12):
                clock.advance(LEASE / 6)  # Twice the lease in all.
                for _ in range(MANY):
                    if store.read(RECORD).age < LEASE / 3:
                        break
                    await anyio.sleep(0.001)
                else:
                    raise AssertionError("nobody renewed the lease")
                try:
                    await Loop(IterationCap(9), key="k", store=store).arun(body)
                except LoopBusy as busy:
                    found.append(busy.key)
            left.set()

        async with anyio.create_task_group() as group:
            group.start_soon(contend)
            with pytest.raises(LoopTripped):
                await way(held, entered, left)

    anyio.run(main, backend=backend)

    assert found == ["k"] * 12


def test_a_run_that_is_never_used_is_forgotten():
    """A body that starts runs and uses none leaves nothing with its own run."""
    outer = Loop(IterationCap(1)).start()
    outer.run(lambda: [Loop(IterationCap(1)).start() for _ in range(100)] and None)

    assert not outer.children
