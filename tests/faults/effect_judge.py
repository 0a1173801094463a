# SPDX-License-Identifier: MIT
"""The second process: judges what a life of an effect left, and comes to an end with its key.

Every record is ended twice: once, as a copy, by somebody who can ask the outside
and is told the truth, and once by somebody who cannot, and an operator.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from haltable import (
    EffectFailed,
    Operator,
    OutcomeUnknown,
    PayloadMismatch,
)
from haltable.effect_records import EffectRecord, decode_effect, encode_effect
from haltable.effect_view import EffectView
from haltable.effects import EffectState, Happened, NotHappened, claim
from haltable.records import changed
from haltable.stores import Entry
from tests.faults.effect_lives import DEATHS, PAYLOAD, PREFIX, SCENARIOS, Life, calm_guard
from tests.faults.effect_points import BEGUN
from tests.faults.tally import Tally

__all__ = ["judge"]

#: What a call may raise whose process lives on, and what it says of the effect then.
RAISED = {
    "Fault",
    "KeyboardInterrupt",
    "NothingHappened",
    "OutcomeUnknown",
    "PermissionError",
    "StoreError",
    "SystemExit",
    "TrioInternalError",
    "ValueError",
}


def judge(lives: list[Life], codes: list[int]) -> list[dict[str, Any]]:
    """Returns for each life where it ended, and which promises were broken."""
    with lives[0].place.open() as store:
        listed = {view.key: view for view in Operator(store).effects()}
        found = [
            _Case(store, life, code, listed.get(life.key)).judged()
            for life, code in zip(lives, codes, strict=True)
        ]
        Operator(store).purge(older_than=0)
        ended = {view.key for view in Operator(store).effects()}
    for case in found:
        if case["key"] not in ended:
            case["problems"].append("I7: it was purged, though it is kept for ever")
    return found


class _Case:
    """One life that has ended, and what is known of it."""

    def __init__(self, store: Any, life: Life, code: int, view: EffectView | None) -> None:
        self.store, self.life, self.code, self.view = store, life, code, view
        self.scenario = SCENARIOS[life.scenario]
        self.words = Tally(life.outside).words()
        self.problems: list[str] = []
        self.values = [json.loads(text) for text in self.said("effect ")]
        self.fences = [int(text) for text in self.said("fence ")]

    def said(self, what: str) -> list[str]:
        return [word.removeprefix(what) for word in self.words if word.startswith(what)]

    def hold(self, what: str, truth: object) -> None:
        """Notes a promise that is broken."""
        if not truth:
            self.problems.append(what)

    @contextmanager
    def nothing_raised(self, what: str) -> Generator[None]:
        """Notes an exception that nobody may get."""
        try:
            yield
        except Exception as error:
            self.problems.append(f"{what}: it raised {error!r}")

    def judged(self) -> dict[str, Any]:
        life = self.life
        died = self.said("died ")
        with self.nothing_raised("the second process"):
            self.judge_death(died)
            entry = self.entry(life.key)
            record = None if entry is None else decode_effect(entry.value)
            self.judge_record(record)
            self.judge_answers(record)
            if record is not None:
                self.mismatch(life.key)
                self.copy(record)
            self.end_by_truth(f"{life.key}, asked")
            self.end_by_operator(life.key, record)
        return {"life": str(life), "key": life.key, "died": died[:1], "problems": self.problems}

    # What the first process left ------------------------------------------------------

    def judge_death(self, died: list[str]) -> None:
        point, expected = self.life.point, DEATHS.get(self.life.death)
        self.hold(f"it ended with {self.code}, at {died}", expected in (None, self.code))
        self.hold(f"it came to its end at {died}", point is None or point in died)
        self.hold(f"it ended with {self.code}", self.code >= 0 or expected is not None)

    def judge_record(self, record: EffectRecord | None) -> None:
        effects, begun = len(self.values), len(self.said(f"passed {BEGUN}"))
        self.hold(f"I1: {effects} effects", effects <= 1)
        state = EffectState.FREE if record is None else record.state
        if state in (EffectState.FREE, EffectState.FAILED):
            self.hold(f"I1: {state}, and it has happened", not effects)
        if state is EffectState.DONE:
            self.hold("I2: done, and it has not happened", effects)
            self.hold("I5: another result", [json.loads(record.result or "null")] == self.values)
        attempts = 0 if record is None else record.attempts
        self.hold(f"I9: {begun} bodies, {attempts} attempts", begun <= attempts)
        self.hold(f"I3: fences {self.fences}", self.fences == sorted(set(self.fences)))
        if record is not None and not state.finished and state is not EffectState.FREE:
            view = self.view
            self.hold("it is not listed as unknown", view and view.state is EffectState.UNKNOWN)

    def judge_answers(self, record: EffectRecord | None) -> None:
        for text in self.said("returned "):
            done = record is not None and record.state is EffectState.DONE
            self.hold("I13: it returned, and is not done", done)
            self.hold("I5: it returned another result", [json.loads(text)] == self.values)
        for kind in self.said("raised "):
            self.hold(f"it raised {kind}", kind in RAISED)
            if kind == "StoreError":
                self.hold("I13: the store failed, and it ran", not self.said("fence "))

    # Who comes after -------------------------------------------------------------------

    def end_by_truth(self, key: str) -> None:
        """A guard that can ask the outside: exactly one effect, whatever happened before."""
        first = self.call(key, reconcile=self.truth)
        if isinstance(first, EffectFailed):
            self.hold("it failed for good, and it has happened", not self.values)
        else:
            self.hold(f"I1, I2: {len(self.values)} effects", len(self.values) == 1)
            self.hold(f"I5: {first!r} for {self.values}", [first] == self.values)
        self.absorbs(key, first)

    def end_by_operator(self, key: str, left: EffectRecord | None) -> None:
        """A guard that cannot, and an operator who has looked."""
        self.values = [json.loads(text) for text in self.said("effect ")]
        before = len(self.values)
        first = self.call(key)
        self.hold(f"I1: {len(self.values)} effects", len(self.values) <= 1)
        if isinstance(first, OutcomeUnknown):
            self.hold("it ran, and its outcome is unknown", len(self.values) == before)
            entry = self.entry(key)
            again = self.call(key)
            self.hold(f"unknown, then {again!r}", isinstance(again, OutcomeUnknown))
            self.hold("I12: a look changed it", self.entry(key) == entry)
            first = self.resolved(key)
        elif isinstance(first, EffectFailed):
            self.hold("it failed for good, and it has happened", not self.values)
        else:
            self.hold(f"I5: {first!r} for {self.values}", [first] == self.values)
        claimed = left is not None and left.state is EffectState.CLAIMED
        self.hold("I1: a claim was run again", not claimed or len(self.values) <= 1)
        self.absorbs(key, first)

    def resolved(self, key: str) -> Any:
        """An operator ends it as it is; returns the next call's answer."""
        ops = Operator(self.store)
        if self.values:
            ops.resolve(key, "done", by="ana", why="seen on the bill", result=self.values[0])
        else:
            ops.resolve(key, "free", by="ana", why="not on the bill")
        value = self.call(key)
        self.hold(f"I5: {value!r} for {self.values}", [value] == self.values)
        return value

    def absorbs(self, key: str, first: Any) -> None:
        """What is over stays so, whoever calls and whatever the outside says now."""
        entry = self.entry(key)
        again = self.call(key, reconcile=lambda *_: NotHappened())
        self.hold(f"I5: {first!r}, then {again!r}", repr(again) == repr(first))
        self.mismatch(key)
        self.hold("I4: it was written after its end", self.entry(key) == entry)
        self.hold(f"I1: {len(self.values)} effects in the end", len(self.values) <= 1)
        record = None if entry is None else decode_effect(entry.value)
        over = record is not None and record.state.finished
        self.hold("it is not over", over)
        self.hold(f"I3: fences {self.fences}", len(self.fences) == len(set(self.fences)))

    def mismatch(self, key: str) -> None:
        """Another payload is refused, and changes nothing."""
        entry = self.entry(key)
        if entry is None:
            return
        try:
            value = calm_guard(self.store).once(key, self.run, payload="8.50 EUR")
        except PayloadMismatch:
            value = self
        self.hold(f"I6: another payload got {value!r}", value is self)
        self.hold("I6: another payload changed it", self.entry(key) == entry)

    # What they use ---------------------------------------------------------------------

    def call(self, key: str, reconcile: Callable[..., Any] | None = None) -> Any:
        """Returns what a call returns or raises."""
        try:
            return calm_guard(self.store, reconcile=reconcile).once(key, self.run, payload=PAYLOAD)
        except (OutcomeUnknown, EffectFailed) as error:
            return error

    def run(self) -> Any:
        if claim().key == self.life.key:
            self.hold(
                f"I3: fence {claim().fence} after {self.fences}",
                claim().fence > max(self.fences, default=0),
            )
        self.values.append({"receipt of": "the second process"})
        return self.values[-1]

    def truth(self, key: str, record: EffectRecord) -> Any:
        del key
        self.hold("I12: it asked without a claim", record.state is EffectState.CLAIMED)
        return Happened(self.values[0]) if self.values else NotHappened()

    def copy(self, record: EffectRecord) -> None:
        """Makes a second key of what was left."""
        key = f"{self.life.key}, asked"
        value = encode_effect(changed(record, key=key), record.writer, record.serial)
        self.store.write(PREFIX + key, value, expected=0)

    def entry(self, key: str) -> Entry | None:
        entry = self.store.read(PREFIX + key)
        return None if entry is None else Entry(entry.value, entry.version)
