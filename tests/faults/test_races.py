# SPDX-License-Identifier: MIT
"""P1-P3 on one SQLite file: races, restarts and deaths cost a unit and never give one."""

from __future__ import annotations

import pytest

from haltable import IterationCap, Operator, SQLiteStore
from tests.faults import workers
from tests.faults.children import all_ended, ended, start
from tests.faults.gate import Gate
from tests.faults.tally import Tally
from tests.faults.ways import WAYS
from tests.faults.workers import KEY, START

EIGHT = 8
#: The bound below which a refusal surely waited for no lease, which is 60 s.
AT_ONCE = 10.0


@pytest.fixture
def path(tmp_path):
    """A database file that nobody has made yet."""
    return str(tmp_path / "loops.db")


@pytest.fixture
def tally(tmp_path):
    """The count that is kept outside."""
    return Tally(tmp_path / "outside")


def show(path):
    """How the key stands on disk."""
    with SQLiteStore(path, create=False) as store:
        return Operator(store).show(KEY)


@pytest.mark.parametrize(
    "ways",
    [
        ["run"] * EIGHT,
        ["step"] * EIGHT,
        ["run", "step", "for", "wrap", "arun on asyncio", "astep on trio", "async for on trio"],
    ],
    ids=["run", "step", "mixed"],
)
def test_eight_processes_race_for_three_failures(path, tally, tmp_path, ways):
    """P1: where three failures are allowed, of eight processes that race three start a body."""
    cap = IterationCap(50, max_consecutive_failures=3)
    gate = Gate(tmp_path / "gate", len(ways))
    with gate.closed():
        racing = [start(workers.fail, path, str(tally.path), way, cap, gate) for way in ways]

    assert all_ended(racing) == [0] * len(ways)
    assert tally.count(START) == 3
    assert tally.count("tripped") == len(ways)
    assert show(path).starts == 3


@pytest.mark.parametrize("way", ["step", "run", "astep on asyncio", "for"])
def test_eight_processes_share_a_cap(path, tally, tmp_path, way):
    """P1: of eight processes at once on a cap of N, exactly N bodies start."""
    cap, gate = IterationCap(40), Gate(tmp_path / "gate", EIGHT)
    sharing = (workers.succeed, path, str(tally.path), way, cap, gate)
    with gate.closed():
        racing = [start(*sharing) for _ in range(EIGHT)]

    assert all_ended(racing) == [0] * EIGHT
    assert tally.count(START) == 40
    assert tally.count("tripped") == EIGHT


def test_eight_restarts_of_one_attempt_each(path, tally):
    """P1: of eight restarts with one failing attempt each, three start a body."""
    cap = IterationCap(50, max_consecutive_failures=3)

    codes = [ended(start(workers.attempt_once, path, str(tally.path), cap)) for _ in range(EIGHT)]

    assert codes == [0] * EIGHT
    assert tally.count(START) == 3
    assert tally.words()[-6:] == ["tripped"] * 6


@pytest.mark.parametrize(
    ("way", "death"),
    [(way, "os._exit") for way in WAYS]
    + [(way, death) for way in ("run", "arun on trio") for death in ("SIGKILL", "SIGTERM")],
)
def test_eight_deaths_in_the_body(path, tally, way, death):
    """P3: three deaths in the body are three failures; the next start is refused, and writes it."""
    cap = IterationCap(50, max_consecutive_failures=3)

    codes = [
        ended(start(workers.die_in_body, path, str(tally.path), way, death, cap))
        for _ in range(EIGHT)
    ]

    assert tally.count(START) == 3
    assert [code != 0 for code in codes] == [True] * 3 + [False] * 5
    state = show(path)
    assert (state.status, state.crashes, state.running) == ("tripped", 3, None)
    refusals = [float(word.split()[2]) for word in tally.words() if word.startswith("refused")]
    assert max(refusals) < AT_ONCE


def test_the_refusal_itself_writes_the_tombstone(path, tally):
    """P3: after three deaths the key is open on disk, until the next start has been refused."""
    cap = IterationCap(50, max_consecutive_failures=3)
    dying = (workers.die_in_body, path, str(tally.path), "run", "SIGKILL", cap)
    for _ in range(3):
        ended(start(*dying))
    before = show(path)
    ended(start(*dying))

    assert before.status == "open"
    assert before.running is not None
    assert show(path).status == "tripped"
    assert "3 failures in a row" in show(path).reason


def test_a_killed_host_goes_on_where_it_was(path, tally):
    """P1: a host's `for` that is killed and restarted starts as many bodies as the cap says."""
    cap = IterationCap(10)
    starting = (workers.die_in_for, path, str(tally.path), cap)

    codes = [ended(start(*starting)) for _ in range(5)]

    assert codes == [-9, -9, -9, 0, 0]
    assert tally.count(START) == 10
    assert show(path).status == "tripped"
    assert show(path).crashes == 3


def test_a_zombie_is_dead(path, tally):
    """Rule 1: the key of a process that died and was not yet waited for is free at once."""
    cap = IterationCap(50, max_consecutive_failures=3)
    ended(start(workers.leave_a_zombie, path, str(tally.path), cap))

    assert tally.count(START) == 2
    assert show(path).crashes == 1
