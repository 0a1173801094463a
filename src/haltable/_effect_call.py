# SPDX-License-Identifier: MIT
"""One call of an effect: what it asks for, what it knows of the record, what it prepares.

It sends nothing itself and decides nothing: the rules are the effect ledger's,
the acts are the drivers'.  Whoever uses it while the effect runs holds its lock,
for the renewal shares its version.
"""

from __future__ import annotations

import datetime as dt
import json
import threading
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import attrs

from haltable import effect_ledger as ledger
from haltable._owner import new_owner
from haltable._state import RunState
from haltable.clock import Clock
from haltable.effect_ledger import Request, Tenure
from haltable.effect_records import (
    EffectAct,
    EffectFault,
    EffectRecord,
    decode_effect,
    encode_effect,
)
from haltable.effects import Claim, Happened, Semantics
from haltable.errors import (
    ConfigurationError,
    EffectFailed,
    LeaseLost,
    OutcomeUnknown,
    PayloadMismatch,
    ResultNotStored,
    in_words,
)
from haltable.payload import as_result
from haltable.records import Owner, changed
from haltable.store import AsyncStore, Entry, Store

__all__ = ["Draft", "EffectCall", "OnHeld", "Policy"]

#: What a call does while somebody else is at its effect.
OnHeld: TypeAlias = Literal["raise", "wait", "skip"]
_RECONCILER = "reconcile"


@attrs.frozen(eq=False)
class Policy:
    """A guard's configuration, shared by all of its calls.

    Args:
        namespace: keeps the keys of one application from another's.
        prefix: what the keys of its records begin with.
        semantics: what may follow a claim that has lapsed.
        lease: seconds for which a claim holds without a word.
        reconcile: asks the outside; None if nobody can.
        on_held: what a call does while somebody else is at its effect.
        final: exception types that are stored and replayed.
        retention: seconds after its end for which an effect is replayed; None for ever.
        max_result: bytes of JSON that a result may have.
        max_attempts: how often an effect is claimed at most, where a claim may be repeated.
        max_hold: seconds after which a running effect is no longer renewed; None for no limit.
        grace: seconds that a cancelled call still waits for its store.
        transactional: whether the record lies in the host's own open transaction.
    """

    namespace: str
    prefix: str
    semantics: Semantics
    lease: float
    reconcile: Callable[..., Any] | None
    on_held: OnHeld
    final: tuple[type[Exception], ...]
    retention: float | None
    max_result: int
    max_attempts: int
    max_hold: float | None
    grace: float
    transactional: bool


@attrs.frozen(eq=False, slots=False)
class Draft:
    """A write that is ready to be sent, as often as need be."""

    record: EffectRecord
    value: bytes
    expected: int
    serial: int


class EffectCall:
    """What one call of an effect knows of its record, and its right to write it."""

    def __init__(
        self,
        policy: Policy,
        request: Request,
        store_key: str,
        *,
        store: Store | None,
        async_store: AsyncStore | None,
        clock: Clock,
        effect: Callable[[], Any],
        run: RunState | None = None,
    ) -> None:
        self.policy = policy
        self.request = request
        self.store_key = store_key
        self.store = store
        self.async_store = async_store
        self.clock = clock
        self.effect = effect
        #: The run whose body calls it, None without one.
        self.run = run
        self._owner: Owner | None = None
        self.lock = threading.Lock()
        self.record: EffectRecord | None = None
        #: 0 while the key is absent.
        self.version = 0
        self.serial = 0
        #: The version of the claim under which the effect runs.
        self.fence = 0
        #: What the call returns, once that is known: the very value that a replay will.
        self.value: Any = None
        #: Whether the effect ran in this call.
        self.ran = False
        #: How often it looked at somebody else's effect.
        self.looks = 0
        self.claimed_at = self.written_at = 0.0
        #: Whether the claim was given back, so that nothing may renew it.
        self.closed = False
        self._doubts: tuple[Draft, ...] = ()

    @property
    def owner(self) -> Owner:
        """Who claims; a call that only replays needs none."""
        owner = self._owner
        if owner is None:
            self._owner = owner = new_owner()
        return owner

    @property
    def sync_store(self) -> Store:
        """The store, for who cannot await one.

        Raises:
            ConfigurationError: if it is an async one.
        """
        if self.store is None:
            raise ConfigurationError(
                "the store of effects is async: await aonce(...) instead of once(...), "
                "and ask an Operator instead of claimed(...)"
            )
        return self.store

    @property
    def key(self) -> str:
        """The effect's key."""
        return self.request.key

    @property
    def claim(self) -> Claim:
        """The claim as the effect may see it."""
        attempts = 0 if self.record is None else self.record.attempts
        return Claim(self.request.namespace, self.key, self.fence, attempts)

    # The record ---------------------------------------------------------------

    def see(self, entry: Entry | None) -> None:
        """Takes in what the store holds."""
        self.version = 0 if entry is None else entry.version
        self.record = None if entry is None else decode_effect(entry.value)

    def draft(self, record: EffectRecord) -> Draft:
        """Signs a write; in doubt until it is known to be done."""
        self.serial += 1
        value = encode_effect(record, self.owner.token, self.serial)
        draft = Draft(record, value, self.version, self.serial)
        self._doubts += (draft,)
        return draft

    def accepted(self, draft: Draft, version: int, now: float) -> None:
        """Notes that a write was done."""
        self.record, self.version, self.written_at = draft.record, version, now
        self._doubts = ()

    def compare(self, entry: Entry | None, draft: Draft) -> bool:
        """Takes in what the store holds instead of what was expected.

        Returns:
            Whether the refused write was done after all.
        """
        self.see(entry)
        token = self.owner.token
        newest_first = reversed(self._doubts)
        own = next(
            (
                d
                for d in newest_first
                if ledger.is_written(self.record, token=token, serial=d.serial)
            ),
            None,
        )
        self._doubts = ()
        return own is draft

    @property
    def tenure(self) -> Tenure:
        """How the claim stands, as far as the record was seen."""
        return ledger.tenure(self.record, self.owner.token)

    # What is written -------------------------------------------------------------

    def claiming(self, base: EffectRecord | None) -> EffectRecord:
        """Returns the record that claims the effect for this call."""
        return ledger.claimed(base, self.request, self.owner, lease=self.policy.lease)

    def questioning(self, base: EffectRecord) -> EffectRecord:
        """Returns the record that claims an unknown effect for its reconciler."""
        return ledger.questioned(base, self.owner, lease=self.policy.lease)

    def ending(self, value: Any) -> Callable[[EffectRecord], EffectRecord]:
        """Returns the write that ends the effect with what it returned."""
        text, lost = as_result(value, self.policy.max_result)
        self.value = value if text is None else json.loads(text)
        return lambda record: ledger.finished(record, result=text, result_lost=lost)

    def happened(self, verdict: Happened) -> Callable[[EffectRecord], EffectRecord]:
        """Returns the write that ends the effect with what the reconciler found."""
        text, lost = as_result(verdict.value, self.policy.max_result)
        self.value = verdict.value if text is None else json.loads(text)
        act = EffectAct("done", _RECONCILER, "it has happened", now_as_text())

        def end(record: EffectRecord) -> EffectRecord:
            record = changed(record, history=(*record.history, act))
            return ledger.finished(record, result=text, result_lost=lost)

        return end

    def doubting(self, why: str) -> Callable[[EffectRecord], EffectRecord]:
        """Returns the write that leaves the effect unknown."""
        return lambda record: ledger.doubted(record, why)

    def failing(self, error: Exception) -> Callable[[EffectRecord], EffectRecord]:
        """Returns the write that ends the effect with an exception that was declared final."""
        kind = type(error)
        data, _ = as_result(list(error.args), self.policy.max_result)
        name = f"{kind.__module__}.{kind.__qualname__}"
        fault = EffectFault(name, in_words(error).removeprefix(f"{kind.__name__}: "), data)
        return lambda record: ledger.finished(record, fault=fault)

    # What comes of it ----------------------------------------------------------------

    def replay(self, record: EffectRecord) -> Any:
        """Returns the stored result.

        Raises:
            EffectFailed: if it failed for good.
            ResultNotStored: if its result was not kept.
        """
        fault = record.fault
        if fault is not None:
            raise EffectFailed(self.key, fault.type, fault.message, fault.data)
        if record.result_lost is not None:
            raise ResultNotStored(f"effect {self.key!r} was done, but {record.result_lost}")
        return None if record.result is None else json.loads(record.result)

    def mismatch(self) -> PayloadMismatch:
        """Returns the error of a call with another payload."""
        words = {"payload": "another payload", "arguments": "other arguments"}
        return PayloadMismatch(self.key, words.get(self.request.checked, self.request.checked))

    def unknown(self, record: EffectRecord | None) -> OutcomeUnknown:
        """Returns the error of an effect of which nobody knows whether it has happened."""
        reason = None if record is None else record.reason
        reason = reason or "its owner did not say how it ended"
        return OutcomeUnknown(self.key, reason, self.request.namespace)

    def lost(self, value: Any) -> LeaseLost:
        """Returns the error of an effect that was decided without its owner."""
        record = self.record
        if record is None:
            return LeaseLost(self.key, value, "its record is gone")
        stored = None if record.result is None else json.loads(record.result)
        last = record.history[-1] if record.history else None
        by = "" if last is None else f", {last.act} by {last.by}: {last.why}"
        return LeaseLost(self.key, value, f"{record.state}{by}", stored)


def now_as_text() -> str:
    """Returns the wall-clock time, which people read and nothing compares."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
