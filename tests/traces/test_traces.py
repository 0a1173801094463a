# SPDX-License-Identifier: MIT
"""Recorded-style traces of loops, replayed through the public API with a clock that bodies move.

Each trace in ``loop-traces.json`` is modelled on what somebody reported in public;
its ``source`` says where.  It has the steps that a body took, and the verdict that
a good set of breakers comes to.  The breakers are the same for all traces, with
a window of 120 seconds where a trace names none.  What the body says of itself
(``self_report``) is handed to nobody.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import pytest

from haltable import (
    ExitCondition,
    IdempotencyGuard,
    IterationCap,
    Loop,
    LoopHalted,
    MemoryStore,
    StallDetector,
    Status,
)
from haltable.conditions import returned
from haltable.effects import Happened
from haltable.evidence import Probe
from haltable.testing import FakeClock

FILE = Path(__file__).with_name("loop-traces.json")
TRACES: dict[str, Any] = {trace["name"]: trace for trace in json.loads(FILE.read_text())["traces"]}
#: The window where a trace names none, in seconds.
AFTER = 120
#: Seconds that a body of a daemon takes; the rest lies between two tasks.
BRIEF = 1

#: Only a breaker that sees the same call come back to the same answer could judge these:
#: they are over before any window is.  To be moved up when there is one.
FOR_REPETITION = {"same-call-empty-output"}


class Transient(Exception):
    """A step that failed for a reason of the infrastructure."""


class Failure(Exception):
    """A step that failed for a reason of its own."""


class World:
    """What there is outside the loop, as the steps of a trace change it."""

    def __init__(self, trace):
        self.trace, self.config = trace, trace.get("config", {})
        self.steps, self.expected = trace["steps"], trace["expected"]
        self.clock = FakeClock()
        self.found, self.limited, self.success = [], False, False

    def breakers(self, *more):
        """Returns the breakers that every trace is judged by."""
        stall = StallDetector(
            after=self.config.get("no_evidence_s", AFTER),
            evidence=Probe(lambda: self.found, name="artifacts"),
            # While the service turns everybody away there is nothing to be done.
            when=lambda: not self.limited,
        )
        cap = IterationCap(
            self.config.get("iteration_cap", 50),
            max_consecutive_failures=self.config.get("per_key_failure_cap", 3),
        )
        return (stall, cap, *more)

    def loop(self, *more, **options):
        """Returns the loop of a trace."""
        return Loop(*self.breakers(*more), clock=self.clock, transient=Transient, **options)

    def take(self, step):
        """Takes a step: the time passes, something may be found, and it may fail."""
        # There first, so that whoever looks while the time passes sees what was made in it.
        self.found = step["evidence"] or self.found
        self.clock.advance(step["t"] - self.clock.now())
        error = step.get("error")
        self.limited = bool(error and error["transient"])
        self.success = step.get("success", False)
        if error:
            raise (Transient if error["transient"] else Failure)(error["type"])
        return step["observation"]


@attrs.frozen
class Replayed:
    """How a replay ended: after which step, and why."""

    step: int
    reason: str


def in_one_loop(world):
    """Replays the steps as iterations of one loop, which ends by itself or with its source."""
    loop = world.loop(ExitCondition(success=lambda: world.success))
    left = iter(world.steps)
    run = loop.start()
    last = 0

    def body(iteration):
        nonlocal last
        step = next(left, None)
        if step is None:
            iteration.give_up("exhausted")
            return None
        last = step["i"]
        return world.take(step)

    report = run.run(body)
    assert report.starts == last + (report.status is Status.GAVE_UP)
    reasons = {"StallDetector": "stall", "IterationCap": "cap", "ExitCondition": "success"}
    return Replayed(last, reasons.get(report.breaker, report.reason))


def in_a_daemon(world):
    """Replays each step as one iteration of its key; a key that is halted is skipped."""
    loop = world.loop(ExitCondition(success=returned), key="any", store=MemoryStore())
    ended, ran = None, []
    for step in world.steps:
        world.clock.advance(step["t"] - BRIEF - world.clock.now())
        report = loop.with_(key=step["key"]).step(lambda step=step: world.take(step))
        if report.ran:
            ran.append(step["i"])
        if report.status is Status.TRIPPED and ended is None:
            ended = Replayed(step["i"], {"IterationCap": "cap"}.get(report.breaker, report.reason))
            assert world.expected["scope"] == f"key:{step['key']}"
    assert ran == [1, 2, 3, 4, 5, 6, 7, 9, 10]
    assert world.expected["loop_continues"]
    return ended


def with_effects(world):
    """Replays each step as an effect under its key; what is unknown is asked of the outside."""
    executed, landed, asked = dict.fromkeys(world.expected["executed_effects"], 0), {}, []

    def ask(key, record):
        del record
        asked.append(key)
        return Happened(landed[key])

    loop = world.loop(
        IdempotencyGuard(reconcile=ask),
        ExitCondition(success=lambda: world.success),
        key="order:88",
        store=MemoryStore(),
    )
    left = iter(world.steps)
    last = 0

    def body(iteration):
        nonlocal last
        step = next(left)
        last = step["i"]

        def effect():
            executed[step["key"]] += 1
            if step.get("landed"):
                landed[step["key"]] = f"{step['key']} is there"
            return world.take(step)

        result = iteration.once(step["key"], effect, payload=None)
        if world.clock.now() < step["t"]:  # It was not run; it takes its time all the same.
            world.take(step)
        return result

    report = loop.run(body)
    assert report.breaker == "ExitCondition"
    assert executed == world.expected["executed_effects"]
    assert asked == world.expected["reconcile_keys"]
    return Replayed(last, "success" if report.ok else report.reason)


#: How each trace is replayed that evidence, caps, keys, transient errors or effects can judge.
JUDGED = {
    "poll-with-external-artifacts": in_one_loop,
    "two-state-oscillation": in_one_loop,
    "same-tool-many-files": in_one_loop,
    "rate-limited-then-recovers": in_one_loop,
    "stuck-at-zero-percent-but-working": in_one_loop,
    "poison-item-in-healthy-daemon": in_a_daemon,
    "charge-retried-after-timeout": with_effects,
}


def verdict(trace, replay):
    """Says whether a replay ended as the trace expects."""
    ended, expected = replay(World(trace)), trace["expected"]
    first = expected.get("earliest_step", 1 if expected["trip"] else len(trace["steps"]))
    return ended.reason == expected["reason"] and first <= ended.step <= expected["latest_step"]


@pytest.mark.parametrize("name", JUDGED)
def test_a_trace_ends_as_expected(name):
    """The breakers of today come to the expected verdict, at a step that is expected."""
    assert verdict(TRACES[name], JUDGED[name])


def test_every_trace_is_judged_or_waits_by_name():
    """A trace that is in neither list, or in both, fails here."""
    assert {*JUDGED} | FOR_REPETITION == {*TRACES}
    assert not {*JUDGED} & FOR_REPETITION


@pytest.mark.parametrize("name", FOR_REPETITION)
def test_what_waits_cannot_be_judged_yet(name):
    """A trace waits only as long as no breaker judges it."""
    assert not verdict(TRACES[name], in_one_loop)


def test_where_each_trace_comes_from_is_said():
    """Each trace names what was reported, and by whom."""
    assert [name for name, trace in TRACES.items() if not trace["source"].strip()] == []


def without_evidence(trace):
    """Plants: nothing is ever found."""
    return {**trace, "steps": [{**step, "evidence": []} for step in trace["steps"]]}


def always_new(trace):
    """Plants: each step finds something else."""
    steps = [{**step, "evidence": [str(step["i"])]} for step in trace["steps"]]
    return {**trace, "steps": steps}


def nothing_transient(trace):
    """Plants: each error counts."""
    steps = [
        {**step, "error": {"type": "E", "transient": False}} if "error" in step else step
        for step in trace["steps"]
    ]
    return {**trace, "steps": steps}


def a_higher_cap(trace):
    """Plants: one failure more is allowed."""
    return {**trace, "config": {"per_key_failure_cap": 4}}


@pytest.mark.parametrize(
    ("name", "plant"),
    [
        ("poll-with-external-artifacts", without_evidence),
        ("two-state-oscillation", always_new),
        ("rate-limited-then-recovers", nothing_transient),
        ("stuck-at-zero-percent-but-working", without_evidence),
        ("poison-item-in-healthy-daemon", a_higher_cap),
    ],
)
def test_the_replay_sees_a_difference(name, plant):
    """A trace that is changed in the point that matters ends otherwise."""
    changed = plant(TRACES[name])

    with pytest.raises(AssertionError):
        assert verdict(changed, JUDGED[name])


def test_halted_is_loud():
    """What a trace expects to trip raises for who asks for the result."""
    world = World(TRACES["two-state-oscillation"])
    steps = iter(world.steps)

    with pytest.raises(LoopHalted, match="nothing new in artifacts"):
        world.loop().run(lambda: world.take(next(steps))).unwrap()
