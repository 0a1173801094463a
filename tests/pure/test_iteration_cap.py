# SPDX-License-Identifier: MIT
"""The cap: N means exactly N, failures open it where they reach a limit, nothing refills it."""

from __future__ import annotations

import math

import attrs
import pytest
from hypothesis import given, strategies as st

from haltable import ConfigurationError, IterationCap, Loop, Status, Trip
from haltable.hooks import Horizon
from haltable.testing import iteration, play

#: One letter an iteration: good, failed, transient.
OUTCOMES = {"g": 1, "f": OSError("no"), "t": TimeoutError("slow")}


def told(letters, cap, **options):
    """Plays letters and returns how many started, and what the report says."""
    outcomes = [OUTCOMES[letter] for letter in letters]
    report = play(cap, outcomes, transient=TimeoutError, **options)
    return report.starts, report.status, report.reason


# The cap on starts -------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1, 2, 3, 50])
def test_exactly_so_many_start(limit):
    """The body starts as often as the cap says: no fewer, and no more."""
    starts = []
    report = Loop(IterationCap(limit)).run(lambda: starts.append(1))

    assert (len(starts), report.starts, report.status) == (limit, limit, "tripped")
    assert report.reason == f"all {limit} starts are used"


@pytest.mark.parametrize("limit", [1, 2, 50])
def test_one_less_does_not_open_it(limit):
    """Below the cap nothing is said."""
    cap = IterationCap(limit)

    assert cap.before(iteration(number=limit)) is None
    assert cap.after(iteration(number=limit, result=1)) is None
    assert cap.before(iteration(number=limit + 1)) == Trip(f"all {limit} starts are used")


def test_starts_of_earlier_runs_count():
    """The cap looks at the starts of the key, not at those of the run."""
    assert IterationCap(5).before(iteration(number=1, starts=6)) is not None
    assert IterationCap(5).before(iteration(number=1, starts=5)) is None


def test_an_extension_raises_the_cap():
    """Starts that an operator added count on top, and the reason says the sum."""
    cap = IterationCap(5)

    assert cap.before(iteration(number=8, extension=3)) is None
    assert cap.before(iteration(number=9, extension=3)) == Trip("all 8 starts are used")


def test_it_is_silent_below_the_cap():
    """Its horizon is the cap, extension included, so it costs nothing before."""
    assert IterationCap(5).horizon(0) == Horizon(starts=5)
    assert IterationCap(5).horizon(3) == Horizon(starts=8)


# Failures ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("letters", "starts", "reason"),
    [
        ("fffg", 3, "3 failures in a row (limit 3)"),
        ("ffgfffg", 6, "3 failures in a row (limit 3)"),
        ("ffgffgff", 8, None),
        ("fftfg", 4, "3 failures in a row (limit 3)"),
        ("tttttt", 6, None),
        ("ftftf", 5, "3 failures in a row (limit 3)"),
    ],
)
def test_three_failures_in_a_row_open_it_by_default(letters, starts, reason):
    """A good iteration ends the row; a transient one is no failure and leaves it as it is."""
    told_starts, status, told_reason = told(letters, IterationCap(50))

    assert told_starts == starts
    assert (status, told_reason) == (Status.TRIPPED, reason) if reason else (status == "open")


@pytest.mark.parametrize(
    ("letters", "starts", "opens"),
    [("f", 1, True), ("gf", 2, True), ("gggg", 4, False), ("tgtg", 4, False)],
)
def test_a_row_of_one_opens_at_the_first_failure(letters, starts, opens):
    """The smallest row is one failure."""
    cap = IterationCap(50, max_consecutive_failures=1)

    assert told(letters, cap)[0] == starts
    assert (told(letters, cap)[1] == "tripped") is opens


@pytest.mark.parametrize(
    ("letters", "starts", "opens"),
    [("fgfgf", 5, True), ("fgfgg", 5, False), ("ftft", 4, False), ("gfggfggf", 8, True)],
)
def test_failures_in_all_open_it(letters, starts, opens):
    """Scattered failures add up, however many good iterations lie between."""
    found = told(letters, IterationCap(50, max_failures=3))

    assert found[0] == starts
    assert (found[2] == "3 failures (limit 3)") is opens


def test_none_switches_a_failure_limit_off():
    """Without failure limits only the cap itself ends a loop that always fails."""
    cap = IterationCap(9, max_failures=None, max_consecutive_failures=None)

    assert told("f" * 20, cap) == (9, "tripped", "all 9 starts are used")


def test_the_row_goes_before_the_sum():
    """When both limits are reached at once the row is the reason told."""
    cap = IterationCap(9, max_failures=2, max_consecutive_failures=2)

    assert told("ff", cap)[2] == "2 failures in a row (limit 2)"


@pytest.mark.parametrize("limits", [{"max_failures": 2}, {"max_consecutive_failures": 2}])
def test_too_many_failures_refuse_the_next_start(limits):
    """A key that was left at its limit is refused before a body runs, not after."""
    cap = IterationCap(9, **limits)

    assert cap.before(iteration(number=3, failures=2, failures_in_row=2)) is not None
    assert cap.before(iteration(number=3, failures=1, failures_in_row=1)) is None


def test_failures_add_up_over_restarts():
    """A restart refills nothing."""
    fail = OSError("no")

    assert play(IterationCap(9), [fail], [fail], [fail]).reason.startswith("3 failures in a row")
    assert play(IterationCap(3), [1], [1], [1], [1]).reason == "all 3 starts are used"


@given(
    st.text("gft", max_size=30),
    st.integers(1, 12),
    st.none() | st.integers(1, 6),
    st.none() | st.integers(1, 6),
)
def test_it_opens_where_counting_by_hand_says(letters, limit, failures, row):
    """For any outcomes and any limits, the loop ends where four counters on paper end it."""
    cap = IterationCap(limit, max_failures=failures, max_consecutive_failures=row)
    starts = failed = in_row = 0
    opened = limit == 0
    for letter in letters:
        if starts == limit:
            break
        starts += 1
        failed += letter == "f"
        in_row = {"g": 0, "f": in_row + 1, "t": in_row}[letter]
        if in_row >= (row or math.inf) or failed >= (failures or math.inf):
            opened = True
            break
    opened = opened or starts == limit

    assert told(letters, cap)[:2] == (starts, "tripped" if opened else "open")


# Putting it together -----------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0, -1, True, False, math.nan, math.inf, 3.0, "3", None])
def test_a_cap_is_a_whole_number_of_at_least_one(value):
    """Nothing means "unlimited", and the error names argument, value and what is right."""
    with pytest.raises(ConfigurationError) as refused:
        IterationCap(value)

    assert str(refused.value) == (
        f"IterationCap(limit={value!r}): give a whole number of at least 1"
    )


@pytest.mark.parametrize("argument", ["max_failures", "max_consecutive_failures"])
@pytest.mark.parametrize("value", [0, -1, True, False, math.nan, 2.0, "3"])
def test_a_failure_limit_is_a_count_or_none(argument, value):
    """Zero is no way to say "off": that is None, and the error says so."""
    with pytest.raises(ConfigurationError) as refused:
        IterationCap(3, **{argument: value})

    assert str(refused.value) == (
        f"IterationCap({argument}={value!r}): give a whole number of at least 1, "
        "or None to switch this limit off"
    )


def test_it_cannot_be_changed():
    """A body that reaches the policy cannot raise its own cap."""
    cap = IterationCap(3)

    with pytest.raises(attrs.exceptions.FrozenError):
        cap.limit = 10**9
    assert cap.limit == 3


def test_what_it_promises():
    """It bounds a loop, counts starts, needs no copy, and says its limits in words."""
    cap = IterationCap(50, max_failures=9, max_consecutive_failures=None)

    assert (cap.bounds, cap.start_limit, cap.time_limit, cap.stateful) == (True, 50, None, False)
    assert cap.limits() == (("starts", "50"), ("failures", "9"), ("row", ""))
    assert IterationCap(7).limits() == (("starts", "7"), ("failures", ""), ("row", "3"))
