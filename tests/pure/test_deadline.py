# SPDX-License-Identifier: MIT
"""The deadline: how long a loop may be alive, pauses included, restarts added up."""

from __future__ import annotations

import math

import attrs
import pytest

from haltable import ConfigurationError, Deadline, IterationCap, Loop, Trip, UnboundedLoopError
from haltable.hooks import Horizon
from haltable.testing import FakeClock, iteration, play


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


def test_it_needs_a_limit():
    """Without one it could never open, and the error names all three."""
    with pytest.raises(ConfigurationError, match=r"total=.*iteration=.*last_start="):
        Deadline()


@pytest.mark.parametrize("name", ["total", "iteration", "last_start"])
@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf, True, "60"])
def test_bad_limits_are_refused(name, value):
    """Each limit is checked, and named."""
    with pytest.raises(ConfigurationError) as refused:
        Deadline(**{name: value})

    assert str(refused.value) == (
        f"Deadline({name}={value!r}): give seconds, a finite number above 0"
    )


@pytest.mark.parametrize("last_start", [60, 61])
def test_a_last_start_at_the_end_or_after_it_is_refused(last_start):
    """It would never matter."""
    with pytest.raises(ConfigurationError, match="below total=60"):
        Deadline(total=60, last_start=last_start)


@pytest.mark.parametrize(("seconds", "opens"), [(59.9, False), (60, True), (75, True)])
def test_an_iteration_that_takes_too_long_ends_the_loop(seconds, opens):
    """``iteration=`` is judged at the end of one that nobody watched, too."""
    clock = FakeClock()
    loop = Loop(IterationCap(2), Deadline(iteration=60), clock=clock)
    report = loop.run(lambda: clock.advance(seconds))

    assert report.breaker == ("Deadline" if opens else "IterationCap")
    assert (report.starts, "iteration 1 took" in report.reason) == (
        (1, True) if opens else (2, False)
    )


def test_the_seconds_of_an_iteration_begin_with_it():
    """Earlier iterations and pauses do not count against it."""
    clock = FakeClock()
    loop = Loop(IterationCap(4), Deadline(iteration=60), delay=50, clock=clock)
    report = loop.run(lambda: clock.advance(50))

    assert (report.breaker, report.starts) == ("IterationCap", 4)


def test_an_iteration_limit_bounds_no_loop():
    """Each may be short, and there may be any number."""
    assert not Deadline(iteration=60).bounds
    assert Deadline(iteration=60).time_limit is None
    with pytest.raises(UnboundedLoopError):
        Loop(Deadline(iteration=60))


def test_it_speaks_in_mid_body_of_what_it_interrupts():
    """``total=`` and ``iteration=`` are looked at while a body runs, ``last_start=`` is not."""
    late = iteration(elapsed=75)

    assert Deadline(total=60).during(late) == Trip("alive for 75 s (limit 60 s)")
    assert Deadline(total=90, last_start=60).during(late) is None
    assert Deadline(last_start=60).during(late) is None
    assert Deadline(last_start=60).before(late) == Trip("alive for 75 s (limit 60 s)")
    assert Deadline(last_start=60).after(late) is not None


@pytest.mark.parametrize(
    ("limits", "patience"),
    [
        ({"total": 60}, 0.1),
        ({"iteration": 0.5}, 0.05),
        ({"total": 60, "iteration": 0.1}, 0.01),
        ({"last_start": 60}, None),
    ],
)
def test_how_soon_it_wants_to_look(limits, patience):
    """A tenth of a second, ten times in a short limit, and never where nothing is interrupted."""
    assert Deadline(**limits).patience == (None if patience is None else pytest.approx(patience))


def test_the_last_start_bounds_a_loop():
    """Nothing starts after it, so it is an end."""
    deadline = Deadline(total=90, last_start=60)

    assert (deadline.bounds, deadline.time_limit) == (True, 60)
    assert deadline.horizon(0) == Horizon(elapsed=60)
    assert deadline.limits() == (("seconds", "90"), ("seconds to the last start", "60"))
    assert Deadline(iteration=5).limits() == (("seconds an iteration", "5"),)
    assert Deadline(iteration=5).horizon(0) is None
