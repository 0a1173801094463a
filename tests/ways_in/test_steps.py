# SPDX-License-Identifier: MIT
"""Steps on which nobody has a word but the success condition: asked once, and heard in full."""

from __future__ import annotations

import pytest

from haltable import ExitCondition, IterationCap, Loop, MemoryStore, Operator, Status
from haltable.encoding import decode_loop
from haltable.events import IterationEnded, IterationStarted, RunEnded
from haltable.model import Outcome
from haltable.testing import FakeClock


class Asked:
    """A success condition that counts how often it is asked."""

    def __init__(self, answer):
        self.answer, self.times = answer, 0

    def __call__(self, result):
        self.times += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return result == self.answer


async def step(kind, loop, answer):
    """Makes one step of a body that returns the answer, or raises it."""

    def body():
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def awaited():
        return body()

    return loop.step(body) if kind == "sync" else await loop.astep(awaited)


def bounded(condition, **options):
    """Returns a loop that ends when the condition holds."""
    parts = IterationCap(5), ExitCondition(success=condition)
    return Loop(*parts, key="k", **{"store": MemoryStore(), **options})


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_the_condition_is_asked_once_a_step(kind):
    """Of a step that did not succeed and of one that did, and of none that failed."""
    asked = Asked(2)
    loop = bounded(asked)
    reports = [await step(kind, loop, answer) for answer in (1, OSError(), 2)]

    assert [report.status for report in reports] == [Status.OPEN, Status.OPEN, Status.SUCCEEDED]
    assert [report.starts for report in reports] == [1, 2, 3]
    assert reports[-1].result == 2
    assert asked.times == 2


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_a_broken_condition_ends_the_key(kind):
    """A check that raises is no success, and says so in the report."""
    report = await step(kind, bounded(Asked(OSError("no such file"))), 1)

    assert (report.status, report.breaker, report.durable) == ("tripped", "ExitCondition", True)
    assert "no such file" in report.reason


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_an_interrupted_question_leaves_the_iteration_returned(kind):
    """A Ctrl-C in the success condition takes nothing back: the row of failures is over."""

    def interrupted(result):
        raise KeyboardInterrupt

    store = MemoryStore()
    for answer in (OSError(), OSError()):
        await step(kind, bounded(interrupted, store=store), answer)
    with pytest.raises(KeyboardInterrupt):
        await step(kind, bounded(interrupted, store=store), 1)
    ((_, after),) = store.scan("haltable/loop/")

    assert decode_loop(after.value).row == 0
    assert (await step(kind, bounded(interrupted, store=store), OSError())).status == "open"


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_the_end_of_an_iteration_is_told_before_anybody_is_asked(kind):
    """Whoever listens hears of it even if the success condition is interrupted."""

    def interrupted(result):
        raise KeyboardInterrupt

    heard = []
    with pytest.raises(KeyboardInterrupt):
        await step(kind, bounded(interrupted, sinks=[heard.append]), 1)

    assert [type(event) for event in heard] == [IterationStarted, IterationEnded, RunEnded]
    assert heard[1].outcome is Outcome.RETURNED


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_a_success_is_settled_in_the_record(kind):
    """The slips before it are over, as after any iteration that returned."""
    store = MemoryStore()
    loop = bounded(Asked(1), store=store, transient=OSError)
    await step(kind, loop, OSError())
    ((_, before),) = store.scan("haltable/loop/")
    await step(kind, loop, 1)
    ((_, after),) = store.scan("haltable/loop/")

    assert [decode_loop(entry.value).slips for entry in (before, after)] == [1, 0]


def test_the_limits_of_a_new_policy_are_told_from_its_first_start_on():
    """Whoever looks while the body runs sees what bounds it, not what bounded the last one."""
    store, seen = MemoryStore(), []

    def body():
        seen.append(dict(Operator(store).show("k").limits)["starts"])
        raise OSError

    for cap in (3, 9):
        Loop(IterationCap(cap), ExitCondition(success=bool), key="k", store=store).step(body)

    assert seen == ["3", "9"]


class Extended(MemoryStore):
    """A store in which an operator extends the key just before a verdict is written."""

    def write(self, key, value, *, expected):
        if decode_loop(value).past.ruling is not None and expected == self.read(key).version:
            Operator(self).extend(key.rpartition("/")[2], starts=5, by="ana", why="nearly done")
        return super().write(key, value, expected=expected)


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_a_verdict_that_is_withdrawn_keeps_the_live_seconds(kind):
    """What the last iteration took counts in the key that an operator extends meanwhile."""
    store, clock = Extended(), FakeClock()

    class Slow(Asked):
        def __call__(self, result):
            clock.advance(100)
            return super().__call__(result)

    parts = IterationCap(1), ExitCondition(success=Slow(2))
    report = await step(kind, Loop(*parts, key="k", store=store, clock=clock), 1)
    ((_, after),) = store.scan("haltable/loop/")

    assert report.reason == "the key was extended while the run was ending"
    assert decode_loop(after.value).elapsed == report.elapsed == 100
