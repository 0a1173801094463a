# SPDX-License-Identifier: MIT
"""Questions that may block are asked in another thread, so that the event loop goes on."""

from __future__ import annotations

import threading

import anyio
import pytest

from haltable import ExitCondition, IterationCap, Loop, MemoryStore, StallDetector, Status
from haltable.conditions import never
from haltable.evidence import Evidence, Files
from haltable.probe import Condition, Due
from haltable.testing import FakeClock

#: Seconds that no test waits for; an event loop that is held up is found by them.
LONG = 30.0


class Slow:
    """Whoever is asked waits until the event loop has had a turn."""

    blocks = True

    def __init__(self):
        self.asked, self.turned = threading.Event(), threading.Event()
        self.threads = []

    def wait(self):
        self.threads.append(threading.current_thread())
        self.asked.set()
        return self.turned.wait(LONG)

    async def turn(self):
        """Is the rest of the program: it lets go what was asked."""
        await anyio.to_thread.run_sync(self.asked.wait)
        self.turned.set()


class SlowCondition(Slow, Condition):
    """A condition that holds once the event loop has turned."""

    def __init__(self, due):
        super().__init__()
        self.due = due

    def holds(self, subject):
        return self.wait()


class SlowEvidence(Slow, Evidence):
    """Evidence that is seen once the event loop has turned."""

    def fingerprint(self):
        return b"there" if self.wait() else None


async def body():
    """Does nothing."""


async def failing():
    """Fails."""
    raise OSError("no")


async def arun_beside(slow, loop, work):
    """Runs the loop beside the rest of the program."""
    reports = []

    async def carry():
        reports.append(await loop.arun(work))

    async with anyio.create_task_group() as group:
        group.start_soon(slow.turn)
        group.start_soon(carry)
    return reports[0]


@pytest.mark.parametrize("options", [{}, {"key": "key", "store": MemoryStore}])
@pytest.mark.parametrize("due", [Due.START, Due.RETURN])
@pytest.mark.parametrize("compose", [lambda slow: slow, lambda slow: never | slow], ids=["", "or"])
async def test_a_success_that_takes_long_to_see(options, due, compose):
    """Before the first iteration and after one that returned, the event loop is not held up."""
    slow = SlowCondition(due)
    options = {name: value() if callable(value) else value for name, value in options.items()}
    loop = Loop(IterationCap(3), ExitCondition(success=compose(slow)), **options)
    report = await arun_beside(slow, loop, body)

    assert (report.status, report.starts) == (Status.SUCCEEDED, due is Due.RETURN)
    assert threading.current_thread() not in slow.threads


async def test_a_reason_to_give_up_that_takes_long_to_see():
    """The same after an iteration that failed."""
    slow = SlowCondition(Due.FAILURE)
    loop = Loop(IterationCap(3), ExitCondition(give_up=slow))
    report = await arun_beside(slow, loop, failing)

    assert (report.status, report.starts) == (Status.GAVE_UP, 1)
    assert threading.current_thread() not in slow.threads


@pytest.mark.parametrize("due", [Due.START, Due.RETURN])
async def test_a_promise_out_of_another_thread_is_kept(due):
    """A condition that blocks, composed with one that is async, holds only if it really does."""

    class Blocking(Condition):
        blocks = True

        def holds(self, subject):
            return False

    Blocking.due = due

    async def not_yet():
        return False

    loop = Loop(IterationCap(2), ExitCondition(success=Blocking() | not_yet))
    report = await loop.arun(body)

    assert (report.status, report.starts) == (Status.TRIPPED, 2)


async def test_evidence_that_takes_long_to_see():
    """The same of a stall detector's looks."""
    slow, clock = SlowEvidence(), FakeClock()
    loop = Loop(IterationCap(9), StallDetector(after=10, evidence=slow), clock=clock)

    async def work():
        clock.advance(4)

    report = await arun_beside(slow, loop, work)

    assert (report.status, report.breaker) == (Status.TRIPPED, "StallDetector")
    assert len(slow.threads) > 1
    assert threading.current_thread() not in slow.threads


async def test_files_are_read_beside_the_event_loop(tmp_path):
    """P6: an async loop that writes files goes on, and stalls when it writes none."""
    clock, evidence = FakeClock(), Files("*.md", root=tmp_path)
    loop = Loop(IterationCap(9), StallDetector(after=10, evidence=evidence), clock=clock)

    async def work(iteration):
        clock.advance(6)
        if iteration.number <= 3:
            (tmp_path / f"{iteration.number}.md").write_text("new")

    report = await loop.arun(work)

    assert (report.breaker, report.starts) == ("StallDetector", 5)
    assert evidence.blocks
