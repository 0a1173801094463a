# SPDX-License-Identifier: MIT
"""P1, rule 1: a process that is forked in mid-run has two copies of it, and one key."""

from __future__ import annotations

import attrs
import pytest

from haltable import ExitCondition, IterationCap, Loop, MemoryStore, Operator, SQLiteStore
from haltable._context import here
from haltable._watch import shared
from haltable.conditions import never
from tests.faults.children import ended, start
from tests.faults.tally import Tally
from tests.faults.ways import ONE_RUN, SYNC
from tests.faults.workers import KEY, fork_in_body

RECORD = f"haltable/loop/{KEY}"
CAP = 4
COPY = "copy: open, run: this is a forked copy; its parent runs the key, durable False"


@pytest.mark.parametrize("way", [way for way in SYNC if way != "step"])
def test_a_fork_in_a_body_starts_nothing_twice(tmp_path, way):
    """The copy ends at its next start and says why; its parent makes all that are left."""
    path, tally = str(tmp_path / "loops.db"), Tally(tmp_path / "outside")
    code = ended(start(fork_in_body, path, str(tally.path), way, IterationCap(CAP)))

    assert code == 0
    assert tally.count("start") == CAP
    assert tally.count(COPY) == 1
    assert tally.count("tripped") == 1
    with SQLiteStore(path) as store:
        state = Operator(store).show(KEY)
    assert (state.status, state.starts, state.crashes) == ("tripped", CAP, 0)


@pytest.mark.parametrize("way", ONE_RUN)
def test_a_copy_writes_nothing(way):
    """A run that finds itself in another process than the one it began in ends, and only that."""
    store, bodies, begun = MemoryStore(), [], []
    loop = Loop(IterationCap(CAP), ExitCondition(success=never), key=KEY, store=store)

    def body():
        bodies.append(1)
        begun.append(store.read(RECORD))
        book = here.get().book
        book.owner = attrs.evolve(book.owner, pid=book.owner.pid + 1)

    report = ONE_RUN[way](loop, body)

    assert bodies == [1]
    assert f"{report.status}, {report.breaker}: {report.reason}" in COPY
    assert (report.ran, report.durable) == (True, False)
    assert store.read(RECORD).version == begun[0].version
    assert not shared.tokens()
