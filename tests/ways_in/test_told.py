# SPDX-License-Identifier: MIT
"""What sinks and the log hear of a run: facts in order, and never anything that decides."""

from __future__ import annotations

import logging

import pytest

from haltable import (
    Breaker,
    ExitCondition,
    IterationCap,
    Loop,
    LoopTripped,
    MemoryStore,
    Status,
    Warn,
    _reporting,
    _state,
    bounded_loop,
)
from haltable.conditions import returned
from haltable.events import (
    BreakerWarned,
    IterationEnded,
    IterationStarted,
    LoopPaused,
    RunEnded,
    StartRefused,
)
from haltable.model import Outcome, Ruling
from haltable.testing import FakeClock
from tests.ways_in.async_ways import ASYNC_WAYS
from tests.ways_in.policy import Policy
from tests.ways_in.sync_ways import WAYS

STEPS = {"step", "astep"}
#: What is built in each iteration, if anything is.
EACH = ["IterationStarted", "IterationEnded", "LoopPaused"]


def fail():
    """A body that fails."""
    raise OSError("no")


def kinds(events):
    """Returns the names of the events' kinds, the run's end aside."""
    return [type(event).__name__ for event in events if not isinstance(event, RunEnded)]


def numbers(events, kind):
    """Returns the numbers of the iterations that the events of a kind are about."""
    return [event.number for event in events if isinstance(event, kind)]


def test_a_sink_hears_the_facts_in_order():
    """Starts, ends, pauses, warnings and the run's end, each once, as frozen values."""
    heard = []

    class Wary(Breaker):
        def after(self, iteration):
            return Warn("careful") if iteration.number == 1 else None

    results = iter([fail, lambda: None])
    loop = Loop(
        IterationCap(2), Wary(), name="mine", delay=5, sinks=[heard.append], clock=FakeClock()
    )

    def body():
        next(results)()

    loop.run(body)

    assert heard == [
        IterationStarted("mine", 1, 1),
        IterationEnded("mine", 1, Outcome.FAILED, "OSError: no"),
        BreakerWarned("mine", "Wary", "careful"),
        LoopPaused("mine", 5.0),
        IterationStarted("mine", 2, 2),
        IterationEnded("mine", 2, Outcome.RETURNED, None),
        RunEnded(
            "mine",
            Ruling(Status.TRIPPED, "IterationCap", "all 2 starts are used"),
            2,
            1,
            5.0,
            durable=False,
        ),
    ]


@pytest.mark.parametrize("keyed", [False, True])
@pytest.mark.parametrize("name", WAYS)
def test_every_way_in_tells_each_iteration_once(name, keyed):
    """A start, and then its end, and in the end that of the run, in whatever way in."""
    heard = []
    options = {"key": "key", "store": MemoryStore()} if keyed or name in STEPS else {}
    policy = Policy(
        IterationCap(3), ExitCondition(success=lambda: False), sinks=[heard.append], **options
    )

    WAYS[name](policy, lambda: None)

    ended = [event for event in heard if isinstance(event, RunEnded)]
    assert kinds(heard)[:6] == ["IterationStarted", "IterationEnded"] * 3
    assert isinstance(heard[-1], RunEnded)
    assert ended[-1].ruling.status is Status.TRIPPED
    assert len(ended) == 1 or name == "step"


@pytest.mark.parametrize("name", ASYNC_WAYS)
async def test_every_async_way_in_tells_each_iteration_once(name):
    """The same from the async twins."""
    heard = []
    options = {"key": "key", "store": MemoryStore()} if name in STEPS else {}
    policy = Policy(
        IterationCap(3), ExitCondition(success=lambda: False), sinks=[heard.append], **options
    )

    await ASYNC_WAYS[name](policy, lambda: None)

    assert kinds(heard)[:6] == ["IterationStarted", "IterationEnded"] * 3
    assert isinstance(heard[-1], RunEnded)


def test_a_refused_start_is_told():
    """Whoever tries to run a key that has ended hears of the verdict that stands."""
    heard = []
    loop = Loop(IterationCap(1), key="key", store=MemoryStore(), sinks=[heard.append])
    loop.run(lambda: None)
    heard.clear()
    loop.run(lambda: None)

    assert heard[0] == StartRefused(
        "key", Ruling(Status.TRIPPED, "IterationCap", "all 1 starts are used")
    )


def test_a_sink_that_raises_is_logged_and_decides_nothing(caplog):
    """It goes no further than the log, and the sinks after it still hear."""
    heard = []

    def broken(event):
        raise OSError("no listener")

    report = Loop(IterationCap(2), sinks=[broken, heard.append]).run(lambda: None)

    assert (report.breaker, report.starts, len(heard)) == ("IterationCap", 2, 5)
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 5
    assert "raised on IterationStarted" in errors[0].getMessage()
    assert errors[0].exc_info[1].args == ("no listener",)


def test_what_ends_a_program_leaves_a_sink_too():
    """P9: a sink's KeyboardInterrupt is nobody's to swallow."""

    def interrupted(event):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Loop(IterationCap(2), sinks=[interrupted]).run(lambda: None)


def test_sinks_are_taken_once():
    """A list that the caller goes on using is not the loop's."""
    heard, sinks = [], [lambda event: None]
    loop = Loop(IterationCap(2), sinks=sinks)
    sinks.append(heard.append)
    loop.run(lambda: None)

    assert heard == []
    assert len(sinks) == 2


@pytest.mark.parametrize("name", [name for name in WAYS if name not in STEPS])
def test_without_a_sink_no_event_is_built(name, monkeypatch):
    """Nothing is made for nobody in an iteration, whatever the way in."""
    built = []
    for module in (_reporting, _state):
        for kind in EACH:
            monkeypatch.setattr(module, kind, lambda *_: built.append(1), raising=False)
    policy = Policy(
        IterationCap(3), ExitCondition(success=lambda: False), delay=1, clock=FakeClock()
    )

    WAYS[name](policy, lambda: None)

    assert built == []


def test_a_trip_is_one_warning_in_the_log(caplog):
    """Whoever configures nothing reads why their loop ended, once."""
    caplog.set_level(logging.INFO, "haltable")
    Loop(IterationCap(2), name="mine").run(fail)

    assert [(r.name, r.levelname) for r in caplog.records] == [("haltable", "WARNING")]
    assert (
        caplog.records[0]
        .getMessage()
        .startswith("mine tripped: IterationCap: all 2 starts are used (starts 2, failures 2")
    )


def test_a_trip_that_is_raised_is_one_warning_too(caplog):
    """The ways in that raise log no more than those that return."""
    bounded = bounded_loop(IterationCap(2), ExitCondition(success=returned))(fail)
    with pytest.raises(LoopTripped):
        bounded()
    with pytest.raises(LoopTripped):
        list(Loop(IterationCap(1)))

    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]


def test_a_key_that_had_ended_is_no_second_warning(caplog):
    """A daemon that is handed a dead task in each round does not fill the log."""
    caplog.set_level(logging.INFO, "haltable")
    loop = Loop(IterationCap(1), key="mine", store=MemoryStore())
    loop.run(fail)
    loop.run(fail)

    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


def test_success_is_no_warning(caplog):
    """A loop that did what it should is quiet."""
    Loop(IterationCap(2), ExitCondition(success=returned), sinks=[lambda event: None]).run(len, "")

    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []


def test_the_details_are_there_for_who_asks(caplog):
    """With a sink, each fact is a line at DEBUG."""
    caplog.set_level(logging.DEBUG, "haltable")
    Loop(IterationCap(1), sinks=[lambda event: None]).run(lambda: None)

    assert [record.levelname for record in caplog.records] == ["DEBUG", "DEBUG", "WARNING"]
