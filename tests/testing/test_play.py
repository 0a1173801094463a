# SPDX-License-Identifier: MIT
"""Played outcomes: a breaker's whole story in one line, through the real loop."""

from __future__ import annotations

import attrs
import pytest

from haltable import (
    Backoff,
    Breaker,
    ConfigurationError,
    Deadline,
    ExitCondition,
    IterationCap,
    Status,
    Trip,
    remembered,
)
from haltable.testing import play


@attrs.define
class CostCap(Breaker):
    """The custom policy that everybody writes first."""

    limit: float
    spent: float = remembered(default=0.0)

    def after(self, iteration):
        if iteration.error is None:
            self.spent += iteration.result
        if self.spent > self.limit:
            return Trip(f"spent {self.spent:.2f} of {self.limit:.2f}")
        return None


def test_a_breaker_that_opens():
    """The report is of the iteration at which it opened; later outcomes are not played."""
    report = play(CostCap(5.0), [2.0, 4.0, 8.0])

    assert report.status is Status.TRIPPED
    assert (report.breaker, report.reason) == ("CostCap", "spent 6.00 of 5.00")
    assert (report.starts, report.result, report.elapsed) == (2, 4.0, 2.0)


def test_a_breaker_that_does_not_open():
    """When all is played and nobody spoke, the report is open and says whose word that is."""
    report = play(CostCap(5.0), [2.0, ValueError("no answer"), 3.0])

    assert report.status is Status.OPEN
    assert report.breaker == "play"
    assert report.reason == "all 3 outcomes were played, and no breaker ended the loop"
    assert (report.starts, report.failures, report.result) == (3, 1, 3.0)


def test_what_is_remembered_survives_a_restart():
    """Each further list is a new run of the key: remembered fields come back."""
    report = play(CostCap(5.0), [2.0, 2.0], [2.0])

    assert (report.status, report.starts) == (Status.TRIPPED, 3)
    assert report.reason == "spent 6.00 of 5.00"


def test_what_is_not_remembered_is_fresh_after_a_restart():
    """A breaker that forgets to remember is found out by a restart."""

    @attrs.define
    class Forgetful(Breaker):
        seen: int = attrs.field(default=0, init=False)

        def after(self, iteration):
            self.seen += 1
            return Trip("two") if self.seen == 2 else None

    assert play(Forgetful(), [1, 1]).status is Status.TRIPPED
    assert play(Forgetful(), [1], [1]).status is Status.OPEN


def test_a_verdict_before_the_last_restart_ends_the_play():
    """What is terminal stays so: later lists are not played."""
    report = play(CostCap(5.0), [6.0], [1.0], [1.0])

    assert (report.status, report.starts, report.ran) == (Status.TRIPPED, 1, True)


@pytest.mark.parametrize("lists", [([],), ([1], [], [2]), ([], [1, 2]), ([1, 2], [])])
def test_a_list_may_be_empty(lists):
    """A run in which nothing happens changes nothing."""
    report = play(IterationCap(9), *lists)

    assert report.status is Status.OPEN
    assert report.starts == sum(map(len, lists))


def test_the_breakers_own_end_goes_before_the_last_outcome():
    """A breaker that refuses the start after the last outcome is heard, not the play."""
    report = play(IterationCap(2), [1, 2])

    assert (report.status, report.breaker) == (Status.TRIPPED, "IterationCap")


def test_exceptions_and_their_types_are_raised():
    """An exception, or a type of one, is a failure; any other value is returned."""
    report = play(IterationCap(9), [ValueError("a"), KeyError, 1, int, OSError])

    assert (report.starts, report.failures, report.failures_in_row) == (5, 3, 1)
    assert report.result is int
    assert isinstance(report.error, OSError)


@pytest.mark.parametrize("outcome", [KeyboardInterrupt, SystemExit(1), BaseException()])
def test_what_is_no_outcome_cannot_be_played(outcome):
    """An interruption is never an iteration's outcome, so it is refused by name."""
    with pytest.raises(ConfigurationError, match="never an iteration's outcome"):
        play(IterationCap(9), [1, outcome])


def test_several_breakers_play_together():
    """Precedence between breakers is the loop's own."""
    report = play([CostCap(5.0), ExitCondition(success=lambda cost: cost > 5)], [6.0])

    assert report.status is Status.SUCCEEDED


def test_a_body_takes_as_long_as_it_says():
    """The play's own clock moves in each body, so breakers of time can be played."""
    assert play(Deadline(total=60), [1] * 9, seconds=25).starts == 3
    assert play(Deadline(total=60), [1] * 9, seconds=0).status is Status.OPEN


@pytest.mark.parametrize("seconds", [-1, float("nan")])
def test_impossible_seconds_are_refused(seconds):
    """A body cannot take less than no time."""
    with pytest.raises(ConfigurationError, match="0 or more seconds"):
        play(IterationCap(1), [1], seconds=seconds)


def test_the_pace_of_a_loop_can_be_played():
    """Waits, transients and fatal exceptions are the loop's own, and waits take no time."""
    flaky = [TimeoutError(), TimeoutError(), 3]
    cap = IterationCap(9, max_consecutive_failures=1)

    assert play(cap, flaky, transient=TimeoutError, delay=Backoff()).failures == 0
    assert play(cap, flaky).starts == 1
    assert play(cap, flaky, fatal=TimeoutError).status is Status.GAVE_UP
    assert play(cap, [1, 2], delay=10).elapsed == 1 + 10 + 1


def test_the_breaker_that_was_given_does_not_change():
    """A breaker is policy: the same object can be played again from its beginning."""
    cap = CostCap(5.0)

    assert [play(cap, [6.0]).starts, play(cap, [2.0, 2.0, 2.0]).starts] == [1, 3]
    assert cap.spent == 0.0


def test_a_subclass_without_the_decorator_is_refused():
    """Playing checks a breaker as a loop does."""

    class Undecorated(Breaker):
        spent: float = remembered(default=0.0)

    with pytest.raises(ConfigurationError, match=r"no @attrs\.define: put it above the class"):
        play(Undecorated(), [1])
