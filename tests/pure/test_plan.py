# SPDX-License-Identifier: MIT
"""A loop's policy, compiled: who is asked when, and what can be passed in silence."""

from __future__ import annotations

import math

import attrs
import pytest

from haltable import (
    Backoff,
    Breaker,
    Deadline,
    Done,
    ExitCondition,
    IterationCap,
    StallDetector,
    Trip,
)
from haltable.conditions import command_succeeds, raised, returned
from haltable.evidence import Probe
from haltable.hooks import Horizon
from haltable.model import Ruling, Status
from haltable.probe import Due, Question
from tests.pure.driven import planned


@attrs.define
class Asks(Breaker):
    """Asks what it is given, and says nothing itself."""

    questions: tuple[Question, ...] = ()

    def asks(self):
        return self.questions

    def horizon(self, extension):
        return Horizon()

    @property
    def stateful(self):
        return False


def names(asked):
    """Returns the names of questions."""
    return [one.question.name for one in asked]


def asking(*questions):
    """Returns the plan of a loop with a cap that asks these."""
    return planned(IterationCap(9), Asks(questions))


def test_questions_are_sorted_by_their_moments():
    """Each moment has its own list, in the order of the breakers."""
    plan = asking(
        Question("start", bool, Due.START),
        Question("return", bool, Due.RETURN),
        Question("failure", bool, Due.FAILURE),
        Question("end", bool, Due.END),
        Question("always", bool, Due.ALWAYS),
        Question("timed", bool, Due.ALWAYS, timed=True),
    )

    assert names(plan.at_start) == ["start", "always"]
    assert names(plan.at_return) == ["return", "end", "always"]
    assert names(plan.at_failure) == ["failure", "end", "always"]
    assert names(plan.timed) == ["timed"]
    assert plan.each_return == ()


def test_quiet_questions_are_the_hot_path():
    """They come as bare callables, and are not asked a second time in the turn."""
    question = Question("quiet", bool, Due.END, quiet=True, verdict=Done("yes"))
    plan = asking(question)
    ((ask, asked),) = plan.each_return

    assert (ask, asked.question, plan.at_return) == (bool, question, ())
    assert names(plan.at_failure) == ["quiet"]
    assert (asked.verdict, asked.ruling) == (
        Done("yes"),
        Ruling(Status.SUCCEEDED, "Asks", "yes"),
    )


@pytest.mark.parametrize(
    ("question", "verdict"),
    [
        (Question("q", bool, quiet=True, verdict=Trip("no")), Trip("no")),
        (Question("q", bool, quiet=True), None),
        (Question("q", bool, verdict=Done("yes")), None),
    ],
)
def test_only_a_quiet_success_is_a_ruling_by_itself(question, verdict):
    """A breaker that must be told, and any other verdict, take a full turn."""
    plan = asking(question)
    asked = plan.at_failure[0]

    assert (asked.verdict, asked.ruling) == (verdict, None)


def test_only_hooks_that_are_overridden_are_called():
    """A breaker without a hook costs nothing at it."""

    @attrs.define
    class Before(Breaker):
        def before(self, iteration):
            return None

    @attrs.define
    class After(Breaker):
        def after(self, iteration):
            return None

    before, after, cap = Before(), After(), IterationCap(9)
    plan = planned(before, Breaker(name="nothing"), after, cap)

    assert plan.befores == (before, cap)
    assert plan.afters == (after, cap)


@pytest.mark.parametrize(
    ("breakers", "delay", "loud"),
    [
        ([IterationCap(9), Deadline(total=9), ExitCondition(success=bool)], 0, False),
        ([IterationCap(9)], Backoff(), False),
        ([IterationCap(9)], 5, True),
        ([IterationCap(9), Breaker()], 0, True),
        ([IterationCap(9), Asks((Question("q", bool, Due.RETURN),))], 0, True),
        ([IterationCap(9), Asks((Question("q", bool, Due.FAILURE),))], 0, False),
        ([StallDetector(after=9, evidence=Probe(int)), IterationCap(9)], 0, False),
    ],
)
def test_who_must_be_looked_at_in_full(breakers, delay, loud):
    """Iterations that return pass quietly unless somebody has a word on each."""
    assert planned(*breakers, delay=delay).loud is loud


@pytest.mark.parametrize(
    ("breakers", "simple"),
    [
        ([IterationCap(9), Deadline(last_start=9)], True),
        ([IterationCap(9), Deadline(total=9)], False),
        ([IterationCap(9), ExitCondition(success=bool)], True),
        ([IterationCap(9), ExitCondition(success=lambda: True)], False),
        ([IterationCap(9), Breaker()], False),
        ([IterationCap(9), StallDetector(after=9, evidence=Probe(int))], False),
    ],
)
def test_who_has_a_word_before_the_first_iteration(breakers, simple):
    """A loop whose breakers are silent at the start, and watch nothing, begins without a turn."""
    assert planned(*breakers).simple is simple


def test_limits_are_the_strictest():
    """Of several caps and deadlines the smallest count, and all are told."""
    plan = planned(IterationCap(9), IterationCap(4, name="four"), Deadline(total=60))

    assert (plan.limit, plan.time_limit) == (4, 60)
    assert (plan.quiet_starts, plan.quiet_elapsed) == (4, 60)
    assert [words for name, words in plan.limits if name in {"starts", "seconds"}] == [
        "9",
        "4",
        "60",
    ]


def test_without_limits_there_are_none():
    """A loop that only time bounds has no cap, one that only counts bound has no end in time."""
    assert (planned(Deadline(total=60)).limit, planned(Deadline(total=60)).quiet_starts) == (
        None,
        math.inf,
    )
    assert (planned(IterationCap(3)).time_limit, planned(IterationCap(3)).quiet_elapsed) == (
        math.inf,
        math.inf,
    )


def test_one_without_a_horizon_is_never_passed_over():
    """A breaker that may speak at any time makes the others' horizons worthless."""
    plan = planned(IterationCap(9), Deadline(total=60), Breaker())

    assert (plan.quiet_starts, plan.quiet_elapsed) == (0, 60)


def test_a_timed_question_ends_the_silence():
    """The first look of a stall detector is due before anything else."""
    plan = planned(StallDetector(after=60, evidence=Probe(int)), Deadline(total=600))

    assert plan.quiet_elapsed == 0


@pytest.mark.parametrize(
    ("condition", "judges"), [({"success": returned}, True), ({"give_up": raised(OSError)}, False)]
)
def test_whether_a_claim_is_only_a_claim(condition, judges):
    """A success condition has the last word on success."""
    assert planned(IterationCap(9), ExitCondition(**condition)).judges_success is judges


def test_each_run_gets_its_own_memory():
    """Breakers that remember are copied for a run, the others are shared."""
    cap, other = IterationCap(9), Breaker(name="other")
    plan = planned(cap, other, delay=Backoff(), transient=(OSError,), fatal=(KeyError,))
    own = plan.for_run()

    assert plan.stateful
    assert own.breakers[0] is cap
    assert own.breakers[1] is not other
    assert (own.delay, own.transient, own.fatal) == (Backoff(), (OSError,), (KeyError,))
    assert not planned(cap).stateful


def test_who_may_block_the_thread_is_known():
    """Questions that wait for something are handed to another thread by async drivers."""
    slow = command_succeeds(["true"])
    conditions = [slow, slow | returned, lambda: True]
    plans = [planned(IterationCap(3), ExitCondition(success=c)) for c in conditions]

    assert [plan.at_start[0].blocks for plan in plans] == [True, True, False]
