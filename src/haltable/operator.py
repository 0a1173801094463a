# SPDX-License-Identifier: MIT
"""The human's handle: see, stop, reset and extend keys, with who and why on record.

It works on the store, beside whatever runs, and is never reachable from a body.
Each act is a ledger function applied to the record that is there, sent by
compare-and-set; it never renews or takes the owner's claim.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable

import attrs

from haltable import _owner, _watch, interventions
from haltable._policy import check_store
from haltable._recording import NAMESPACE
from haltable.encoding import decode_loop, encode_head, encode_loop
from haltable.errors import ConfigurationError, RecordError, StoreError
from haltable.model import Status
from haltable.records import Act, LoopRecord, new_record
from haltable.store import AnyStore, Conflict, Entry, Store

__all__ = ["KeyState", "Operator"]

_PREFIX = f"{NAMESPACE}/loop/"
#: How often an act is tried again when somebody else wrote in between.
_ATTEMPTS = 100


@attrs.frozen
class KeyState:
    """How a key stands, as the store has it.

    Args:
        key: the loop's key.
        status: how it stands.
        breaker: who ended it, None while it is open.
        reason: why, None while it is open.
        epoch: 1, and one more for each reset.
        starts: bodies charged in this epoch.
        failures: how many of them failed or crashed.
        failures_in_row: how many of these were the last ones.
        crashes: how many of them never ended.
        elapsed: seconds for which the loop was alive in this epoch.
        running: who holds the key, None if nobody does.
        lease_left: seconds until that one's lease lapses, None if nobody does.
        retry_after: seconds before which the next start is too early.
        stop_requested: who asked the running owner to stop, None if nobody did.
        last_error: the newest failure in words.
        evidence: the newest outside evidence in words.
        limits: the limits of the last run, as pairs of words.
        extension: starts that operators added.
        history: what operators did, oldest first.
        age: seconds since the last write, by the store's clock.
    """

    key: str
    status: Status
    breaker: str | None
    reason: str | None
    epoch: int
    starts: int
    failures: int
    failures_in_row: int
    crashes: int
    elapsed: float
    running: str | None
    lease_left: float | None
    retry_after: float
    stop_requested: str | None
    last_error: str | None
    evidence: str | None
    limits: tuple[tuple[str, str], ...]
    extension: int
    history: tuple[Act, ...]
    age: float

    def __str__(self) -> str:
        why = f"   {self.breaker}: {self.reason}" if self.breaker is not None else ""
        limits = {name: value for name, value in self.limits if value}
        of = f" of {int(limits['starts']) + self.extension}" if "starts" in limits else ""
        lines = [
            f"{self.status.name}  {self.key}{why}",
            (
                f"  starts {self.starts}{of} · failures {self.failures}, "
                f"{self.failures_in_row or 'none'} in a row · crashes {self.crashes} · "
                f"alive {self.elapsed:.0f} s · epoch {self.epoch}"
            ),
        ]
        if self.running is not None:
            asked = f", asked to stop by {self.stop_requested}" if self.stop_requested else ""
            lines.append(f"  running in {self.running}, lease {self.lease_left:.0f} s{asked}")
        if self.retry_after > 0:
            lines.append(f"  next start in {self.retry_after:.0f} s")
        if self.evidence is not None:
            lines.append(f"  newest evidence {self.evidence}")
        if self.last_error is not None:
            lines.append(f"  last error {self.last_error}")
        lines.extend(
            f"  {act.at}  {act.act} by {act.by}: {act.why}{f' ({act.note})' if act.note else ''}"
            for act in self.history
        )
        return "\n".join(lines)


class Operator:
    """Sees and steers the keys of a store.

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

    def __init__(self, store: AnyStore) -> None:
        sync_store, _ = check_store(store)
        if sync_store is None:
            raise ConfigurationError(
                f"Operator(store={store!r}): give a synchronous store over the same data"
            )
        self._store: Store = sync_store

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
        """Returns how one key stands.

        Raises:
            KeyError: if it never started.
            StoreError: if the store fails, or the record cannot be read.
        """
        entry = self._store.read(_PREFIX + key)
        if entry is None:
            raise KeyError(f"no loop with the key {key!r} ever started")
        return _state(_named(key, entry), entry)

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
            ConfigurationError: if ``by`` or ``why`` is empty, or it has ended.
        """

        def change(record: LoopRecord, entry: Entry) -> LoopRecord:
            if record.past.ruling is not None:
                raise ConfigurationError(f"stop({key!r}): it has ended already ({record.status})")
            running = record.running
            dead = running is not None and _owner.is_dead(running.owner, _watch.shared.tokens())
            act = _act("stop", record, by, why)
            return interventions.stop_requested(record, act, age=entry.age, dead=dead)

        return self._apply(key, by, why, change)

    def reset(self, key: str, *, by: str, why: str) -> KeyState:
        """Begins a new epoch: counts, memory and time at zero; the history stays.

        A run that holds the key gives it back and ends.

        Args:
            key: the loop's key.
            by: who you are, for the history.
            why: why, for the history.

        Raises:
            KeyError: if it never started.
            ConfigurationError: if ``by`` or ``why`` is empty.
        """

        def change(record: LoopRecord, entry: Entry) -> LoopRecord:
            return interventions.reset(record, _act("reset", record, by, why), age=entry.age)

        return self._apply(key, by, why, change)

    def extend(self, key: str, *, starts: int, by: str, why: str) -> KeyState:
        """Reopens the same epoch with more starts, and clears the row of failures.

        Args:
            key: the loop's key.
            starts: how many more, 1 or more.
            by: who you are, for the history.
            why: why, for the history.

        Raises:
            KeyError: if it never started.
            ConfigurationError: if ``starts`` is no whole number of at least 1,
                ``by`` or ``why`` is empty, or the key has succeeded.
        """
        if isinstance(starts, bool) or not isinstance(starts, int) or starts < 1:
            raise ConfigurationError(f"starts={starts!r}: give a whole number of at least 1")

        def change(record: LoopRecord, entry: Entry) -> LoopRecord:
            if record.status is Status.SUCCEEDED:
                raise ConfigurationError(f"extend({key!r}): it has succeeded; reset it to redo it")
            act = _act("extend", record, by, why, note=f"{starts} more starts")
            return interventions.extended(record, act, starts=starts, age=entry.age)

        return self._apply(key, by, why, change)

    def _apply(
        self, key: str, by: str, why: str, change: Callable[[LoopRecord, Entry], LoopRecord]
    ) -> KeyState:
        for name, value in (("by", by), ("why", why)):
            if not isinstance(value, str) or not value.strip():
                raise ConfigurationError(f"{name}={value!r}: say it in a non-empty string")
        for _ in range(_ATTEMPTS):
            entry = self._store.read(_PREFIX + key)
            if entry is None:
                raise KeyError(f"no loop with the key {key!r} ever started")
            record = change(_named(key, entry), entry)
            owner = None if record.running is None else record.running.owner
            head = encode_head(record.past, owner, record.writer)
            draft = encode_loop(record, head, record.serial)
            reply = self._store.write(_PREFIX + key, draft, expected=entry.version)
            if not isinstance(reply, Conflict):
                return _state(record, reply)
        raise StoreError(
            f"{key!r} was written by others {_ATTEMPTS} times in a row; try again",
            outcome="refused",
        )


def _readable(store_key: str, entry: Entry) -> KeyState:
    """Returns how a key stands, damage included: one record must not hide the others."""
    try:
        return _state(decode_loop(entry.value), entry)
    except RecordError as error:
        unread = _state(new_record(store_key.removeprefix(_PREFIX)), entry)
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


def _state(record: LoopRecord, entry: Entry) -> KeyState:
    past, running = record.past, record.running
    left = None if running is None else max(0.0, running.lease - entry.age)
    return KeyState(
        key=past.name,
        status=record.status,
        breaker=None if past.ruling is None else past.ruling.breaker,
        reason=None if past.ruling is None else past.ruling.reason,
        epoch=record.epoch,
        starts=record.starts,
        failures=record.failures,
        failures_in_row=record.row,
        crashes=record.crashes,
        elapsed=record.elapsed,
        running=None if running is None else str(running.owner),
        lease_left=left,
        retry_after=0.0 if math.isinf(entry.age) else max(0.0, record.wait - entry.age),
        stop_requested=None if past.stop is None else past.stop.by,
        last_error=past.error and f"{past.error}, iteration {past.error_start}",
        evidence=past.evidence and f"{past.evidence}, iteration {past.evidence_start}",
        limits=past.limits,
        extension=record.extension,
        history=past.history,
        age=entry.age,
    )
