# SPDX-License-Identifier: MIT
"""Evidence while a body runs: a stall ends it, what is new keeps it, no probe holds up others."""

from __future__ import annotations

import threading
import time

import anyio
import pytest

from haltable import (
    Deadline,
    IterationCap,
    Loop,
    LoopInterrupt,
    MemoryStore,
    Operator,
    StallDetector,
)
from haltable._watch import shared
from haltable.evidence import Files, Probe
from tests.watching.bodies import Witness, until

WINDOW, EVERY, LATE = 0.2, 0.05, 0.5
LONG = 10


@pytest.fixture
def let_go():
    """What hung probes wait for."""
    let_go = threading.Event()
    yield let_go
    let_go.set()


def stall(evidence, **given):
    """Returns a detector with a short window."""
    return StallDetector(after=WINDOW, every=EVERY, evidence=evidence, **given)


def hang():
    """A body that does nothing for long."""
    threading.Event().wait(LONG)


async def ahang():
    """The same, awaiting."""
    await anyio.sleep(LONG)


class Asked:
    """A probe that notes when it was asked."""

    def __init__(self, answer=lambda: 1):
        self.moments = []
        self.answer = answer

    def __call__(self):
        self.moments.append(time.monotonic())
        return self.answer()

    def gaps(self):
        return [later - at for at, later in zip(self.moments, self.moments[1:], strict=False)]


def test_nothing_new_ends_the_body():
    """A window without evidence opens in mid-body."""
    start = time.monotonic()
    report = Loop(IterationCap(9), stall(Probe(lambda: 1))).run(hang)

    assert WINDOW <= time.monotonic() - start <= WINDOW + EVERY + LATE
    assert (report.status, report.breaker, report.starts) == ("tripped", "StallDetector", 1)
    assert "nothing new" in report.reason


@pytest.mark.anyio
async def test_nothing_new_ends_the_async_body():
    """The same under asyncio and trio, with an async probe."""

    async def look():
        await anyio.lowlevel.checkpoint()
        return 1

    start = time.monotonic()
    report = await Loop(IterationCap(9), stall(Probe(look))).arun(ahang)

    assert WINDOW <= time.monotonic() - start <= WINDOW + EVERY + LATE
    assert (report.status, report.breaker, report.starts) == ("tripped", "StallDetector", 1)


def test_new_files_keep_the_body(tmp_path):
    """What another thread produces meanwhile is evidence; touching it again is none."""
    ends = []

    def work(iteration):
        for number in range(12):
            (tmp_path / f"{number}.md").write_text(str(number))
            threading.Event().wait(0.04)
        ends.append(time.monotonic())
        while True:
            (tmp_path / "11.md").touch()
            threading.Event().wait(0.02)

    report = Loop(IterationCap(2), stall(Files(str(tmp_path / "*.md")))).run(work)
    late = time.monotonic() - ends[0]

    assert (report.status, report.breaker, report.starts) == ("tripped", "StallDetector", 1)
    assert WINDOW / 2 <= late <= WINDOW + EVERY + LATE


def test_a_background_thread_keeps_the_body(tmp_path):
    """The body may wait for others: what they produce counts."""
    over = threading.Event()

    def produce():
        for number in range(12):
            (tmp_path / f"{number}.md").write_text(str(number))
            over.wait(0.04)
        over.set()

    producer = threading.Thread(target=produce)
    producer.start()
    report = Loop(IterationCap(2), stall(Files(str(tmp_path / "*.md")))).run(
        lambda iteration: iteration.done(over.wait(LONG))
    )
    producer.join()

    assert (report.status, report.result) == ("succeeded", True)


@pytest.mark.parametrize("answer", [lambda: None, lambda: 1 / 0])
def test_a_blind_probe_ends_the_body(answer):
    """One that cannot see, or raises, for a whole window is a reason of its own."""
    report = Loop(IterationCap(9), stall(Probe(answer, name="eyes"))).run(hang)

    assert (report.status, report.starts) == ("tripped", 1)
    assert report.reason.startswith("blind")


def test_seconds_without_work_do_not_count():
    """``when=`` is asked while the body runs; the window begins when there is work."""
    began, work_at = time.monotonic(), 0.4
    report = Loop(
        IterationCap(9),
        stall(Probe(lambda: 1), when=lambda: time.monotonic() - began > work_at),
    ).run(hang)

    assert time.monotonic() - began >= work_at + WINDOW - EVERY - 0.05
    assert report.breaker == "StallDetector"


def test_a_when_that_raises_ends_the_body():
    """A check that is broken is no permission to go on."""
    asked = Asked(lambda: len(asked.moments) < 3 or 1 / 0)
    report = Loop(IterationCap(9), stall(Probe(lambda: 1), when=asked)).run(hang)

    assert (report.status, report.breaker) == ("tripped", "StallDetector")
    assert "ZeroDivisionError" in report.reason


def test_probes_are_asked_no_more_often_than_asked_for():
    """``every=`` lies between two looks, in long bodies and in short ones."""
    asked = Asked()
    Loop(IterationCap(9), stall(Probe(asked))).run(hang)
    bodies = Asked(lambda: len(asked.moments))
    with_bodies = Loop(Deadline(total=0.4), stall(Probe(bodies), name="s")).run(
        lambda: threading.Event().wait(0.013)
    )

    assert len(asked.moments) >= 3
    # The last one is asked when the window ends.
    assert min(asked.gaps()[:-1]) >= EVERY * 0.8
    assert len(bodies.moments) <= with_bodies.elapsed / EVERY + 2


def hung_after_first(let_go, hung):
    """Returns a probe that hangs in its second look."""
    moments = []

    def look():
        moments.append(1)
        if len(moments) > 1:
            hung.set()
            let_go.wait(LONG)
        return 1

    return Probe(look)


def test_a_hung_probe_keeps_no_deadline_from_speaking(let_go):
    """Deadlines are heard while somebody waits for a probe that never answers."""
    hung, witness = threading.Event(), Witness()
    start = time.monotonic()
    loop = Loop(
        IterationCap(9),
        Deadline(total=0.4),
        stall(hung_after_first(let_go, hung)),
        sinks=[witness],
        grace=0.1,
    )
    report = loop.run(hang)

    assert hung.is_set()
    assert time.monotonic() - start <= 0.4 + LATE + 0.1
    assert (report.status, report.breaker) == ("tripped", "Deadline")
    assert len(witness.verdicts()) == 1


@pytest.mark.anyio
async def test_a_hung_probe_keeps_no_async_run(let_go):
    """A probe in a worker thread that never answers is left alone when the run ends."""

    class Blocking(Probe):
        blocks = True

    moments = []

    def look():
        moments.append(1)
        if len(moments) > 1:
            let_go.wait(LONG)
        return 1

    start = time.monotonic()
    report = await Loop(IterationCap(9), Deadline(total=0.4), stall(Blocking(look))).arun(ahang)

    assert time.monotonic() - start <= 0.4 + LATE
    assert report.breaker == "Deadline"
    let_go.set()


def test_a_hung_probe_keeps_no_other_run_from_its_watch(let_go):
    """Another run's record is looked at, and its operator heard."""
    hung, store = threading.Event(), MemoryStore()

    def first():
        loop = Loop(IterationCap(9), stall(hung_after_first(let_go, hung)), grace=0.05)
        loop.run(lambda iteration: iteration.done(let_go.wait(LONG)))

    def second():
        Loop(IterationCap(9), key="k", store=store).run(lambda: beside.append(wait()))

    def wait():
        try:
            while True:
                pass
        except LoopInterrupt as error:
            return let_go.set() or beside.append(error)

    beside = []
    threads = [threading.Thread(target=work) for work in (first, second)]
    threads[0].start()
    hung.wait()
    threads[1].start()
    until(lambda: shared.tokens() and known(store))
    Operator(store).stop("k", by="ana", why="enough")
    for thread in threads:
        thread.join()

    assert isinstance(beside[0], LoopInterrupt)
    assert Operator(store).show("k").status == "stopped"


def known(store):
    """Whether the key was charged."""
    return any(state.starts for state in Operator(store).list())


def test_a_stall_in_a_body_survives_a_restart():
    """The seconds of a stalled body count for the next run of the key."""
    store = MemoryStore()
    loop = Loop(IterationCap(9), stall(Probe(lambda: 1)), key="k", store=store)
    report = loop.run(hang)
    again = loop.run(hang)

    assert (report.breaker, report.durable) == ("StallDetector", True)
    assert (again.ran, again.status) == (False, "tripped")
