# SPDX-License-Identifier: MIT
"""P7 with a store that fails at its Nth call, for every N until a run passes clean."""

from __future__ import annotations

import itertools

import attrs
import pytest

from haltable import (
    Breaker,
    ExitCondition,
    IterationCap,
    Loop,
    LoopHalted,
    Operator,
    StoreError,
    remembered,
)
from haltable.conditions import never
from tests.faults.faulty import DOWN, FAULTS, AsyncFaulty, Faulty
from tests.faults.ways import ASYNC, SYNC, WAYS

KEY = "job"
CAP = 4
EACH = (
    [(way, Faulty) for way in SYNC]
    + [(way, AsyncFaulty) for way in ASYNC]
    + [(way, Faulty) for way in ("arun on asyncio", "arun on trio", "bare async for on trio")]
)
EACH_WAY = pytest.mark.parametrize(
    ("way", "kind"), EACH, ids=[f"{way}, {kind.__name__}" for way, kind in EACH]
)


@attrs.define
class Remembering(Breaker):
    """A breaker whose memory changes at every iteration, along and apart."""

    ended: int = remembered(default=0)
    seen: list[int] = remembered(factory=list, apart=True)

    def after(self, iteration):
        self.ended += 1
        self.seen = [*self.seen, iteration.starts]


class Life:
    """A key's life over a faulty store: one run under the fault, then runs to its end."""

    def __init__(self, way, kind, fault, at, delay=0):
        self.store = kind(fault, at)
        self.delay = delay
        self.carry = WAYS[way]
        self.raising = way not in {"wrap", "tick", "async wrap on asyncio", "async wrap on trio"}
        self.bodies = self.raised = self.started = 0
        self.loop = Loop(
            # A run that ended in a fault counts as a crash, which is a failure in the row.
            IterationCap(CAP, max_consecutive_failures=None),
            Remembering(),
            ExitCondition(success=never),
            key=KEY,
            store=self.store,
            delay=delay,
            sinks=[self.hear],
            clock=self.store.clock,
        )

    def hear(self, event):
        self.started += type(event).__name__ == "IterationStarted"

    def body(self):
        self.bodies += 1
        if self.bodies % 2:
            self.raised += 1
            raise ValueError("every other one fails")

    def run(self):
        """Runs the key until it ends or fails, with the waits that it asks for."""
        while True:
            self.store.clock.advance(self.delay)
            report = self.carry(self.loop, self.body)
            if not report.retry_after:
                return report

    def run_to_the_end(self):
        """Runs until the key has ended; each run must bring it on."""
        for _ in range(CAP + 2):
            report = self.run()
            if report.status.terminal:
                return report
        raise AssertionError(f"the key did not come to an end: {report}")

    @property
    def state(self):
        """How the key really stands; None if it never started."""
        try:
            return attrs.evolve(Operator(self.store.inner).show(KEY), age=0.0)
        except KeyError:
            return None


@pytest.mark.parametrize("fault", FAULTS, ids=str)
@pytest.mark.parametrize(
    ("way", "kind", "delay"),
    [(way, kind, 0) for way, kind in EACH]
    + [(way, Faulty, 5) for way in ("run", "step", "for")]
    + [(way, AsyncFaulty, 5) for way in ("arun on asyncio", "arun on trio", "astep on trio")],
)
def test_one_call_fails(way, kind, fault, delay):
    """P1, P2, P7: whichever call fails, the run says so or goes on, and no body is uncounted."""
    for at in itertools.count(1):
        life = Life(way, kind, fault, at, delay)
        first = life.run()
        if not life.store.struck:
            break
        check_after_fault(life, first)
        life.store.mend()
        check_end(life, first if first.status.terminal else life.run_to_the_end())
        # What certainly was not done, or was asked again, costs nothing.
        if life.store.struck[0].startswith("haltable/loop/"):
            assert life.bodies == CAP, f"call {at}"

    assert at > 2 * CAP


@pytest.mark.parametrize("fault", DOWN, ids=str)
@EACH_WAY
def test_all_calls_fail_for_a_while(way, kind, fault):
    """P7: a store that is gone ends the run and not the key, which is usable once it is back."""
    for at in itertools.count(1):
        life = Life(way, kind, fault, at)
        first = life.run()
        if not life.store.struck:
            break
        assert first.status == "open", f"call {at}"
        check_after_fault(life, first)
        life.store.mend()
        check_end(life, life.run_to_the_end())

    assert at > 2 * CAP


def check_after_fault(life, report):
    """Holds the report of a run that met a fault against what is really stored."""
    state = life.state
    assert life.bodies <= (0 if state is None else state.starts)
    assert life.started == life.bodies
    if report.status.terminal:
        assert report.durable
        assert state.status is report.status
        return
    assert (report.status, report.breaker, report.durable) == ("open", "store", False)
    assert not report.ok
    with pytest.raises(LoopHalted) as halted:
        report.unwrap()
    assert halted.value.report is report
    assert isinstance(halted.value.__cause__, StoreError)
    assert "reset" in str(halted.value.__cause__) or "said no" in str(halted.value.__cause__)


def check_end(life, report):
    """Holds the key's end against what was counted outside."""
    state = life.state
    assert (report.status, report.durable) == ("tripped", True)
    assert (state.status, state.running) == ("tripped", None)
    assert state.starts == CAP
    assert CAP - 1 <= life.bodies <= CAP
    assert life.started == life.bodies
    # A failure that is no crash is a body that raised, counted once.
    assert state.failures - state.crashes <= life.raised
    again = life.run()
    assert (again.ran, life.state) == (False, state)
