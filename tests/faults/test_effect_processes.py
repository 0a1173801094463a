# SPDX-License-Identifier: MIT
"""P4 with real processes on one file: killed in an effect, stopped in one, sharing keys."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from haltable import ConfigurationError, IdempotencyGuard, MemoryStore, Operator, OutcomeUnknown
from haltable.effects import EffectState, Happened
from tests.effects.sites import make_site
from tests.faults import effect_workers
from tests.faults.children import all_ended, ended, start
from tests.faults.effect_workers import EFFECT, KEY, tell_of_outside
from tests.faults.gate import Gate
from tests.faults.tally import Tally

WAYS = ("once", "aonce on asyncio", "aonce on trio")
WAY = pytest.mark.parametrize("way", WAYS)
#: Whether the outside act comes before whatever happens to its process, or after.
WHERE = pytest.mark.parametrize("where", ["before", "after"])
LIMIT = 30.0
KEYS, PASSES = range(60), 2


class Outside:
    """The effect as the world knows it: one file in which each act is a line."""

    def __init__(self, folder, way):
        self.path = str(folder / "loops.db")
        self.tally = Tally(folder / "outside")
        self.site, self.close = make_site(way, "SQLite", self.path)
        self.ops = Operator(self.site.store)
        self.way = way

    def start(self, work, *args):
        """Starts a process that works on the same file."""
        return start(work, self.path, str(self.tally.path), self.way, *args)

    def call(self, **options):
        """Calls the effect in this process."""
        return self.site.call(self.site.guard(**options), KEY, self.again)

    def again(self):
        self.tally.mark(EFFECT)
        return "the second receipt"

    @property
    def effects(self):
        return self.tally.count(EFFECT)

    @property
    def unknown(self):
        return [view.key for view in self.ops.effects("unknown")]

    @property
    def told(self):
        return [word for word in self.tally.words() if word != EFFECT]


@pytest.fixture
def outside(tmp_path, way):
    """What all processes of a test share."""
    made = Outside(tmp_path, way)
    yield made
    made.close()


@contextlib.contextmanager
def stopped(process):
    """Waits until a process was stopped; afterwards lets it go on and come to its end."""
    limit, pause = time.monotonic() + LIMIT, threading.Event()
    while Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
        if time.monotonic() > limit:
            raise TimeoutError("the process was not stopped")
        pause.wait(0.002)
    try:
        yield
    finally:
        os.kill(process.pid, signal.SIGCONT)
        code = ended(process)
    assert code == 0


# Killed ------------------------------------------------------------------------


@WAY
@WHERE
def test_killed_in_the_effect(outside, where):
    """Nobody knows whether it has happened: it is listed by its name, and never run again."""
    assert ended(outside.start(effect_workers.die_in_effect, where)) == -signal.SIGKILL
    effects = outside.effects
    listed = outside.unknown
    for _ in range(2):
        with pytest.raises(OutcomeUnknown, match="is dead"):
            outside.call()

    assert outside.site.record(KEY).state is EffectState.UNKNOWN
    assert listed == outside.unknown == [KEY]
    assert outside.effects == effects == (where == "after")


@WAY
@WHERE
def test_a_reconciler_resolves_it_by_itself(outside, where):
    """What the outside says is the end of it: one effect, whichever side of it the kill was on."""
    assert ended(outside.start(effect_workers.die_in_effect, where)) == -signal.SIGKILL
    asks = tell_of_outside(outside.tally)
    values = [outside.call(reconcile=asks) for _ in range(2)]

    assert values == [{"before": "the second receipt", "after": "seen outside"}[where]] * 2
    assert outside.effects == 1
    assert outside.unknown == []


@WAY
def test_kills_bound_what_may_be_repeated(outside):
    """I2, I10: so many kills, without a word of anyone, and the next process runs nothing."""
    codes = [ended(outside.start(effect_workers.die_in_repeatable_effect, 3)) for _ in range(5)]

    assert codes == [-signal.SIGKILL] * 3 + [0] * 2
    assert outside.effects == 3
    assert outside.told == ["raised OutcomeUnknown [null, null]"] * 2
    assert outside.unknown == [KEY]


# Stopped beyond the lease ------------------------------------------------------


@WAY
@WHERE
def test_a_stopped_owner_finishes_its_own_unknown(outside, where):
    """Others find its claim lapsed and unknown; it goes on, and its word stands."""
    process = outside.start(effect_workers.stop_in_effect, where)
    with stopped(process):
        outside.site.advance(61)
        with pytest.raises(OutcomeUnknown, match="has lapsed"):
            outside.call()
        listed = outside.unknown

    assert listed == [KEY]
    assert outside.told == ['returned "the owner\'s receipt"']
    assert outside.call() == "the owner's receipt"
    assert (outside.effects, outside.unknown) == (1, [])


@WAY
@WHERE
@pytest.mark.parametrize("by", ["an operator", "a reconciler"])
def test_a_stopped_owner_is_resolved_without(outside, where, by):
    """Whoever was decided without is told so, with both values; there is still one effect."""
    process = outside.start(effect_workers.stop_in_effect, where)
    with stopped(process):
        outside.site.advance(61)
        if by == "an operator":
            outside.ops.resolve(KEY, "done", by="ana", why="on the bill", result="seen outside")
        else:
            outside.call(reconcile=lambda *_: Happened("seen outside"))

    assert outside.told == ['raised LeaseLost ["the owner\'s receipt", "seen outside"]']
    assert outside.call() == "seen outside"
    assert outside.effects == 1


@WAY
@WHERE
def test_a_stopped_owner_is_not_dead(outside, where):
    """What has not happened may happen yet: neither a reconciler nor an operator frees it."""
    process = outside.start(effect_workers.stop_in_effect, where)
    with stopped(process):
        outside.site.advance(61)
        if where == "before":
            with pytest.raises(OutcomeUnknown, match="may be at it still"):
                outside.call(reconcile=tell_of_outside(outside.tally))
        with pytest.raises(ConfigurationError, match="may be at it still"):
            outside.ops.resolve(KEY, "free", by="ana", why="it was not on the bill")

    assert outside.told == ['returned "the owner\'s receipt"']
    assert outside.effects == 1


@WAY
@WHERE
def test_a_stopped_reconciler(outside, where):
    """Whoever asked, was stopped and wakes up to find it answered, returns what the other found."""
    assert ended(outside.start(effect_workers.die_in_effect, where)) == -signal.SIGKILL
    process = outside.start(effect_workers.stop_in_reconcile)
    with stopped(process):
        outside.site.advance(61)
        found = outside.call(reconcile=tell_of_outside(outside.tally))

    assert outside.told == [f"returned {json.dumps(found)}"]
    assert outside.effects == 1


# Shared ----------------------------------------------------------------------------


def test_four_processes_share_a_key_space(tmp_path):
    """I1, I5: of four processes in two passes one carries out each effect; all get its value."""
    tally, gate = Tally(tmp_path / "outside"), Gate(tmp_path / "gate", parties=4)
    make_site("once", "SQLite", str(tmp_path / "loops.db"))[1]()
    with gate.closed():
        processes = [
            start(
                *(effect_workers.share_keys, str(tmp_path / "loops.db"), str(tally.path)),
                *(way, KEYS, gate),
            )
            for way in ("once", *WAYS)
        ]
    assert all_ended(processes) == [0] * 4
    check_shared(tally.words(), callers=4)


def check_shared(words, *, callers):
    """Holds what was counted against one effect for each key, and one value for all."""
    effects, values = Counter(), defaultdict(list)
    for word in words:
        key, _, what = word.partition(" ")
        if what == EFFECT:
            effects[key] += 1
        else:
            values[key].append(what)

    assert set(effects.values()) == {1}
    assert len(effects) == len(KEYS)
    assert {len(found) for found in values.values()} == {callers * PASSES}
    assert all(len(set(found)) == 1 for found in values.values())


def test_four_threads_share_a_key_space():
    """The same, in one process and in memory."""
    words, gate = [], threading.Barrier(4)
    guard = IdempotencyGuard(store=MemoryStore(), on_held="wait")

    def charge(key):
        words.append(f"{key} {EFFECT}")
        return {"receipt of": threading.get_ident()}

    def share():
        gate.wait(LIMIT)
        for _ in range(PASSES):
            for number in KEYS:
                key = f"charge:{number}"
                words.append(f"{key} returned {guard.once(key, charge, key)}")

    with ThreadPoolExecutor(4) as pool:
        for thread in [pool.submit(share) for _ in range(4)]:
            thread.result(LIMIT)

    check_shared(words, callers=4)
