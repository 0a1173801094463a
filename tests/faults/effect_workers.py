# SPDX-License-Identifier: MIT
"""What child processes do to effects: stop or die inside of one, share keys, wait for Ctrl-C.

Each function is the whole work of one process.  What happens is noted outside,
by `Tally`: each effect, and what each call came to.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import threading
from collections.abc import Callable
from typing import Any

import anyio

from haltable import IdempotencyGuard, SQLiteStore
from haltable.effects import Happened, NotHappened
from tests.effects.sites import make_site
from tests.faults.gate import Gate
from tests.faults.tally import Tally

__all__ = [
    "EFFECT",
    "KEY",
    "call_and_tell",
    "die_in_effect",
    "die_in_repeatable_effect",
    "share_keys",
    "stop_in_effect",
    "stop_in_reconcile",
    "tell_of_outside",
    "wait_in_effect",
]

KEY = "charge:7"
EFFECT = "effect"
#: Seconds that nobody waits; a hang is found by them.
LONG = 30.0
LEASE = 60.0


def die_in_effect(path: str, outside: str, way: str, where: str) -> None:
    """Dies inside of an effect, before its outside act or after it."""
    _act_in_effect(path, outside, way, where, signal.SIGKILL)


def die_in_repeatable_effect(path: str, outside: str, way: str, attempts: int) -> None:
    """Dies after the act of an effect that may be repeated so often."""
    tally = Tally(outside)

    def effect() -> None:
        tally.mark(EFFECT)
        os.kill(os.getpid(), signal.SIGKILL)

    site, close = make_site(way, "SQLite", path)
    guard = site.guard(semantics="at_least_once", max_attempts=attempts)
    call_and_tell(tally, lambda: site.call(guard, KEY, effect))
    close()


def stop_in_effect(path: str, outside: str, way: str, where: str) -> None:
    """Is stopped inside of an effect, before or after its act, and tells what came of it."""
    _act_in_effect(path, outside, way, where, signal.SIGSTOP)


def _act_in_effect(path: str, outside: str, way: str, where: str, by: signal.Signals) -> None:
    tally = Tally(outside)

    def effect() -> str:
        if where == "before":
            os.kill(os.getpid(), by)
        tally.mark(EFFECT)
        if where == "after":
            os.kill(os.getpid(), by)
        return "the owner's receipt"

    site, close = make_site(way, "SQLite", path)
    call_and_tell(tally, lambda: site.call(site.guard(lease=LEASE), KEY, effect))
    close()


def stop_in_reconcile(path: str, outside: str, way: str) -> None:
    """Is stopped while it asks the outside, and tells what came of it."""
    tally = Tally(outside)

    def reconcile(key: str, record: object) -> Any:
        verdict = tell_of_outside(tally)(key, record)
        os.kill(os.getpid(), signal.SIGSTOP)
        return verdict

    site, close = make_site(way, "SQLite", path)
    guard = site.guard(lease=LEASE, reconcile=reconcile)
    call_and_tell(tally, lambda: site.call(guard, KEY, lambda: tally.mark(EFFECT)))
    close()


def wait_in_effect(path: str, outside: str, way: str) -> None:
    """Waits inside of an effect for a Ctrl-C, and tells what came of it."""
    tally = Tally(outside)
    verb, _, backend = way.partition(" on ")
    with SQLiteStore(path) as store:
        guard = IdempotencyGuard(store=store)

        def effect() -> None:
            tally.mark(EFFECT)
            threading.Event().wait(LONG)

        async def aeffect() -> None:
            tally.mark(EFFECT)
            await anyio.sleep(LONG)

        async def acall() -> Any:
            return await guard.aonce(KEY, aeffect)

        if verb == "once":
            call_and_tell(tally, lambda: guard.once(KEY, effect))
        else:
            call_and_tell(tally, lambda: anyio.run(acall, backend=backend))


def share_keys(path: str, outside: str, way: str, keys: range, gate: Gate) -> None:
    """Carries out each effect of a key-space twice, at the same time as others do."""
    tally = Tally(outside)
    site, close = make_site(way, "SQLite", path)
    guard = site.guard(on_held="wait")
    gate.wait()
    for number in (*keys, *keys):
        key = f"charge:{number}"
        value = site.call(guard, key, _counted, str(tally.path), key)
        tally.mark(f"{key} returned {json.dumps(value)}")
    close()


def _counted(outside: str, key: str) -> dict[str, int]:
    Tally(outside).mark(f"{key} {EFFECT}")
    return {"receipt of": os.getpid()}


def tell_of_outside(tally: Tally) -> Callable[[str, object], Any]:
    """Returns a reconciler that tells the truth."""
    return lambda *_: Happened("seen outside") if tally.count(EFFECT) else NotHappened()


def call_and_tell(tally: Tally, call: Callable[[], Any]) -> None:
    """Calls an effect, and notes what came of it."""
    logging.getLogger("haltable").setLevel(logging.CRITICAL)
    try:
        tally.mark(f"returned {json.dumps(call())}")
    except BaseException as error:
        values = [getattr(error, name, None) for name in ("value", "stored_value")]
        tally.mark(f"raised {type(error).__name__} {json.dumps(values)}")
