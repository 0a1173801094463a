# SPDX-License-Identifier: MIT
"""The exit that is not "until it works": success and give-up, asked at their moments."""

from __future__ import annotations

import attrs
import pytest

from haltable import (
    ConfigurationError,
    ExitCondition,
    IterationCap,
    Loop,
    Status,
    UnboundedLoopError,
)
from haltable.conditions import never, raised, returned
from haltable.hooks import Horizon
from haltable.testing import play


def big(result):
    """Holds for a result above ten."""
    return result > 10


def test_success_ends_the_loop_with_its_result():
    """The first result for which it holds is the last."""
    report = play(ExitCondition(success=big), [3, 12, 15])

    assert (report.status, report.starts, report.result) == (Status.SUCCEEDED, 2, 12)
    assert (report.breaker, report.reason) == ("ExitCondition", "big holds")
    assert report.unwrap() == 12


def test_success_on_the_last_start_is_success():
    """The cap refuses the start after it, not the success of it."""
    report = play([IterationCap(2), ExitCondition(success=big)], [3, 12, 15])

    assert (report.status, report.starts) == (Status.SUCCEEDED, 2)


def test_giving_up_ends_the_loop():
    """A loop that cannot succeed says so, and is no success."""
    report = play(ExitCondition(give_up=lambda result: result < 0), [3, -1, 5])

    assert (report.status, report.starts) == (Status.GAVE_UP, 2)
    assert report.reason == "the given predicate holds"


def test_it_does_not_end_a_loop_for_which_neither_holds():
    """As long as nothing holds, nothing is said."""
    report = play(ExitCondition(success=big, give_up=lambda result: result < 0), [1, 2, 3])

    assert (report.status, report.starts) == (Status.OPEN, 3)


def test_success_goes_before_giving_up():
    """When both hold at once the loop has succeeded, whichever was written first."""
    report = play(ExitCondition(give_up=big, success=big), [12])

    assert report.status is Status.SUCCEEDED


def test_what_is_already_done_runs_nothing():
    """A predicate of the world is asked before the first iteration."""
    ran = []
    report = Loop(IterationCap(9), ExitCondition(success=lambda: True)).run(lambda: ran.append(1))

    assert (report.status, report.starts, report.ran, ran) == (Status.SUCCEEDED, 0, False, [])


def test_what_cannot_succeed_runs_nothing():
    """The same for giving up."""
    report = play(ExitCondition(give_up=lambda: True), [1, 2])

    assert (report.status, report.starts) == (Status.GAVE_UP, 0)


def test_the_world_is_asked_after_failures_too():
    """A failed iteration may have got there all the same."""
    world = iter([False, False, True])
    report = play(ExitCondition(success=lambda: next(world)), [OSError(), OSError(), 1])

    assert (report.status, report.starts) == (Status.SUCCEEDED, 2)


def test_the_result_is_not_asked_for_after_failures():
    """There is none, so a predicate with a parameter is not asked."""
    asked = []
    report = play(
        ExitCondition(success=asked.append),
        [OSError(), 1, TimeoutError(), 2],
        transient=TimeoutError,
    )

    assert (asked, report.starts) == ([1, 2], 4)


def test_each_is_asked_once_a_moment():
    """Neither too seldom nor twice: once before, once after each end."""
    asked = []
    condition = ExitCondition(success=lambda: asked.append("s"), give_up=asked.append)
    play(condition, [1, OSError(), 2])

    assert asked == ["s", "s", 1, "s", "s", 2]


@pytest.mark.parametrize(
    ("outcomes", "status", "starts"),
    [
        ([OSError(), 3], Status.SUCCEEDED, 2),
        ([OSError(), OSError(), PermissionError(), 3], Status.GAVE_UP, 3),
        ([None], Status.SUCCEEDED, 1),
    ],
)
def test_conditions_of_the_iterations_end(outcomes, status, starts):
    """``returned`` and ``raised`` look at how an iteration ended: a plain retry."""
    report = play(ExitCondition(success=returned, give_up=raised(PermissionError)), outcomes)

    assert (report.status, report.starts) == (status, starts)


def test_never_is_not_even_asked():
    """It means "go on until something else ends it": no question, and no bound."""
    condition = ExitCondition(success=never)

    assert condition.asks() == ()
    assert condition.judges_success
    with pytest.raises(UnboundedLoopError):
        Loop(condition)


@pytest.mark.parametrize("argument", ["success", "give_up"])
@pytest.mark.parametrize("outcome", [1, OSError()])
def test_a_broken_predicate_ends_the_loop(argument, outcome):
    """A check that raises is no permission to go on: tripped, under its name."""

    def broken():
        raise LookupError("no quota file")

    asked = iter([bool, broken])

    def breaks_after_the_first_look():
        return next(asked)()

    condition = ExitCondition(**{argument: breaks_after_the_first_look})
    report = play(condition, [outcome, 1, 1])

    assert (report.status, report.starts, report.breaker) == ("tripped", 1, "ExitCondition")
    assert report.reason == f"{argument} raised LookupError: no quota file"


def test_an_answer_without_a_truth_value_is_a_fault():
    """An answer that cannot be true or false ends the loop by name, too."""

    class Ambiguous:
        def __bool__(self):
            raise ValueError("ambiguous")

    report = play(ExitCondition(success=lambda result: result), [Ambiguous(), 1])

    assert (report.status, report.starts) == ("tripped", 1)
    assert report.reason == "success raised ValueError: ambiguous"


def test_an_async_predicate_needs_an_async_loop():
    """A synchronous loop says what to use instead of taking a promise for a yes."""

    async def later(result):
        return result > 10

    report = play(ExitCondition(success=later), [1, 2])

    assert (report.status, report.starts) == ("tripped", 1)
    assert "the question is async; use arun" in report.reason


@pytest.mark.parametrize("outcomes", [[3, 12, 15], [OSError(), 12]])
async def test_an_async_predicate_is_awaited(outcomes):
    """An async loop asks predicates of both kinds."""

    async def later(result):
        return result > 10

    async def gone():
        return False

    left = iter(outcomes)

    async def body():
        outcome = next(left)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    loop = Loop(IterationCap(9), ExitCondition(success=later, give_up=gone))

    assert (await loop.arun(body)).unwrap() == 12


async def test_a_broken_async_predicate_ends_the_loop():
    """A promise that is broken is a fault like any other."""

    async def later(result):
        raise LookupError("no quota file")

    async def body():
        return 1

    report = await Loop(IterationCap(9), ExitCondition(success=later)).arun(body)

    assert (report.status, report.starts) == ("tripped", 1)
    assert report.reason == "success raised LookupError: no quota file"


def test_bodies_may_only_claim():
    """With a success condition ``done`` counts only if that holds; without one it decides."""

    def claims(iteration):
        iteration.done(99)
        return iteration.number * 5

    judged = Loop(IterationCap(2), ExitCondition(success=big)).run(claims)
    granted = Loop(IterationCap(3), ExitCondition(success=big)).run(claims)
    unjudged = Loop(IterationCap(3), ExitCondition(give_up=big)).run(claims)

    assert (judged.status, judged.starts, judged.result) == ("tripped", 2, 10)
    assert "the success condition does not hold" in judged.warnings[0]
    assert (granted.status, granted.starts, granted.result) == ("succeeded", 3, 99)
    assert (unjudged.status, unjudged.starts, unjudged.result) == ("succeeded", 1, 99)


def test_a_condition_that_is_none_is_refused():
    """A function that takes too much is found at construction, with its argument's name."""
    with pytest.raises(ConfigurationError, match=r"success=.*needs 2 arguments"):
        ExitCondition(success=lambda a, b: True)
    with pytest.raises(ConfigurationError, match="give_up=3: give a function"):
        ExitCondition(give_up=3)


def test_one_that_could_never_speak_is_refused():
    """Without any condition there is nothing it could ever say."""
    with pytest.raises(ConfigurationError, match="name at least one of success= and give_up="):
        ExitCondition()


def test_it_cannot_be_changed():
    """A body that reaches the policy cannot declare itself done."""
    condition = ExitCondition(success=big)

    with pytest.raises(attrs.exceptions.FrozenError):
        condition.success = returned


def test_what_it_promises():
    """It bounds nothing, judges success only if it names one, and has no hooks that speak."""
    assert not ExitCondition(success=big).bounds
    assert not ExitCondition(give_up=big).judges_success
    assert not ExitCondition(give_up=big).stateful
    assert ExitCondition(give_up=big).horizon(3) == Horizon()
