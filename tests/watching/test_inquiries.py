# SPDX-License-Identifier: MIT
"""Questions that are under way when the body ends: nobody asks twice, nothing is lost or hung."""

from __future__ import annotations

import threading
import time

import anyio
import anyio.to_thread
import pytest

from haltable import Deadline, IterationCap, Loop, StallDetector
from haltable.evidence import Probe

WINDOW, EVERY, LATE, LONG = 0.2, 0.05, 0.5, 10


def stall(evidence, *, after=WINDOW, every=EVERY, **given):
    """Returns a detector with a short window."""
    return StallDetector(after=after, every=every, evidence=evidence, **given)


class Slow:
    """A probe that takes its time, and notes when it was asked and how many asked at once."""

    def __init__(self, seconds=0.15, answer=lambda: 1):
        self.seconds = seconds
        self.answer = answer
        self.moments = []
        self.most = self._now = 0

    def __enter__(self):
        self._now += 1
        self.most = max(self.most, self._now)
        self.moments.append(time.monotonic())

    def __exit__(self, *exc):
        self._now -= 1

    def __call__(self):
        with self:
            threading.Event().wait(self.seconds)
            return self.answer()

    async def later(self):
        """The same, awaiting."""
        with self:
            await anyio.sleep(self.seconds)
            return self.answer()

    def gaps(self):
        """Returns how many seconds lay between two looks."""
        return [later - at for at, later in zip(self.moments, self.moments[1:], strict=False)]


class Blocking(Probe):
    """A probe that async drivers ask in a thread."""

    blocks = True


class Hung:
    """A probe that hangs from its second look on."""

    def __init__(self):
        self.looks = 0
        self.is_hung, self.free = threading.Event(), threading.Event()

    def __call__(self):
        self.looks += 1
        if self.looks > 1:
            self.is_hung.set()
            self.free.wait(LONG)
        return 1


@pytest.fixture
def hung():
    """Yields a probe that hangs, and lets go of it."""
    hung = Hung()
    yield hung
    hung.free.set()


def test_nobody_asks_what_is_being_asked():
    """A body that ends while its question is under way waits for that answer."""
    look = Slow(answer=lambda: len(look.moments))

    def work(iteration):
        threading.Event().wait(0.6)
        iteration.done()

    report = Loop(IterationCap(2), stall(Probe(look))).run(work)

    assert report.status == "succeeded"
    assert look.most == 1
    assert min(look.gaps()) >= EVERY


@pytest.mark.anyio
@pytest.mark.parametrize("in_thread", [True, False], ids=["in a thread", "awaited"])
async def test_nobody_asks_what_is_being_asked_of_an_async_run(in_thread):
    """The same under asyncio and trio."""
    look = Slow(answer=lambda: len(look.moments))

    async def work(iteration):
        await anyio.sleep(0.6)
        iteration.done()

    report = await Loop(
        IterationCap(2), stall(Blocking(look) if in_thread else Probe(look.later))
    ).arun(work)

    assert report.status == "succeeded"
    assert look.most == 1
    assert min(look.gaps()) >= EVERY


def test_a_slow_probe_judges_short_bodies():
    """An answer that comes after the body counts for the moment at which it was asked for."""
    look = Slow()
    report = Loop(IterationCap(99), stall(Probe(look))).run(lambda: threading.Event().wait(0.07))

    assert (report.status, report.breaker) == ("tripped", "StallDetector")
    assert report.reason.startswith("nothing new")
    assert (look.most, report.starts < 20) == (1, True)


@pytest.mark.anyio
async def test_a_slow_probe_judges_short_async_bodies():
    """The same under asyncio and trio."""
    look = Slow()
    report = await Loop(IterationCap(99), stall(Probe(look.later))).arun(anyio.sleep, 0.07)

    assert (report.status, report.breaker) == ("tripped", "StallDetector")
    assert report.reason.startswith("nothing new")
    assert (look.most, report.starts < 20) == (1, True)


def test_a_slow_probe_keeps_short_bodies():
    """What a slow probe finds new keeps the loop going."""
    look = Slow(answer=lambda: len(look.moments))
    loop = Loop(Deadline(total=1), stall(Probe(look), after=0.5))
    report = loop.run(lambda: threading.Event().wait(0.07))

    assert report.breaker == "Deadline"
    assert look.most == 1


def test_what_the_body_is_done_with_goes_before_what_was_asked():
    """A stall that shows after the body has said it is done is no verdict."""
    over = threading.Event()

    def look():
        if looks.append(1) or len(looks) > 1:
            over.wait(LONG)
        return 1

    def work(iteration):
        until_asked = time.monotonic() + WINDOW * 1.2
        while time.monotonic() < until_asked:
            threading.Event().wait(0.01)
        threading.Timer(0.05, over.set).start()
        return iteration.done("done")

    looks = []
    detector = stall(Probe(look), every=WINDOW)
    report = Loop(IterationCap(2), detector).run(work)

    assert (report.status, report.result) == ("succeeded", "done")
    assert len(looks) == 2


def test_a_hung_probe_keeps_no_run_longer_than_the_grace(hung):
    """Whoever waits for it goes on after the grace, and waits only once."""

    def work(iteration):
        hung.is_hung.wait(LONG)
        starts.append(time.monotonic())

    starts = []
    loop = Loop(IterationCap(5), stall(Probe(hung), after=LONG), grace=0.3)
    report = loop.run(work)

    assert (report.breaker, report.starts, hung.looks) == ("IterationCap", 5, 2)
    assert 0.3 <= time.monotonic() - starts[0] <= 0.3 + LATE / 2


@pytest.mark.anyio
@pytest.mark.parametrize("in_thread", [True, False], ids=["in a thread", "awaited"])
async def test_a_hung_probe_keeps_no_async_run_longer_than_the_grace(hung, in_thread):
    """The same under asyncio and trio."""

    async def look():
        hung.looks += 1
        if hung.looks > 1:
            hung.is_hung.set()
            await anyio.sleep(LONG)
        return 1

    async def work():
        await anyio.to_thread.run_sync(hung.is_hung.wait)
        starts.append(time.monotonic())

    starts = []
    evidence = Blocking(hung) if in_thread else Probe(look)
    report = await Loop(IterationCap(5), stall(evidence, after=LONG), grace=0.3).arun(work)

    assert (report.breaker, report.starts, hung.looks) == ("IterationCap", 5, 2)
    assert 0.3 <= time.monotonic() - starts[0] <= 0.3 + LATE / 2
    hung.free.set()


def test_a_probe_that_hangs_is_blind(hung):
    """What does not answer within the grace cannot see, and nobody asks it meanwhile."""
    loop = Loop(Deadline(total=LONG), stall(Probe(hung, name="eyes")), grace=0.05)
    report = loop.run(lambda: hung.is_hung.wait(LONG) and threading.Event().wait(0.02))

    assert report.reason.startswith("blind")
    assert "eyes: TimeoutError: no answer within the grace of 0.05 s" in report.reason
    assert hung.looks == 2


def test_a_probe_that_comes_back_is_asked_again(hung):
    """What comes too late is dropped; then the probe is asked as before."""

    def work(iteration):
        hung.is_hung.wait(LONG)
        if iteration.number > 3:
            hung.free.set()
        threading.Event().wait(0.06)
        if hung.looks > 4:
            iteration.done()

    report = Loop(Deadline(total=LONG), stall(Probe(hung), after=5), grace=0.05).run(work)

    assert report.status == "succeeded"
    assert hung.looks > 4


def test_a_thread_that_cannot_be_started_loses_no_question(monkeypatch, caplog):
    """The next look asks; nobody waits for what nobody asks."""
    start, failed, looks = threading.Thread.start, [], []

    def fail_once(thread):
        if thread.name == "haltable-watcher-aside" and not failed:
            failed.append(1)
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", fail_once)
    report = Loop(IterationCap(9), stall(Probe(lambda: looks.append(1) or 1))).run(
        threading.Event().wait, LONG
    )

    assert (report.breaker, report.starts) == ("StallDetector", 1)
    assert failed
    assert "start new thread" in caplog.text
    assert len(looks) > 1
