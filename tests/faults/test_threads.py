# SPDX-License-Identifier: MIT
"""One loop shared by threads: each run has its own counts, each key its own cap."""

from __future__ import annotations

import itertools
import sys
import threading
import time
from collections import Counter

import attrs
import pytest

from haltable import (
    Breaker,
    ExitCondition,
    IterationCap,
    Loop,
    LoopBusy,
    LoopInterrupt,
    MemoryStore,
    Operator,
    SQLiteStore,
    Trip,
    current,
    remembered,
)
from haltable._watch import Watcher, shared
from haltable.clock import SystemClock
from haltable.conditions import never

EIGHT = 8
CAP = 200
#: Seconds that no test waits for.
LONG = 60.0


@pytest.fixture(autouse=True)
def switching():
    """Threads take turns as often as the interpreter can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def in_eight_threads(work):
    """Calls it with 0 to 7, each in a thread of its own, all at once; returns what came."""
    gate, results, failed = threading.Barrier(EIGHT), [None] * EIGHT, []

    def carried(number):
        try:
            gate.wait(LONG)
            results[number] = work(number)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=carried, args=(number,)) for number in range(EIGHT)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)
    assert failed == []
    assert not any(thread.is_alive() for thread in threads)
    return results


def ask_until_it_raises(iteration):
    """Asks whether the loop may go on, as a long body does."""
    pause = threading.Event()
    for _ in range(int(LONG * 100)):
        iteration.check()
        pause.wait(0.01)


@attrs.define
class Counting(Breaker):
    """A breaker with a memory of its own, which runs must not share."""

    ended: int = remembered(default=0)

    def after(self, iteration):
        self.ended += 1
        if self.ended != iteration.number:
            return Trip(f"{self.ended} ended, and this is iteration {iteration.number}")
        return None


@pytest.mark.parametrize("more", [(), (Counting(),)], ids=["policy", "memory"])
def test_a_shared_loop_without_a_key(more):
    """P1: each of eight threads gets the whole cap, and sees its own iterations only."""
    loop = Loop(IterationCap(CAP), *more)

    def work(number):
        seen = []

        def body(iteration):
            assert current().number == iteration.number
            seen.append(iteration.number)
            return number

        report = loop.run(body)
        return seen, report.starts, report.result, report.reason

    for number, (seen, starts, result, reason) in enumerate(in_eight_threads(work)):
        assert seen == list(range(1, CAP + 1))
        assert (starts, result) == (CAP, number)
        assert reason == f"all {CAP} starts are used"


def stores(tmp_path):
    """The stores that threads may share."""
    return [MemoryStore(), SQLiteStore(tmp_path / "loops.db")]


def test_a_shared_loop_with_a_key_for_each(tmp_path):
    """P1: each of eight keys gets its own cap from one loop and one store."""
    for store in stores(tmp_path):
        loop = Loop(IterationCap(CAP), Counting(), key=lambda name: name, store=store)

        def work(number, loop=loop):
            bodies = []
            report = loop.run(bodies.append, f"key {number}")
            return bodies, report.starts, report.status, report.reason

        for number, (bodies, starts, status, reason) in enumerate(in_eight_threads(work)):
            assert bodies == [f"key {number}"] * CAP
            assert (starts, status) == (CAP, "tripped")
            assert reason == f"all {CAP} starts are used"
        assert not shared.tokens()


@pytest.mark.parametrize("way", ["run", "step"])
def test_eight_threads_share_one_key(tmp_path, way):
    """P1: on one key eight threads get one cap between them, one body at a time."""
    for store in stores(tmp_path):
        loop = Loop(IterationCap(CAP), ExitCondition(success=never), key="job", store=store)
        inside, starts = threading.Lock(), Counter()

        def body(iteration, inside=inside, starts=starts):
            assert inside.acquire(blocking=False)
            starts[iteration.starts] += 1
            inside.release()

        def work(number, loop=loop, body=body):
            pause = threading.Event()
            while True:
                try:
                    report = getattr(loop, way)(body)
                except LoopBusy:
                    pause.wait(0.001)
                    continue
                if report.status.terminal:
                    return report.error

        assert in_eight_threads(work) == [None] * EIGHT
        assert starts == Counter(range(1, CAP + 1))


def test_wrapped_calls_of_eight_threads(tmp_path):
    """P1: one run whose tool eight threads call at once counts every call, and lets none by."""
    calls = itertools.count(1)
    run = Loop(IterationCap(CAP)).start()
    with run:
        tool = run.wrap(lambda: next(calls))

        def work(number):
            return [tool() for _ in range(CAP // EIGHT)]

        done = in_eight_threads(work)

    assert sorted(itertools.chain(*done)) == list(range(1, CAP + 1))
    assert run.report.starts == CAP


class BrokenClock(SystemClock):
    """A clock that raises whenever the watcher reads it."""

    def __init__(self):
        self.read = threading.Event()

    def now(self):
        if threading.current_thread().name == "haltable-watcher":
            self.read.set()
            raise KeyError("the watcher may not see the time")
        return super().now()


def test_the_watcher_outlives_what_a_look_raises():
    """Rule 5: a run whose look raises does not end the watching of the others."""
    store, clock, began = MemoryStore(), BrokenClock(), threading.Event()

    def hold():
        began.set()
        assert clock.read.wait(LONG)

    def wait_for_the_stop(iteration):
        assert began.wait(LONG)
        assert clock.read.wait(LONG)
        Operator(store).stop("seen", by="ana", why="runaway")
        with pytest.raises(LoopInterrupt):
            ask_until_it_raises(iteration)

    blind = Loop(IterationCap(1), key="blind", store=store, clock=clock)
    thread = threading.Thread(target=blind.run, args=(hold,))
    thread.start()
    report = Loop(IterationCap(1), key="seen", store=store).run(wait_for_the_stop)
    thread.join(LONG)

    assert report.status == "stopped"
    assert not thread.is_alive()


def test_a_look_as_long_as_its_interval_leaves_the_others_time():
    """Between two looks lies the interval, so that whoever is hindered by one gets on."""
    watcher, interval = Watcher(), 0.02
    begins, ends, enough = [], [], threading.Event()

    def look():
        begins.append(time.monotonic())
        threading.Event().wait(2 * interval)
        ends.append(time.monotonic())
        if len(ends) == 4:
            enough.set()

    end = watcher.attend(look, interval)
    assert enough.wait(LONG)
    end()

    rests = [begin - ended for ended, begin in zip(ends, begins[1:], strict=False)]
    assert min(rests) >= interval / 2


def test_the_watcher_ends_with_its_last_user():
    """P10: the thread ends with the last run that is looked at, and comes back for the next."""
    watcher, looked = Watcher(interval=0.001), threading.Event()
    for _ in range(3):
        looked.clear()
        watcher.add("first", looked.set)
        assert looked.wait(LONG)
        thread = watcher._thread
        watcher.remove("first")
        thread.join(LONG)
        assert not thread.is_alive()
        assert watcher.tokens() == frozenset()


def test_eight_threads_come_and_go_at_the_watcher():
    """P10: whoever adds and removes at once, nobody is forgotten and no thread is left."""
    watcher = Watcher(interval=0.0001)

    def work(number):
        for turn in range(50):
            looked = threading.Event()
            watcher.add(f"{number}.{turn}", looked.set)
            assert looked.wait(LONG)
            watcher.remove(f"{number}.{turn}")

    in_eight_threads(work)

    assert watcher.tokens() == frozenset()
