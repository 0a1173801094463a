# SPDX-License-Identifier: MIT
"""What a synchronous effect does to the world: read, write, run, ask, wait.

Each verb is one act; what it means is the driver's and the ledger's business.
"""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, nullcontext
from types import CoroutineType
from typing import Any

from haltable import _owner, _ports_sync, _watch
from haltable._effect_call import EffectCall
from haltable.effects import NothingHappened, claims
from haltable.errors import StoreError, in_words
from haltable.records import Owner
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

#: Seconds between two looks at an effect that somebody else is at: the first, and the longest.
FIRST_LOOK, LONGEST_LOOK = 0.005, 0.25


def read(call: EffectCall) -> Entry | None:
    """Reads the effect's record; whatever goes wrong is a `StoreError`."""
    store = call.sync_store
    try:
        return store.read(call.store_key)
    except StoreError:
        raise
    except Exception as error:
        raise StoreError(f"reading {call.store_key!r} failed: {in_words(error)}") from error


def write(call: EffectCall, value: bytes, expected: int) -> Entry | Conflict:
    """Writes the effect's record; whatever goes wrong is a `StoreError`."""
    store = call.sync_store
    try:
        return store.write(call.store_key, value, expected=expected)
    except StoreError:
        raise
    except Exception as error:
        raise StoreError(f"writing {call.store_key!r} failed: {in_words(error)}") from error


def is_dead(owner: Owner | None) -> bool:
    """Says whether the owner of a claim is known to be dead; nobody is."""
    return owner is None or _owner.is_dead(owner, _watch.shared.tokens())


def is_held_here(call: EffectCall) -> bool:
    """Says whether this very context holds the claim, so that waiting for it would never end."""
    mine = call.request.namespace, call.request.key
    return any((held.namespace, held.key) == mine for held in claims.get())


def locked(call: EffectCall) -> AbstractContextManager[object]:
    """Returns the lock over what the call knows of its record."""
    return call.lock


def sheltered(call: EffectCall) -> AbstractContextManager[object]:
    """Returns the shelter in which the end of an interrupted effect is written down."""
    del call
    return nullcontext()


@contextlib.contextmanager
def alive(call: EffectCall, renew: Callable[[EffectCall], None]) -> Generator[None]:
    """Lets others know that this call is alive, and has its lease renewed.

    A lease in the host's own transaction needs no renewal: nobody else sees it.
    """

    def look() -> None:
        try:
            renew(call)
        except Exception as error:
            log_watch_failure(f"effect {call.key!r}", error)

    call.closed = False
    token = call.owner.token
    _watch.shared.add(token, None if call.policy.transactional else look)
    try:
        yield
    finally:
        with call.lock:
            call.closed = True
        _watch.shared.remove(token, lingering=True)


def begin(call: EffectCall) -> None:
    """Lets a cancellation in before the effect begins, which a synchronous call has none of."""


def invoke(call: EffectCall) -> Any:
    """Runs the effect under its claim.

    Raises:
        NothingHappened: if it returned a coroutine, which nobody awaits.
    """
    token = claims.set((*claims.get(), call.claim))
    try:
        value = call.effect()
    finally:
        claims.reset(token)
    if type(value) is CoroutineType:
        value.close()
        raise NothingHappened("the effect returned a coroutine, which nobody awaits: use aonce")
    return value


def ask(call: EffectCall, reconcile: Callable[..., Any]) -> Any:
    """Asks the reconciler."""
    return _ports_sync.settle(reconcile(call.key, call.record))


def rest(call: EffectCall, left: float) -> None:
    """Waits a little for somebody else's effect, or until the run around it is stopped."""
    seconds = pace(call, left)
    if call.run is None:
        call.clock.wait(seconds, threading.Event())
        return
    _ports_sync.rest(call.run, seconds)
    call.run.check()


def pace(call: EffectCall, left: float) -> float:
    """Returns for how many seconds a call waits before it looks again."""
    call.looks += 1
    longest: float = min(LONGEST_LOOK, FIRST_LOOK * 2 ** min(call.looks, 10))
    chance = _chance()
    return min(longest * (0.5 + chance / 2), max(left, FIRST_LOOK))


#: Spreads those who wait for the same effect.
_chance = random.random
