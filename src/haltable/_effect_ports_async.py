# SPDX-License-Identifier: MIT
"""What an asynchronous effect does to the world: read, write, run, ask, wait.

Each verb is one act; what it means is the driver's and the ledger's business.
A synchronous store that may block is called in a thread.
"""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    suppress,
)
from typing import Any

import anyio
import anyio.lowlevel

from haltable import _effect_ports_sync, _effects_sync, _ports_async, _watch
from haltable._async_turns import ShieldedLock, at_home, hop, protected
from haltable._effect_call import EffectCall
from haltable._effect_ports_sync import is_dead, is_held_here, pace
from haltable.effects import claims
from haltable.errors import StoreError, in_words
from haltable.sinks.log import log_watch_failure
from haltable.store import Conflict, Entry

__all__ = [
    "alive",
    "ask",
    "begin",
    "invoke",
    "is_dead",
    "is_held_here",
    "locked",
    "read",
    "rest",
    "sheltered",
    "write",
]


async def read(call: EffectCall) -> Entry | None:
    """Reads the effect's record; whatever goes wrong is a `StoreError`."""
    if call.async_store is not None:
        at_home(call.async_store)
    try:
        return await _read(call)
    except StoreError:
        raise
    except Exception as error:
        raise StoreError(f"reading {call.store_key!r} failed: {in_words(error)}") from error


async def write(call: EffectCall, value: bytes, expected: int) -> Entry | Conflict:
    """Writes the effect's record; whatever goes wrong is a `StoreError`."""
    try:
        return await _write(call, value, expected)
    except StoreError:
        raise
    except Exception as error:
        raise StoreError(f"writing {call.store_key!r} failed: {in_words(error)}") from error


def locked(call: EffectCall) -> AbstractAsyncContextManager[object]:
    """Returns the lock over what the call knows of its record."""
    return ShieldedLock(call.lock)


def sheltered(call: EffectCall) -> AbstractContextManager[object]:
    """Returns the shelter in which the end of an interrupted effect is written down."""
    return anyio.move_on_after(call.policy.grace, shield=True)


@asynccontextmanager
async def alive(
    call: EffectCall, renew: Callable[[EffectCall], Awaitable[None]]
) -> AsyncGenerator[None]:
    """Lets others know that this call is alive, and has its lease renewed.

    By the watcher's thread if the store can be called there, else by a task.
    """
    if call.async_store is None:
        with _effect_ports_sync.alive(call, _effects_sync.renew):
            yield
        return
    call.closed = False
    token = call.owner.token
    _watch.shared.add(token, None)
    group, scope, gone = anyio.create_task_group(), anyio.CancelScope(), anyio.Event()

    async def attend() -> None:
        try:
            # Cancelled with its effect it only ends: to say so is the effect's business.
            with suppress(anyio.get_cancelled_exc_class()), scope:
                while True:
                    await anyio.sleep(_watch.INTERVAL)
                    try:
                        await renew(call)
                    except Exception as error:
                        log_watch_failure(f"effect {call.key!r}", error)
        finally:
            gone.set()

    await group.__aenter__()
    group.start_soon(attend)
    try:
        yield
    finally:
        scope.cancel()
        _watch.shared.remove(token)
        try:
            # A group that waits in a cancelled scope raises that instead of what comes out.
            with anyio.CancelScope(shield=True):
                await gone.wait()
        finally:
            # What ended the effect is not for the group to see and wrap.
            await group.__aexit__(None, None, None)


async def begin(call: EffectCall) -> None:
    """Lets a cancellation in before the effect begins."""
    del call
    await anyio.lowlevel.checkpoint_if_cancelled()


async def invoke(call: EffectCall) -> Any:
    """Runs the effect under its claim."""
    token = claims.set((*claims.get(), call.claim))
    try:
        value = call.effect()
        return await value if inspect.isawaitable(value) else value
    finally:
        claims.reset(token)


async def ask(call: EffectCall, reconcile: Callable[..., Any]) -> Any:
    """Asks the reconciler."""
    return await _ports_async.settle(reconcile(call.key, call.record))


async def rest(call: EffectCall, left: float) -> None:
    """Waits a little for somebody else's effect, or until the run around it is stopped."""
    seconds = pace(call, left)
    if call.run is None and call.clock.virtual:
        call.clock.wait(seconds, threading.Event())
        await anyio.lowlevel.checkpoint()
        return
    if call.run is None:
        await anyio.sleep(seconds)
        return
    await _ports_async.rest(call.run, seconds)
    call.run.check()


async def _read(call: EffectCall) -> Entry | None:
    twin, key = call.async_store, call.store_key
    if twin is not None:
        return await protected(lambda: twin.read(key), grace=call.policy.grace)
    store = call.sync_store
    if not _blocks(call):
        return store.read(key)
    return await protected(hop(lambda: store.read(key)), grace=call.policy.grace)


async def _write(call: EffectCall, value: bytes, expected: int) -> Entry | Conflict:
    twin, key = call.async_store, call.store_key
    if twin is not None:
        act = functools.partial(twin.write, key, value, expected=expected)
        return await protected(act, grace=call.policy.grace)
    store = call.sync_store
    if not _blocks(call):
        return store.write(key, value, expected=expected)
    send = functools.partial(store.write, key, value, expected=expected)
    return await protected(hop(send), grace=call.policy.grace)


def _blocks(call: EffectCall) -> bool:
    # The host's own connection belongs to the thread that opened its transaction.
    return bool(getattr(call.store, "blocks", True)) and not call.policy.transactional
