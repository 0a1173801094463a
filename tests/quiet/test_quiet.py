# SPDX-License-Identifier: MIT
"""What passes quietly stands where full turns would have put it.

A run that somebody listens to looks at every iteration in full; one that nobody
listens to takes every short cut there is.  Both shall come to the same end.
"""

from __future__ import annotations

import attrs
from hypothesis import given, strategies as st

from haltable import (
    Backoff,
    Breaker,
    Deadline,
    ExitCondition,
    IterationCap,
    Loop,
    MemoryStore,
    StallDetector,
    Warn,
    remembered,
)
from haltable.encoding import decode_loop
from haltable.evidence import Probe
from haltable.testing import FakeClock

RETURN, FAIL, SLIP, SUCCEED, WORK = "return", "fail", "slip", "succeed", "work"
ACTS = st.lists(st.sampled_from([RETURN, RETURN, RETURN, FAIL, SLIP, SUCCEED, WORK]), max_size=12)


class Slipped(Exception):
    """A declared transient."""


@attrs.define
class Talkative(Breaker):
    """Counts what returned, and warns at the third."""

    counted: int = remembered(default=0)

    def after(self, iteration):
        self.counted += iteration.error is None
        return Warn("the third") if self.counted == 3 else None


class Script:
    """A body that does what is written, on a clock that it moves."""

    def __init__(self, acts, clock):
        self.acts = iter(acts)
        self.clock = clock
        self.produced = 0

    def __call__(self):
        act = next(self.acts, RETURN)
        self.clock.advance(10)
        if act == FAIL:
            raise ValueError(act)
        if act == SLIP:
            raise Slipped
        self.produced += act == WORK
        return act

    def evidence(self):
        """Returns what was produced so far."""
        return b"%d" % self.produced


class Written(MemoryStore):
    """A store that keeps every value that was written."""

    def __init__(self):
        super().__init__()
        self.values = []

    def write(self, key, value, *, expected):
        self.values.append((key, value))
        return super().write(key, value, expected=expected)


def plain(value):
    """Returns a stored record without what differs from run to run."""
    record = decode_loop(value)
    running = record.running and attrs.evolve(record.running, owner=None)
    return attrs.evolve(record, writer="", running=running)


def ended(acts, *, listened_to, key, breakers, delay):
    """Returns how a run ends, and what it wrote."""
    clock, store = FakeClock(), Written()
    script = Script(acts, clock)
    more = {
        "stall": [StallDetector(after=45, every=15, evidence=Probe(script.evidence))],
        "talk": [Talkative()],
        "few": [],
    }[breakers]
    loop = Loop(
        IterationCap(9, max_failures=4),
        Deadline(total=300),
        ExitCondition(success=lambda result: result == SUCCEED),
        *more,
        key="a key" if key else None,
        store=store if key else None,
        transient=Slipped,
        delay=Backoff(initial=1, maximum=1) if delay else 0,
        sinks=[lambda event: None] if listened_to else [],
        clock=clock,
    )
    report = loop.run(script).to_dict()
    report["error"] = repr(report["error"])
    return report, [plain(value) for name, value in store.values if "/loop/" in name]


@given(
    acts=ACTS,
    key=st.booleans(),
    breakers=st.sampled_from(["few", "stall", "talk"]),
)
def test_short_cuts_lead_to_the_same_end(acts, key, breakers):
    """A run's report and everything it wrote are the same whether or not anybody listened."""
    quiet = ended(acts, listened_to=False, key=key, breakers=breakers, delay=False)
    loud = ended(acts, listened_to=True, key=key, breakers=breakers, delay=False)

    assert quiet == loud


@given(acts=ACTS, key=st.booleans())
def test_a_back_off_waits_only_after_slips(acts, key):
    """With a back-off the counts, too, are the same whether or not anybody listened."""
    quiet, _ = ended(acts, listened_to=False, key=key, breakers="few", delay=True)
    loud, _ = ended(acts, listened_to=True, key=key, breakers="few", delay=True)
    del quiet["elapsed"], loud["elapsed"]  # The jitter differs.

    assert quiet == loud
