# SPDX-License-Identifier: MIT
"""Each way in starts as many bodies as it may, and ends as the policy and the body say."""

from __future__ import annotations

import itertools
import threading

import attrs
import pytest

from haltable import ExitCondition, IterationCap, MemoryStore, SQLiteStore, Status, current
from tests.ways_in.async_ways import ASYNC_WAYS
from tests.ways_in.policy import Policy
from tests.ways_in.sync_ways import WAYS

#: Those that need a key.
STEPS = {"step", "astep"}
#: Those in which an exception of the body is no outcome: it leaves the host's own loop.
BLIND = {
    *("for_", "over", "tick", "generator", "generator_method"),
    *("async_for", "async_over", "atick", "async_generator"),
}
NUMBERS = itertools.count()


class Final(OSError):
    """What no attempt can mend."""


class Body:
    """Counts its starts, and does its act from a certain one on."""

    def __init__(self, act, at):
        self.starts = 0
        self.overlaps = 0
        self._act = act
        self._at = at
        self._alone = threading.Lock()

    def __call__(self):
        self.overlaps += not self._alone.acquire(blocking=False)
        self.starts += 1
        try:
            if self.starts >= self._at:
                self._act()
        finally:
            self._alone.release()
        return self.starts


@attrs.frozen
class Case:
    """A policy, what the body does from its ``at``-th start on, and how that ends."""

    cap: IterationCap
    starts: int
    status: Status = Status.TRIPPED
    breaker: str = "IterationCap"
    act: object = lambda: None
    at: int = 1
    #: At which start the declared conditions hold.
    succeeds: float = float("inf")
    gives_up: float = float("inf")
    #: Whether it is about exceptions.
    raises: bool = False


def fail(error):
    """Returns an act that raises."""

    def act():
        raise error

    return act


CASES = {
    "cap of 1": Case(IterationCap(1), 1),
    "cap of 2": Case(IterationCap(2), 2),
    "cap of 5": Case(IterationCap(5), 5),
    "success at the last": Case(IterationCap(4), 4, Status.SUCCEEDED, "", succeeds=4),
    "success before": Case(IterationCap(4), 2, Status.SUCCEEDED, "", succeeds=2),
    "success at the first": Case(IterationCap(1), 1, Status.SUCCEEDED, "", succeeds=1),
    "condition gives up": Case(IterationCap(4), 3, Status.GAVE_UP, "ExitCondition", gives_up=3),
    "body gives up": Case(
        IterationCap(4), 2, Status.GAVE_UP, "body", lambda: current().give_up("no more"), at=2
    ),
    "a claim is not enough": Case(IterationCap(3), 3, act=lambda: current().done("mine")),
    "a claim that holds": Case(
        IterationCap(3), 2, Status.SUCCEEDED, "", lambda: current().done("mine"), succeeds=2
    ),
    "fatal": Case(
        IterationCap(4), 2, Status.GAVE_UP, "fatal", fail(Final("gone")), at=2, raises=True
    ),
    "fails for ever": Case(IterationCap(9), 3, act=fail(OSError("no")), raises=True),
    "fails after good ones": Case(IterationCap(9), 5, act=fail(OSError("no")), at=3, raises=True),
    "fails at the cap": Case(IterationCap(2), 2, act=fail(OSError("no")), raises=True),
    "two failures in all": Case(
        IterationCap(9, max_failures=2, max_consecutive_failures=None),
        2,
        act=fail(OSError("no")),
        raises=True,
    ),
    "one failure in a row": Case(
        IterationCap(9, max_consecutive_failures=1), 1, act=fail(OSError("no")), raises=True
    ),
    "no limit on failures": Case(
        IterationCap(6, max_consecutive_failures=None), 6, act=fail(OSError("no")), raises=True
    ),
    "transient for ever": Case(IterationCap(6), 6, act=fail(BlockingIOError("later")), raises=True),
}


@pytest.fixture(params=["without a key", "in memory", "in SQLite"])
def kept(request, tmp_path):
    """Makes the key and the store of each loop; nothing for one without."""
    if request.param == "without a key":
        yield dict
    elif request.param == "in memory":
        yield lambda: {"key": f"key-{next(NUMBERS)}", "store": MemoryStore()}
    else:
        store = SQLiteStore(tmp_path / "loops.db")
        yield lambda: {"key": f"key-{next(NUMBERS)}", "store": store}
        store.close()


class Play:
    """One case, ready to be played by any way in."""

    def __init__(self, case, kept):
        self.case, self.kept = case, kept
        self.body = Body(case.act, case.at)
        self.policy = Policy(
            case.cap,
            ExitCondition(
                success=lambda: self.body.starts >= case.succeeds,
                give_up=lambda: self.body.starts >= case.gives_up,
            ),
            transient=BlockingIOError,
            fatal=Final,
            **kept,
        )

    def judge(self, end):
        """Holds the end against the case."""
        case, body = self.case, self.body
        assert (end.status, body.starts, body.overlaps) == (case.status, case.starts, 0)
        assert not case.breaker or end.breaker == case.breaker
        if self.kept:
            again = self.policy.loop.run(body)
            assert (again.status, again.starts, again.ran) == (case.status, case.starts, False)
            assert body.starts == case.starts


def plays(name, kept):
    """Returns each case that the way can play."""
    for case in CASES.values():
        if not (case.raises and name in BLIND):
            needs = {"key": "steps", "store": MemoryStore()} if name in STEPS else {}
            yield Play(case, kept() or needs)


@pytest.mark.parametrize("name", WAYS)
def test_a_sync_way_in_keeps_to_every_policy(name, kept):
    """P1, P3: exactly as many starts as the policy says, its verdict, and nothing after it."""
    for play in plays(name, kept):
        end = WAYS[name](play.policy, play.body)

        play.judge(end)


@pytest.mark.parametrize("name", ASYNC_WAYS)
async def test_an_async_way_in_keeps_to_every_policy(name, kept):
    """P1, P3: the same on asyncio and on trio."""
    for play in plays(name, kept):
        end = await ASYNC_WAYS[name](play.policy, play.body)

        play.judge(end)
