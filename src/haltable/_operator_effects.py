# SPDX-License-Identifier: MIT
"""An operator's part that is about effects: see, resolve and purge them, with who and why.

Each act is an effect ledger's function applied to the record that is there, sent
by compare-and-set.  It never takes a claim that holds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Literal

from haltable import _owner, _watch, effect_ledger as ledger
from haltable._effect_call import now_as_text
from haltable._policy import check_store
from haltable._recording import NAMESPACE
from haltable.effect_records import EffectAct, EffectRecord, decode_effect, encode_effect
from haltable.effect_view import EffectView, effect_view, unreadable_view
from haltable.effects import EffectState
from haltable.errors import ConfigurationError, EffectHeld, RecordError, StoreError
from haltable.payload import as_result, check_effect_key, effect_prefix
from haltable.quantity import is_number, shown
from haltable.records import RESULT_LIMIT
from haltable.store import AnyStore, Conflict, Entry, Store

__all__ = ["ATTEMPTS", "EffectOperator", "check_words"]

#: How often an operator's act is tried again when somebody else wrote in between.
ATTEMPTS = 100
_PREFIX = f"{NAMESPACE}/effect/"
_OUTCOMES = ("done", "failed", "free")


class EffectOperator:
    """Sees and decides the effects of a store; `haltable.Operator` is one."""

    def __init__(self, store: AnyStore) -> None:
        sync_store, _ = check_store(store)
        if sync_store is None:
            raise ConfigurationError(
                f"Operator(store={store!r}): give a synchronous store over the same data"
            )
        self._store: Store = sync_store

    def effects(
        self, state: EffectState | str | None = None, *, namespace: str | None = None
    ) -> list[EffectView]:
        """Returns how effects stand, sorted by namespace and key.

        A claim that has lapsed, or whose owner is known to be dead, is listed
        as unknown, for nobody knows; so is a record that cannot be read.

        Args:
            state: only those in this state, such as ``"unknown"``.
            namespace: only those of this namespace; None for all of them.

        Raises:
            ConfigurationError: if there is no such state, or the namespace is no text.
            StoreError: if the store fails.

        Example:
            >>> from haltable import IdempotencyGuard, MemoryStore, Operator
            >>> store = MemoryStore()
            >>> IdempotencyGuard(store=store).once("charge:7", lambda: "receipt 7")
            'receipt 7'
            >>> [(effect.key, effect.result) for effect in Operator(store).effects("done")]
            [('charge:7', '"receipt 7"')]
        """
        wanted = None if state is None else _state(state)
        if namespace is not None:
            _check_namespace("effects", namespace)
        prefix = _PREFIX if namespace is None else effect_prefix(NAMESPACE, namespace)
        views = (_readable(where, entry) for where, entry in self._store.scan(prefix))
        found = [view for view in views if wanted is None or view.state is wanted]
        return sorted(found, key=lambda view: (view.namespace, view.key))

    def resolve(
        self,
        effect_key: str,
        outcome: Literal["done", "failed", "free"],
        *,
        by: str,
        why: str,
        namespace: str = "",
        result: Any = None,
        message: str = "",
        owner_is_gone: bool = False,
    ) -> EffectView:
        """Ends an unknown effect, for somebody who has looked outside.

        Args:
            effect_key: names the effect.
            outcome: ``"done"``: it has happened, and is replayed from now on;
                ``"failed"``: it failed for good, and is replayed as
                `haltable.EffectFailed`; ``"free"``: nothing has happened, and
                the next call runs it.
            by: who you are, for the history.
            why: why, for the history.
            namespace: the guard's.
            result: with ``"done"``, what it returned, as JSON.
            message: with ``"failed"``, how; ``why`` by default.
            owner_is_gone: with ``"free"``, that you have made sure that whoever
                was at it can do nothing more; asked for only where this host
                cannot tell.

        Returns:
            How the effect stands after it.

        Raises:
            KeyError: if there is no such effect.
            EffectHeld: if somebody is at it just now.
            ConfigurationError: if it is finished or free already, its last
                owner may be at it still, or an argument cannot be right.
            StoreError: if the store fails, or the record cannot be read.
        """
        where, text = _checked(effect_key, outcome, namespace, result, message)
        check_words(by=by, why=why)
        act = EffectAct(outcome, by, why, now_as_text())
        for _ in range(ATTEMPTS):
            entry = self._store.read(where)
            if entry is None:
                raise KeyError(f"there is no effect with the key {effect_key!r}")
            stored, record = _unresolved(effect_key, entry)
            if outcome == "free" and not owner_is_gone:
                _refuse_if_alive(stored)
            record = ledger.resolved(record, act, result=text, message=message or why)
            # A name of its own: no claim whose write is in doubt may take this one for that.
            draft = encode_effect(record, "operator", 0)
            reply = self._store.write(where, draft, expected=entry.version)
            if not isinstance(reply, Conflict):
                return effect_view(record, age=reply.age)
        raise StoreError(
            f"effect {effect_key!r} was written by others {ATTEMPTS} times in a row; try again",
            outcome="refused",
        )

    def purge(self, *, older_than: float) -> list[EffectView]:
        """Forgets finished effects that are past their retention, and no others.

        The next call of such a key runs its effect.  One that was written before
        the machine's last boot has no known age: its time begins anew at a purge.

        Args:
            older_than: seconds since their end, 0 or more; what their guard's
                ``retention`` keeps stays all the same.

        Returns:
            What was forgotten, sorted by namespace and key.

        Raises:
            ConfigurationError: if ``older_than`` is no finite number of at least 0.
            StoreError: if the store fails.
        """
        if not is_number(older_than) or older_than < 0:
            raise ConfigurationError(f"older_than={shown(older_than)}: give seconds, 0 or more")
        purged = list(self._purged(older_than))
        return sorted(purged, key=lambda view: (view.namespace, view.key))

    def _purged(self, older_than: float) -> Iterator[EffectView]:
        for where, entry in self._store.scan(_PREFIX):
            try:
                record = decode_effect(entry.value)
            except RecordError:
                continue  # It may be of one that is unknown; `effects` lists it.
            if ledger.is_purgeable(record, age=entry.age, older_than=older_than):
                if self._store.delete(where, expected=entry.version):
                    yield effect_view(record, age=entry.age)
            elif math.isinf(entry.age) and record.state.finished and record.retention is not None:
                self._store.write(where, entry.value, expected=entry.version)


def check_words(**words: object) -> None:
    """Raises `ConfigurationError` unless each of these says something."""
    for name, value in words.items():
        if not isinstance(value, str) or not value.strip():
            raise ConfigurationError(f"{name}={value!r}: say it in a non-empty string")


def _checked(
    key: object, outcome: object, namespace: object, result: object, message: object
) -> tuple[str, str | None]:
    """Returns where an effect lies, and the result that it is given as JSON text."""
    check_effect_key(key, "resolve")
    _check_namespace("resolve", namespace)
    if outcome not in _OUTCOMES:
        raise ConfigurationError(f"resolve(outcome={outcome!r}): give 'done', 'failed' or 'free'")
    if result is not None and outcome != "done":
        raise ConfigurationError(f"resolve(result={result!r}): only what is done has a result")
    if not isinstance(message, str) or (message and outcome != "failed"):
        raise ConfigurationError(
            f"resolve(message={message!r}): it says in words how an effect failed; leave it out"
        )
    text, lost = as_result(result, RESULT_LIMIT) if outcome == "done" else (None, None)
    if lost is not None:
        raise ConfigurationError(f"resolve(result={result!r}): {lost}")
    return effect_prefix(NAMESPACE, str(namespace)) + str(key), text


def _check_namespace(act: str, namespace: object) -> None:
    if not isinstance(namespace, str):
        raise ConfigurationError(f"{act}(namespace={shown(namespace)}): give the guard's, a text")


def _unresolved(key: str, entry: Entry) -> tuple[EffectRecord, EffectRecord]:
    """Returns an unknown effect as it is stored, and as it is."""
    try:
        stored = decode_effect(entry.value)
    except RecordError as error:
        raise RecordError(f"effect {key!r}: {error}") from error
    record = _judged(stored, age=entry.age)
    if record.state is EffectState.UNKNOWN:
        return stored, record
    if record.state is EffectState.CLAIMED:
        raise EffectHeld(key, str(record.owner), max(0.0, record.lease - entry.age))
    what = "the next call runs it" if record.state is EffectState.FREE else "it is replayed"
    raise ConfigurationError(f"resolve({key!r}): it is {record.state} already; {what}")


def _refuse_if_alive(stored: EffectRecord) -> None:
    """Refuses to free an effect whose attempt may be going on still."""
    owner = stored.suspect or stored.owner
    # An owner that says itself that nobody knows has come to its end in saying so.
    told = stored.state is EffectState.UNKNOWN and owner and stored.writer == owner.token
    if owner is None or told or _owner.is_dead(owner, _watch.shared.tokens()):
        return
    raise ConfigurationError(
        f"resolve({stored.key!r}, 'free'): {owner} may be at it still, and nothing here can tell; "
        "make sure that it is not, then say owner_is_gone=True"
    )


def _judged(record: EffectRecord, *, age: float) -> EffectRecord:
    """Returns an effect, unknown if its claim has lapsed or its owner is dead."""
    owner = record.owner if record.state is EffectState.CLAIMED else None
    dead = owner is not None and _owner.is_dead(owner, _watch.shared.tokens())
    return ledger.in_question(record, age=age, dead=dead)


def _readable(where: str, entry: Entry) -> EffectView:
    """Returns how an effect stands, damage included: one record must not hide the others."""
    try:
        return effect_view(_judged(decode_effect(entry.value), age=entry.age), age=entry.age)
    except RecordError as error:
        return unreadable_view(where.removeprefix(_PREFIX), str(error), age=entry.age)


def _state(state: EffectState | str) -> EffectState:
    try:
        return EffectState(state)
    except ValueError:
        known = ", ".join(repr(s.value) for s in EffectState)
        raise ConfigurationError(f"state={state!r}: give one of {known}") from None
