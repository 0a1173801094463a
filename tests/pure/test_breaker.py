# SPDX-License-Identifier: MIT
"""Two breakers as one: what ``|`` and ``&`` make of verdicts, bounds, questions and memory."""

from __future__ import annotations

import itertools

import attrs
import pytest

from haltable import (
    Breaker,
    ConfigurationError,
    Deadline,
    Done,
    ExitCondition,
    GiveUp,
    IterationCap,
    Loop,
    Status,
    Trip,
    UnboundedLoopError,
    Warn,
    remembered,
)
from haltable.conditions import never
from haltable.hooks import Horizon
from haltable.probe import Answer, Due, Question
from haltable.testing import iteration, play

HOOKS = ["before", "after", "during"]


@attrs.define
class Says(Breaker):
    """Says what its script holds, one word each time a hook is called."""

    script: list[object] = attrs.field(factory=list)

    def _next(self, iteration):
        return self.script.pop(0) if self.script else None

    before = after = during = _next


@attrs.define
class Asks(Breaker):
    """Asks one question, and remembers what it heard."""

    due: float = 0.0
    ask: object = bool
    verdict: object = None
    quiet: bool = True
    count: int = remembered(default=0)
    large: list[int] = remembered(factory=list, apart=True)

    def asks(self):
        return (Question("q", self.ask, Due.END, quiet=self.quiet, verdict=self.verdict),)

    def due_at(self, question):
        assert question.name == "q"
        return self.due

    def heard(self, question, answer, iteration):
        self.count += 1
        self.large.append(self.count)
        return Breaker.heard(self, question, answer, iteration)


def a(*script):
    """Returns a breaker that is called a."""
    return Says(name="a", script=[*script])


def b(*script):
    """Returns a breaker that is called b."""
    return Says(name="b", script=[*script])


# Verdicts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize(
    ("one", "other", "either", "both"),
    [
        (None, None, None, None),
        (Trip("x"), None, Trip("x"), None),
        (None, Done("y"), Done("y"), None),
        (Trip("x"), Trip("y"), Trip("x"), Trip("x; y")),
        (Done("x"), Trip("y"), Done("x"), Trip("x; y")),
        (Trip("x"), Done("y"), Done("y"), Trip("x; y")),
        (GiveUp("x"), Done("y"), Done("y"), GiveUp("x; y")),
        (Done(), Done("y"), Done(), Done("y")),
        (Warn("x"), None, Warn("x"), Warn("x")),
        (Warn("x"), Trip("y"), Trip("y"), Warn("x")),
        (Warn("x"), Warn("y"), Warn("x"), Warn("x")),
    ],
)
def test_verdicts_are_weighed(hook, one, other, either, both):
    """``|`` says the strongest word of either; ``&`` the weakest, once both have spoken."""
    now = iteration(result=1)

    assert getattr(a(one) | b(other), hook)(now) == either
    assert getattr((a(one) & b(other)).fresh(), hook)(now) == both


def test_a_part_stands_by_its_word():
    """Under ``&`` the parts need not speak at the same hook."""
    both = (a(Trip("x")) & b(None, Trip("y"))).fresh()

    assert both.before(iteration()) is None
    assert both.after(iteration(result=1)) == Trip("x; y")


def test_a_part_takes_its_word_back():
    """On the same occasion its newer word counts, and silence is one."""
    both = (a(Trip("x"), None) & b(None, Trip("y"))).fresh()

    assert [both.after(iteration(result=1)) for _ in range(2)] == [None, None]


@pytest.mark.parametrize("second", [Warn("less sure"), None])
def test_a_warning_takes_a_word_back_too(second):
    """A part that only warns does not say that the loop should end."""
    both = (a(Trip("x"), second) & b(None, Trip("y"))).fresh()
    both.after(iteration(result=1))

    assert both.after(iteration(result=1)) == second


def test_what_a_part_said_last_counts():
    """Of several occasions that a part stands by, the newest word is the one told."""
    both = (a(Trip("old"), Trip("mid"), Trip("new")) & b(None, None, Trip("y"))).fresh()
    both.before(iteration())
    both.after(iteration(result=1))

    assert both.before(iteration(number=2)) == Trip("new; y")


def test_what_one_run_stands_by_is_not_anothers():
    """Each run begins with parts that have said nothing yet."""
    both = a(Trip("x")) & b()
    first = both.fresh()
    first.before(iteration())
    second = both.fresh()
    second.parts[0].script.clear()
    second.parts[1].script.append(Trip("y"))

    assert second.after(iteration(result=1)) is None


@pytest.mark.parametrize("compose", [Breaker.__or__, Breaker.__and__])
def test_nonsense_from_a_part_ends_the_loop(compose):
    """A part that returns no verdict is named, and the loop does not go on."""
    report = play(compose(a(), Says(name="b", script=["stop"])), [1, 2])

    assert report.status is Status.TRIPPED
    assert "b returned 'stop', which is no verdict and not None" in report.reason


def test_warnings_of_a_composite_are_told():
    """A warning of a part goes on, under the composite's name."""
    report = play(a(Warn("half")) | b(), [1])

    assert report.warnings == ("a | b: half",)
    assert report.status is Status.OPEN


@pytest.mark.parametrize(
    ("breaker", "starts", "status"),
    [
        (IterationCap(3) | Deadline(total=9), 3, "tripped"),
        (IterationCap(30) | Deadline(total=9), 9, "tripped"),
        (IterationCap(3) & Deadline(total=9), 9, "tripped"),
        (IterationCap(12) & Deadline(total=9), 12, "tripped"),
        ((IterationCap(12) & Deadline(total=9)) | IterationCap(5, name="five"), 5, "tripped"),
        (IterationCap(3) | ExitCondition(success=lambda r: r == 2), 2, "succeeded"),
    ],
)
def test_composites_end_real_loops(breaker, starts, status):
    """Either ends with the first, both with the last, at one second an iteration."""
    report = play(breaker, range(1, 20))

    assert (report.starts, report.status) == (starts, status)


# What a composite promises -----------------------------------------------------------------------


CAP, TIME, NOTHING = IterationCap(3), Deadline(total=60), ExitCondition(success=never)


@pytest.mark.parametrize(
    ("one", "other", "either", "both"),
    [
        (CAP, TIME, True, True),
        (CAP, NOTHING, True, False),
        (NOTHING, TIME, True, False),
        (NOTHING, ExitCondition(give_up=never, name="other"), False, False),
    ],
)
def test_bounds_compose(one, other, either, both):
    """``a | b`` bounds if either does, ``a & b`` if both do, and a loop asks."""
    assert ((one | other).bounds, (one & other).bounds) == (either, both)
    for whole, bounds in ((one | other, either), (one & other, both)):
        if bounds:
            Loop(whole)
        else:
            with pytest.raises(UnboundedLoopError, match="nothing bounds this loop"):
                Loop(whole)


def test_limits_on_starts_compose():
    """Either allows the fewer starts, both the more, if both count; else nobody does."""
    nine = IterationCap(9, name="nine")

    assert ((CAP | nine).start_limit, (CAP & nine).start_limit) == (3, 9)
    assert ((CAP | TIME).start_limit, (CAP & TIME).start_limit) == (3, None)
    assert (TIME | NOTHING).start_limit is None


def test_limits_on_time_compose():
    """Either allows the shorter time, both the longer, if both have one; else there is none."""
    hour = Deadline(total=3600, name="hour")

    assert ((TIME | hour).time_limit, (TIME & hour).time_limit) == (60, 3600)
    assert ((TIME | CAP).time_limit, (TIME & CAP).time_limit) == (60, None)
    assert (CAP | NOTHING).time_limit is None


def test_horizons_compose():
    """A composite is silent only as long as all of its parts are."""
    assert (CAP | TIME).horizon(0) == (CAP & TIME).horizon(0) == Horizon(3, 60)
    assert (CAP | TIME).horizon(4) == Horizon(7, 60)
    assert (CAP | Breaker()).horizon(0) is (CAP & Breaker()).horizon(0) is None


def test_what_a_composite_could_not_say_in_time_composes():
    """Either may speak as soon as the first part, both not before the last."""

    @attrs.define
    class Slow(Breaker):
        @property
        def speaks_after(self):
            return 600.0

    assert ((Slow() | CAP).speaks_after, (Slow() & CAP).speaks_after) == (0.0, 600.0)
    with pytest.raises(ConfigurationError, match="Slow & ExitCondition could never speak"):
        Loop(Slow() & NOTHING, TIME)


def test_a_composite_judges_success_if_a_part_does():
    """A body's claim stays a claim when an exit condition is composed with something else."""
    assert (CAP | NOTHING).judges_success
    assert (NOTHING & CAP).judges_success
    assert not (CAP | TIME).judges_success


def test_a_composite_shows_all_limits():
    """Receipts count against the limits of every part."""
    assert dict((CAP | TIME).limits()) == {
        "starts": "3",
        "failures": "",
        "row": "3",
        "seconds": "60",
    }


@pytest.mark.parametrize("compose", [Breaker.__or__, Breaker.__and__])
def test_the_newest_evidence_of_all_parts_is_told(compose):
    """A stall detector inside a composite still says what it saw last."""

    @attrs.define
    class Saw(Breaker):
        at: int = 0

        def newest_evidence(self):
            return (self.name, self.at) if self.at else None

    assert compose(Saw(3, name="x"), Saw(7, name="y")).newest_evidence() == ("y", 7)
    assert compose(Saw(3, name="x"), Saw(0, name="y")).newest_evidence() == ("x", 3)
    assert compose(Saw(0, name="x"), Saw(0, name="y")).newest_evidence() is None


# Questions ---------------------------------------------------------------------------------------


def test_questions_are_told_apart_by_their_breaker():
    """Two parts may ask questions of one name; each hears its own answer."""
    one, other = Asks(name="a", due=1.0), Asks(name="a: q", due=2.0)
    whole = one | other
    mine, theirs = whole.asks()

    assert (mine.name, theirs.name) == ("a: q", "a: q: q")
    assert (whole.due_at(mine), whole.due_at(theirs)) == (1.0, 2.0)
    whole.heard(theirs, Answer(1), iteration())
    assert (one.count, other.count) == (0, 1)


def test_a_question_nobody_asked_is_a_bug():
    """An answer that belongs to no part is never dropped quietly."""
    with pytest.raises(AssertionError, match=r"no part of a \| b asked a: other"):
        (Asks(name="a") | Asks(name="b")).due_at(Question("a: other", bool))


def test_true_answers_mean_what_the_part_says():
    """A question with its own verdict keeps it inside a composite."""
    report = play(
        Asks(verdict=Done("full")) | IterationCap(9, max_consecutive_failures=None), [0, 0, 1]
    )

    assert (report.status, report.starts) == (Status.SUCCEEDED, 3)
    assert (report.breaker, report.reason) == ("Asks | IterationCap", "full")


def test_a_false_answer_takes_a_true_one_back():
    """Under ``&`` a condition that no longer holds does not count as having held."""
    full = ExitCondition(success=lambda result: "full" in result, name="full")
    clean = ExitCondition(success=lambda result: "clean" in result, name="clean")

    assert play(full & clean, [["full"], ["clean"]]).status is Status.OPEN
    assert play(full & clean, [["full"], ["full", "clean"]]).status is Status.SUCCEEDED
    assert play(full | clean, [["clean"]]).status is Status.SUCCEEDED


def test_conditions_of_two_parts_may_hold_at_different_moments():
    """What was answered before the first iteration counts at the end of it."""
    there = ExitCondition(success=lambda: True, name="there")
    good = ExitCondition(success=lambda result: result > 1, name="good")

    report = play(there & good, [1, 2])

    assert (report.status, report.starts) == (Status.SUCCEEDED, 2)


@pytest.mark.parametrize("compose", [Breaker.__or__, Breaker.__and__])
def test_a_broken_question_ends_the_loop_alone(compose):
    """A check that is broken is no permission to go on, whatever the other part says."""

    def broken(result):
        raise OSError("gone")

    report = play(compose(Asks(ask=broken), a()), [1, 2])

    assert report.status is Status.TRIPPED
    assert report.reason.endswith("q raised OSError: gone")


# Memory ------------------------------------------------------------------------------------------


def test_parts_keep_their_memory_under_their_names():
    """Both kinds of memory go and come back part by part; parts without any are left out."""
    whole = (Asks(name="x") | (Asks(name="y") & a())).fresh()
    x, y = whole.asks()
    for question in (x, y, y):
        whole.heard(question, Answer(1), iteration())
    again = (Asks(name="x") | (Asks(name="y") & a())).fresh()
    again.recall(whole.memory())
    again.recall(whole.memory(apart=True))

    assert whole.memory() == {"x": {"count": 1}, "y & a": {"y": {"count": 2}}}
    assert whole.memory(apart=True) == {"x": {"large": [1]}, "y & a": {"y": {"large": [1, 2]}}}
    assert again.memory() == whole.memory()
    assert again.memory(apart=True) == whole.memory(apart=True)


@pytest.mark.parametrize("compose", [Breaker.__or__, Breaker.__and__])
def test_memory_of_a_part_survives_a_restart(compose):
    """A composite on a keyed loop remembers what its parts do."""

    @attrs.define
    class Third(Breaker):
        count: int = remembered(default=0)

        def after(self, iteration):
            self.count += 1
            return Trip("the third") if self.count == 3 else None

    whole = compose(Third(), Third(name="other"))

    assert play(whole, [1, 2], [3]).starts == 3
    assert play(whole, [1, 2], [3]).status is Status.TRIPPED


def test_a_run_changes_its_own_copy_only():
    """Parts are copied with the whole, so the policy that was given stays as it was."""
    part = Asks()
    whole = part | a()
    whole.fresh().heard(whole.asks()[0], Answer(1), iteration())

    assert part.count == 0


def test_only_what_changes_is_copied():
    """``|`` of two breakers without state has none; ``&`` always has what parts stand by."""
    assert not (CAP | TIME).stateful
    assert (CAP | a()).stateful
    assert (CAP & TIME).stateful


# Putting them together ---------------------------------------------------------------------------


def test_a_composite_is_called_by_its_parts():
    """A receipt shows how the policy was composed."""
    assert ((CAP | TIME) & NOTHING).name == "(IterationCap | Deadline) & ExitCondition"
    assert (CAP | TIME | NOTHING).name == "IterationCap | Deadline | ExitCondition"
    assert (CAP | (TIME & NOTHING)).name == "IterationCap | (Deadline & ExitCondition)"


@pytest.mark.parametrize("value", [3, None, "cap", IterationCap])
@pytest.mark.parametrize(("sign", "compose"), [("|", Breaker.__or__), ("&", Breaker.__and__)])
def test_only_breakers_compose(value, sign, compose):
    """Anything else is refused where it is written."""
    with pytest.raises(ConfigurationError) as refused:
        compose(CAP, value)

    assert str(refused.value) == f"... {sign} {value!r}: only breakers compose with breakers"


@pytest.mark.parametrize("compose", [Breaker.__or__, Breaker.__and__])
def test_parts_need_names_of_their_own(compose):
    """Two parts of one name would share a place in memory."""
    with pytest.raises(ConfigurationError, match=r"two parts of 'a . a' share a name"):
        Loop(compose(a(), a()), CAP)


def test_parts_are_checked():
    """A part that is put together wrongly is found inside a composite."""

    class Undecorated(Breaker):
        spent: float = remembered(default=0.0)

    with pytest.raises(ConfigurationError, match=r"Undecorated\.spent"):
        Loop(CAP | (Undecorated() & a()))


@pytest.mark.parametrize(
    ("first", "second"), [*itertools.permutations([Done("d"), GiveUp("g"), Trip("t")], 2)]
)
def test_order_of_parts_changes_no_kind(first, second):
    """Whoever stands first, the kind of the verdict is the same."""
    kinds = {
        type((a(x) | b(y)).after(iteration(result=1)))
        for x, y in [(first, second), (second, first)]
    }

    assert len(kinds) == 1
