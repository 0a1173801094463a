# SPDX-License-Identifier: MIT
"""The human's handle: see, stop, reset and extend keys, with who and why on record.

It works on the store, beside whatever runs, and is never reachable from a body.
Each act is a ledger function applied to the record that is there, sent by
compare-and-set; it never renews or takes the owner's claim.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import attrs

from haltable import _owner, _watch, interventions
from haltable._operator_effects import ATTEMPTS, EffectOperator, check_words
from haltable._recording import NAMESPACE
from haltable.effects import EffectState
from haltable.encoding import decode_loop, encode_head, encode_loop
from haltable.errors import ConfigurationError, RecordError, StoreError
from haltable.key_state import KeyState, key_state
from haltable.model import Status
from haltable.quantity import check_count, shown
from haltable.records import Act, LoopRecord, new_record
from haltable.store import Conflict, Entry

__all__ = ["Operator"]

_PREFIX = f"{NAMESPACE}/loop/"


class Operator(EffectOperator):
    """Sees and steers the keys of a store, and its effects.

    Args:
        store: the one that the loops were given.

    Raises:
        ConfigurationError: if it is no (synchronous) store.

    Example:
        >>> from haltable import IterationCap, Loop, MemoryStore, Operator
        >>> store = MemoryStore()
        >>> loop = Loop(IterationCap(1), key="report-42", store=store)
        >>> loop.run(lambda: None).status.value
        'tripped'
        >>> Operator(store).extend("report-42", starts=1, by="ana", why="nearly done").status.value
        'open'
    """

    def list(self, *, status: Status | str | None = None) -> list[KeyState]:
        """Returns how all keys stand, sorted by key.

        Args:
            status: only those with this status, such as ``"tripped"``.

        Raises:
            ConfigurationError: if there is no such status.
            StoreError: if the store fails.  A record that cannot be read is
                listed as open, with the reason; nothing starts on it.
        """
        wanted = None if status is None else _status(status)
        states = [_readable(key, entry) for key, entry in self._store.scan(_PREFIX)]
        found = [state for state in states if wanted is None or state.status is wanted]
        return sorted(found, key=lambda state: state.key)

    def show(self, key: str) -> KeyState:
        """Returns how one key stands, with the unknown effects that ran in it.

        It looks through all effects of the store for them.

        Raises:
            KeyError: if it never started.
            ConfigurationError: if it is no key.
            StoreError: if the store fails, or the record cannot be read.
        """
        entry = self._store.read(_where(key, "show"))
        if entry is None:
            raise KeyError(f"no loop with the key {key!r} ever started")
        state = key_state(_named(key, entry), age=entry.age)
        unknown = (view.key for view in self.effects(EffectState.UNKNOWN) if view.loop == key)
        return attrs.evolve(state, unknown_effects=tuple(unknown))

    def stop(self, key: str, *, by: str, why: str) -> KeyState:
        """Ends a key: at once, or as a request to the run that holds it.

        Args:
            key: the loop's key.
            by: who you are, for the history.
            why: why, for the history and for the receipt.

        Returns:
            How the key stands after it; ``status`` is still open while a run
            holds the key, which obeys within about a second.

        Raises:
            KeyError: if it never started.
            ConfigurationError: if it is no key, ``by`` or ``why`` is empty, or it has ended.
        """

        def change(record: LoopRecord, entry: Entry) -> LoopRecord:
            if record.past.ruling is not None:
                raise ConfigurationError(f"stop({key!r}): it has ended already ({record.status})")
            running = record.running
            dead = running is not None and _owner.is_dead(running.owner, _watch.shared.tokens())
            act = _act("stop", record, by, why)
            return interventions.stop_requested(record, act, age=entry.age, dead=dead)

        return self._apply("stop", key, by, why, change)

    def reset(self, key: str, *, by: str, why: str) -> KeyState:
        """Begins a new epoch: counts, memory and time at zero; the history stays.

        A run that holds the key gives it back and ends.

        Args:
            key: the loop's key.
            by: who you are, for the history.
            why: why, for the history.

        Raises:
            KeyError: if it never started.
            ConfigurationError: if it is no key, or ``by`` or ``why`` is empty.
        """

        def change(record: LoopRecord, entry: Entry) -> LoopRecord:
            return interventions.reset(record, _act("reset", record, by, why), age=entry.age)

        return self._apply("reset", key, by, why, change)

    def extend(self, key: str, *, starts: int, by: str, why: str) -> KeyState:
        """Reopens the same epoch with more starts, and clears the row of failures.

        Args:
            key: the loop's key.
            starts: how many more, 1 or more.
            by: who you are, for the history.
            why: why, for the history.

        Raises:
            KeyError: if it never started.
            ConfigurationError: if it is no key, ``starts`` is no whole number of at
                least 1, ``by`` or ``why`` is empty, or the key has succeeded.
        """
        check_count("starts", starts)

        def change(record: LoopRecord, entry: Entry) -> LoopRecord:
            if record.status is Status.SUCCEEDED:
                raise ConfigurationError(f"extend({key!r}): it has succeeded; reset it to redo it")
            act = _act("extend", record, by, why, note=f"{starts} more starts")
            return interventions.extended(record, act, starts=starts, age=entry.age)

        return self._apply("extend", key, by, why, change)

    def _apply(
        self,
        act: str,
        key: str,
        by: str,
        why: str,
        change: Callable[[LoopRecord, Entry], LoopRecord],
    ) -> KeyState:
        where = _where(key, act)
        check_words(by=by, why=why)
        for _ in range(ATTEMPTS):
            entry = self._store.read(where)
            if entry is None:
                raise KeyError(f"no loop with the key {key!r} ever started")
            record = change(_named(key, entry), entry)
            owner = None if record.running is None else record.running.owner
            head = encode_head(record.past, owner, record.writer)
            draft = encode_loop(record, head, record.serial)
            reply = self._store.write(where, draft, expected=entry.version)
            if not isinstance(reply, Conflict):
                return key_state(record, age=reply.age)
        raise StoreError(
            f"{key!r} was written by others {ATTEMPTS} times in a row; try again",
            outcome="refused",
        )


def _where(key: object, act: str) -> str:
    """Returns where a key's record is."""
    if not isinstance(key, str) or not key:
        raise ConfigurationError(f"{act}(key={shown(key)}): give a non-empty string")
    return _PREFIX + key


def _readable(store_key: str, entry: Entry) -> KeyState:
    """Returns how a key stands, damage included: one record must not hide the others."""
    try:
        return key_state(decode_loop(entry.value), age=entry.age)
    except RecordError as error:
        unread = key_state(new_record(store_key.removeprefix(_PREFIX)), age=entry.age)
        return attrs.evolve(unread, breaker="store", reason=str(error), epoch=0)


def _named(key: str, entry: Entry) -> LoopRecord:
    try:
        return decode_loop(entry.value)
    except RecordError as error:
        raise RecordError(f"{key!r}: {error}") from error


def _status(status: Status | str) -> Status:
    try:
        return Status(status)
    except ValueError:
        known = ", ".join(repr(s.value) for s in Status)
        raise ConfigurationError(f"status={status!r}: give one of {known}") from None


def _act(act: str, record: LoopRecord, by: str, why: str, note: str = "") -> Act:
    now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    return Act(act, by, why, now, record.epoch, record.starts, record.status, note)
