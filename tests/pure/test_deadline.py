# SPDX-License-Identifier: MIT
"""The deadline: how long a loop may be alive, pauses included, restarts added up."""

from __future__ import annotations

import math

import attrs
import pytest

from haltable import ConfigurationError, Deadline, Trip
from haltable.hooks import Horizon
from haltable.testing import iteration, play


@pytest.mark.parametrize("elapsed", [60, 60.001, 10**9])
def test_it_opens_when_the_time_is_up(elapsed):
    """At the limit and after it, before a start and at an end."""
    deadline, now = Deadline(total=60), iteration(elapsed=elapsed, result=1)

    assert deadline.before(now) == deadline.after(now)
    assert deadline.after(now) == Trip(f"alive for {elapsed:.0f} s (limit 60 s)")


@pytest.mark.parametrize("elapsed", [0, 59.999])
def test_it_does_not_open_before(elapsed):
    """As long as there is time left nothing is said."""
    deadline, now = Deadline(total=60), iteration(elapsed=elapsed, result=1)

    assert deadline.before(now) is deadline.after(now) is None


@pytest.mark.parametrize(
    ("total", "seconds", "starts"),
    [(60, 25, 3), (60, 20, 3), (60, 60, 1), (60, 90, 1), (0.5, 1, 1)],
)
def test_no_iteration_starts_after_it(total, seconds, starts):
    """A loop ends with the iteration in which the time ran out."""
    report = play(Deadline(total=total), [1] * 9, seconds=seconds)

    assert (report.starts, report.breaker, report.elapsed) == (starts, "Deadline", starts * seconds)


def test_pauses_count_and_are_cut_short():
    """Waiting is being alive; a pause never lasts past the deadline."""
    report = play(Deadline(total=60), [1] * 9, seconds=1, delay=40)

    assert (report.starts, report.elapsed) == (2, 60)


def test_seconds_add_up_over_restarts():
    """A restart gives no new time."""
    report = play(Deadline(total=60), [1, 1], [1, 1], seconds=20)

    assert (report.starts, report.breaker) == (3, "Deadline")


def test_failures_do_not_stop_the_time():
    """However its iterations end, the loop ends."""
    report = play(Deadline(total=3), [OSError()] * 9)

    assert report.starts == 3


@pytest.mark.parametrize("total", [0, -1, math.nan, math.inf, True, "60"])
def test_bad_totals_are_refused(total):
    """Seconds are finite numbers above 0; the error names argument, value and what is right."""
    with pytest.raises(ConfigurationError) as refused:
        Deadline(total=total)

    assert str(refused.value) == (
        f"Deadline(total={total!r}): give seconds, a finite number above 0"
    )


def test_it_cannot_be_changed():
    """A body that reaches the policy cannot give itself more time."""
    deadline = Deadline(total=60)

    with pytest.raises(attrs.exceptions.FrozenError):
        deadline.total = 10**9


def test_what_it_promises():
    """It bounds a loop by time alone, needs no copy, and is silent until the time is up."""
    deadline = Deadline(total=90)

    assert (deadline.bounds, deadline.start_limit, deadline.time_limit) == (True, None, 90)
    assert not deadline.stateful
    assert deadline.horizon(7) == Horizon(elapsed=90)
    assert deadline.limits() == (("seconds", "90"),)
