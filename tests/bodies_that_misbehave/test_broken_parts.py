# SPDX-License-Identifier: MIT
"""Parts that raise where they should answer: the loop ends under their name, or goes on blind."""

from __future__ import annotations

import attrs
import pytest

from haltable import (
    Breaker,
    Deadline,
    Done,
    ExitCondition,
    GiveUp,
    IterationCap,
    Loop,
    MemoryStore,
    Operator,
    StallDetector,
    Status,
    Trip,
    Warn,
    remembered,
)
from haltable.conditions import command_succeeds, never
from haltable.evidence import Probe
from haltable.probe import Condition, Due
from haltable.testing import FakeClock
from tests.ways_in.async_ways import ASYNC_WAYS
from tests.ways_in.policy import Policy
from tests.ways_in.sync_ways import WAYS

CAP = IterationCap(5)
STEPS = {"step", "astep"}


class Broken(Breaker):
    """Raises in the hook of this name."""

    def __init__(self, hook, error):
        super().__init__()
        self.hook = hook
        self.error = error

    def _say(self, hook):
        if self.hook == hook:
            raise self.error

    def before(self, iteration):
        self._say("before")

    def after(self, iteration):
        self._say("after")

    def asks(self):
        self._say("asks")
        return ()


class Muddled(Breaker):
    """Returns what is no verdict."""

    def __init__(self, word):
        super().__init__()
        self.word = word

    def after(self, iteration):
        return self.word


class Sick(Condition):
    """A condition that raises at every moment that it is asked."""

    due = Due.ALWAYS

    def holds(self, subject):
        raise OSError("cannot look")


def fault():
    """A predicate without a parameter that raises."""
    raise OSError("cannot look")


def kept(name):
    """Returns a key and a store for the ways in that need one."""
    return {"key": "key", "store": MemoryStore()} if name in STEPS else {}


@pytest.fixture(params=[False, True], ids=["unkeyed", "keyed"])
def options(request):
    """The arguments of a loop without and with a key."""
    return {"key": "key", "store": MemoryStore()} if request.param else {}


# Breakers ---------------------------------------------------------------------------


@pytest.mark.parametrize(("hook", "starts"), [("before", 0), ("after", 1)])
def test_a_breaker_that_raises_opens(hook, starts, options):
    """P7: a fault inside a breaker is no permission to go on."""
    report = Loop(CAP, Broken(hook, OSError("no idea")), **options).run(lambda: None)

    assert (report.status, report.breaker, report.starts) == (Status.TRIPPED, "Broken", starts)
    assert report.reason == f"{hook}() raised OSError: no idea"


@attrs.define
class Hoarding(Breaker):
    """Remembers, from its second iteration on, what no store can keep."""

    kept: object = remembered(default=None)

    def after(self, iteration):
        if iteration.number == 2:
            self.kept = {"a set"}


@pytest.mark.parametrize("name", [name for name in WAYS if name not in STEPS])
def test_a_breaker_whose_memory_cannot_be_stored_opens(name):
    """P7: it would have forgotten at the next start, so the key ends here, under its name."""
    store, starts = MemoryStore(), []
    policy = Policy(CAP, ExitCondition(success=never), Hoarding(), key="key", store=store)

    end = WAYS[name](policy, lambda: starts.append(1))

    assert (end.status, end.breaker, len(starts)) == (Status.TRIPPED, "Hoarding", 2)
    assert Operator(store).show("key").status is Status.TRIPPED


@pytest.mark.parametrize("name", [name for name in ASYNC_WAYS if name not in STEPS])
async def test_a_breaker_whose_memory_cannot_be_stored_opens_an_async_loop(name):
    """P7: the same when it is awaited."""
    store, starts = MemoryStore(), []
    policy = Policy(CAP, ExitCondition(success=never), Hoarding(), key="key", store=store)

    end = await ASYNC_WAYS[name](policy, lambda: starts.append(1))

    assert (end.status, end.breaker, len(starts)) == (Status.TRIPPED, "Hoarding", 2)
    assert Operator(store).show("key").status is Status.TRIPPED


def test_memory_that_cannot_be_stored_is_no_matter_without_a_store():
    """A run without a key writes nothing, and its breakers may remember what they like."""
    report = Loop(CAP, Hoarding()).run(lambda: None)

    assert (report.status, report.breaker, report.starts) == (Status.TRIPPED, "IterationCap", 5)


def test_a_breaker_that_cannot_say_what_it_asks_is_refused():
    """Before anything ran there is nothing to trip: the fault is whoever made the loop's."""
    with pytest.raises(OSError, match="no idea"):
        Loop(CAP, Broken("asks", OSError("no idea")))


@pytest.mark.parametrize("hook", ["before", "after"])
def test_what_ends_a_program_leaves_a_breaker_too(hook, options):
    """P9: only an Exception is a breaker's fault."""
    with pytest.raises(KeyboardInterrupt):
        Loop(CAP, Broken(hook, KeyboardInterrupt()), **options).run(lambda: None)


@pytest.mark.parametrize("word", ["stop", True, 7, [Trip("why")], Trip])
def test_a_breaker_that_returns_no_verdict_opens(word):
    """P7: what it meant nobody knows, so it means stop."""
    report = Loop(CAP, Muddled(word)).run(lambda: None)

    assert (report.status, report.breaker, report.starts) == (Status.TRIPPED, "Muddled", 1)
    assert "no verdict" in report.reason


@pytest.mark.parametrize(
    ("word", "status"),
    [
        (Done("seen"), Status.SUCCEEDED),
        (GiveUp("seen"), Status.GAVE_UP),
        (Trip("seen"), Status.TRIPPED),
    ],
)
def test_a_breaker_that_answers_is_heard(word, status):
    """The same hooks without a fault: the verdict is theirs."""
    report = Loop(CAP, Muddled(word)).run(lambda: None)

    assert (report.status, report.breaker, report.reason) == (status, "Muddled", "seen")


@pytest.mark.parametrize("word", [None, Warn("careful")])
def test_a_breaker_that_only_warns_lets_the_loop_go_on(word):
    """None and a warning open nothing."""
    report = Loop(CAP, Muddled(word)).run(lambda: None)

    assert (report.breaker, report.starts) == ("IterationCap", 5)
    assert report.warnings == (() if word is None else ("Muddled: careful",))


def test_a_broken_part_of_a_composed_breaker_opens():
    """`a & b` ends when both say so, and when one of them cannot say anything."""
    for composed in (CAP & Broken("after", OSError("no idea")), CAP | Broken("after", OSError())):
        report = Loop(composed, Deadline(total=60)).run(lambda: None)
        assert (report.status, report.breaker, report.starts) == (
            Status.TRIPPED,
            composed.name,
            1,
        )


# Predicates and conditions -------------------------------------------------------------


@pytest.mark.parametrize("which", ["success", "give_up"])
@pytest.mark.parametrize("name", WAYS)
def test_a_predicate_that_raises_opens(which, name):
    """P7: in every way in, before the first body where it can be asked there."""
    starts = []
    policy = Policy(CAP, ExitCondition(**{"success": never, which: fault}), **kept(name))

    end = WAYS[name](policy, lambda: starts.append(1))

    assert (end.status, end.breaker, starts) == (Status.TRIPPED, "ExitCondition", [])


@pytest.mark.parametrize("name", ASYNC_WAYS)
async def test_a_predicate_that_raises_opens_an_async_loop(name):
    """P7: the same when it is awaited."""
    starts = []

    async def later():
        fault()

    policy = Policy(CAP, ExitCondition(success=later), **kept(name))

    end = await ASYNC_WAYS[name](policy, lambda: starts.append(1))

    assert (end.status, end.breaker, starts) == (Status.TRIPPED, "ExitCondition", [])


@pytest.mark.parametrize("name", WAYS)
def test_a_predicate_of_the_result_that_raises_opens(name):
    """P7: after the body that it was asked about, and never taken for yes."""
    starts = []
    policy = Policy(CAP, ExitCondition(success=lambda result: result.final), **kept(name))

    end = WAYS[name](policy, lambda: starts.append(1))

    assert (end.status, end.breaker, starts) == (Status.TRIPPED, "ExitCondition", [1])


def test_the_reason_names_the_question_and_the_fault(options):
    """Whoever reads the receipt at night finds the line to mend."""
    report = Loop(CAP, ExitCondition(give_up=Sick()), **options).run(lambda: None)

    assert report.reason == "give_up raised OSError: cannot look"


def test_a_fault_does_not_hide_a_success():
    """Done goes before Trip: what has succeeded has, whatever else was broken at that moment."""
    both = ExitCondition(success=lambda result: True, give_up=lambda result: fault())
    report = Loop(CAP, both).run(lambda: None)

    assert report.ok


def test_a_condition_that_cannot_look_opens(tmp_path):
    """A command that cannot be started is a fault, and not "not yet"."""
    condition = command_succeeds([str(tmp_path / "missing")])
    report = Loop(CAP, ExitCondition(success=condition)).run(lambda: None)

    assert (report.status, report.starts) == (Status.TRIPPED, 0)
    assert "success raised" in report.reason


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_ends_a_program_leaves_a_predicate_too(error, options):
    """P9: and the key is given back."""

    def interrupted(result):
        raise error

    loop = Loop(CAP, ExitCondition(success=interrupted), **options)
    with pytest.raises(error):
        loop.run(lambda: None)

    if options:
        assert Loop(CAP, **options).run(lambda iteration: iteration.starts).result == 5


# Probes --------------------------------------------------------------------------------


def stall(probe, **arguments):
    """Runs a loop that does nothing for an hour, ten seconds an iteration."""
    clock = FakeClock()
    detector = StallDetector(after=60, evidence=Probe(probe, name="rows"), **arguments)
    loop = Loop(IterationCap(360), detector, clock=clock)
    return loop.run(lambda: clock.advance(10))


def test_evidence_that_raises_is_blind_and_no_trip():
    """P6: a probe that fails now and then is not what stops the loop."""
    looks = []

    def rows():
        looks.append(1)
        if len(looks) % 3:
            raise OSError("no database")
        return len(looks)

    report = stall(rows)

    assert (report.breaker, report.starts) == ("IterationCap", 360)


def test_evidence_that_only_raises_is_blind_in_the_end():
    """P6: after a whole window in which nothing could be seen, that is a reason of its own."""
    report = stall(fault)

    assert (report.status, report.breaker) == (Status.TRIPPED, "StallDetector")
    assert report.reason.startswith("blind: could not see rows for 60 s")
    assert "OSError: cannot look" in report.reason
    assert report.elapsed == 60


def test_evidence_that_sees_nothing_new_is_a_stall():
    """The other reason, for comparison: what is seen and never new."""
    report = stall(lambda: 7)

    assert (report.status, report.reason) == (Status.TRIPPED, "nothing new in rows for 60 s")


def test_a_question_of_work_that_raises_opens():
    """P7: `when` is a predicate and no probe: its fault ends the loop under its name."""
    report = stall(lambda: 7, when=fault)

    assert (report.status, report.breaker) == (Status.TRIPPED, "StallDetector")
    assert "when raised OSError: cannot look" in report.reason


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_ends_a_program_leaves_a_probe_too(error):
    """P9: it is not blindness."""

    def interrupted():
        raise error

    with pytest.raises(error):
        stall(interrupted)
