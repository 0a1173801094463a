# SPDX-License-Identifier: MIT
"""Calls of an effect as workers: the real drivers, over ports that stop and ask.

What the effect does to the world outside is a request too, and how it then ends
is another, so that anything may happen before, between and after them.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Iterator
from types import SimpleNamespace
from typing import Any
from unittest import mock

import attrs

from haltable import _effect_call, _effects_async, _operator_effects
from haltable._effect_call import EffectCall, Policy
from haltable.effect_ledger import Request as Asked
from haltable.effects import DontKnow, Happened, NotHappened, NothingHappened
from haltable.errors import StoreError
from tests.model.automaton import Automaton
from tests.model.shapes import Shapes, decoded
from tests.model.strands import FAULTS, TICK, Request, Worker, owner_of
from tests.model.worlds import LEASE

PREFIX = "haltable/effect//"
KEY = "charge:7"


@attrs.frozen
class Manner:
    """How a guard is configured.

    Args:
        callers: what those who call it hand it over, by name: ``"same"`` or ``"other"`` payload.
        reconciling: whether it can ask the outside.
        semantics: what may follow a claim that has lapsed.
        attempts: how often an effect is claimed at most.
        retention: ticks for which it is replayed; None for ever.
        waiting: whether a call waits for somebody else's.
    """

    callers: tuple[str, ...] = ("same",)
    reconciling: bool = False
    semantics: Any = "at_most_once"
    attempts: int = 3
    retention: int | None = None
    waiting: bool = False


class Ports:
    """The world of calls, as a request for each thing that is done to it."""

    def __init__(self, *, elsewhere: bool) -> None:
        self.elsewhere = elsewhere

    async def read(self, call):
        answer = await Request("read")
        if isinstance(answer, str):
            raise StoreError("reading failed", outcome=FAULTS[answer])
        return answer

    async def write(self, call, value, expected):
        answer = await Request("write", decoded(call.store_key, value), expected)
        if isinstance(answer, str):
            raise StoreError("writing failed", outcome=FAULTS[answer])
        return answer

    def is_dead(self, owner):
        # Told with the newest answer; it has been asked nothing since.
        return owner is None or (bool(owner.boot) and owner.token in Worker.running.dead)

    def is_held_here(self, call):
        return False

    def locked(self, call):
        return call.worker.lock

    def sheltered(self, call):
        return contextlib.nullcontext()

    @contextlib.asynccontextmanager
    async def alive(self, call, renew) -> AsyncGenerator[None]:
        call.closed = False
        try:
            yield
        finally:
            async with call.worker.lock:
                call.closed = True

    async def begin(self, call):
        pass

    async def invoke(self, call):
        return await call.effect()

    async def ask(self, call, reconcile):
        answer = await Request("ask")
        if answer == "asks in vain":
            raise ValueError("cannot look")
        return {"happened": Happened("found"), "not": NotHappened(), "is told nothing": DontKnow()}[
            answer
        ]

    async def rest(self, call, left):
        await Request("rest")


def guarded(manner: Manner, caller: str, worker: Worker, effect: Any) -> EffectCall:
    """Returns a call of the effect."""
    retention = None if manner.retention is None else manner.retention * TICK
    policy = Policy(
        namespace="",
        prefix=PREFIX,
        semantics=manner.semantics,
        lease=LEASE * TICK,
        reconcile=(lambda key, record: None) if manner.reconciling else None,
        on_held="wait" if manner.waiting else "raise",
        final=(LookupError,),
        retention=retention,
        max_result=1000,
        max_attempts=manner.attempts,
        max_hold=None,
        grace=1.0,
        transactional=False,
    )
    asked = Asked("", KEY, caller, "payload", manner.semantics, manner.attempts, retention, None)
    call = EffectCall(
        policy,
        asked,
        PREFIX + KEY,
        store=None,
        async_store=None,
        clock=worker.clock,
        effect=effect,
    )
    call._owner = owner_of(worker, elsewhere=ports_now().elsewhere)
    call.worker = worker
    return call


def ports_now() -> Any:
    """Returns the ports that the drivers have now."""
    return _effects_async.ports


def automaton(shapes: Shapes, manner: Manner, *, twin: bool = False) -> Automaton:
    """Returns the calls of one guard; made and used where they are `driven`."""

    def begin(worker: Worker) -> Any:
        return called(worker, manner)

    def look(worker: Worker) -> Any:
        return _effects_async.renew(worker.own)

    return Automaton(
        lambda token: Worker(token, begin=begin, look=look, watched=True),
        shapes,
        facts,
        twin=twin,
    )


async def called(worker: Worker, manner: Manner) -> Any:
    """Calls the effect, as one of the callers."""
    caller = manner.callers[0]
    if len(manner.callers) > 1:
        caller = await Request("who")

    async def effect() -> str:
        how = await Request("act")
        if how == "does nothing":
            raise NothingHappened("it was refused")
        if how == "fails for good":
            raise LookupError("no such card")
        how = await Request("say")
        if how == "raises":
            raise ValueError("no")
        if how == "is interrupted":
            raise KeyboardInterrupt
        return f"receipt {call.claim.attempt}"

    call = worker.own = guarded(manner, caller, worker, effect)
    return await _effects_async.carry_out(call)


def facts(worker: Worker) -> Any:
    """Returns what the auditor wants to know of a call: how it ended, and over whose record."""
    record = None if worker.own is None else worker.own.record
    return SimpleNamespace(
        end=worker.ends.get("main"),
        wrote=record is not None and record.writer == worker.token,
        owns=record is not None and record.owner is not None and record.owner.token == worker.token,
    )


@contextlib.contextmanager
def driven(*, elsewhere: bool = False) -> Iterator[None]:
    """Gives the drivers their ports, while it lasts."""
    with (
        mock.patch.object(_effects_async, "ports", Ports(elsewhere=elsewhere)),
        mock.patch.object(_effect_call, "now_as_text", return_value=""),
        mock.patch.object(_operator_effects, "now_as_text", return_value=""),
    ):
        yield
