# SPDX-License-Identifier: MIT
"""A run without a key has no record: who asks it for one is told so, and nothing is made up."""

from __future__ import annotations

import pytest

from haltable import IterationCap, Loop, StoreError, _ports_async, _ports_sync

LOOP = Loop(IterationCap(3))


def test_a_run_without_a_key_has_no_book_and_no_lock():
    """A driver that took it for a keyed one stops at once, in words."""
    run = LOOP.start()
    run.run(lambda: None)

    with pytest.raises(AssertionError, match="only a run with a key has a book"):
        run.keyed_book()
    for ports in (_ports_sync, _ports_async):
        with pytest.raises(AssertionError, match="only a run with a key has a lock"):
            ports.locked(run)
    assert run.book is None


def test_a_run_without_a_key_has_no_store():
    """P7: a call that nobody can carry out is a fault of the store, and not an empty answer."""
    run = LOOP.start()

    with pytest.raises(StoreError, match="a run with a key has a store"):
        _ports_sync.read(run, "key")
    with pytest.raises(StoreError, match="a run with a key has a store"):
        _ports_sync.write(run, "key", b"", 0)


async def test_a_run_without_a_key_has_no_store_to_await():
    """P7: the same when it is awaited."""
    run = LOOP.start()

    with pytest.raises(StoreError, match="a run with a key has a store"):
        await _ports_async.read(run, "key")
    with pytest.raises(StoreError, match="a run with a key has a store"):
        await _ports_async.write(run, "key", b"", 0)
