# SPDX-License-Identifier: MIT
"""The pace: how long a wait may be, and what ``delay=`` may mean."""

from __future__ import annotations

import math

import attrs
import pytest
from hypothesis import given, strategies as st

from haltable import Backoff, ConfigurationError
from haltable.backoff import Delay, as_delay

SOME = st.floats(0.001, 1e6)


@pytest.mark.parametrize(
    ("slips", "highest"),
    [(0, 0), (1, 1), (2, 2), (3, 4), (4, 8), (9, 256), (10, 300), (11, 300), (10**9, 300)],
)
def test_the_upper_end_doubles_up_to_the_maximum(slips, highest):
    """With its defaults the n-th wait is at most 1, 2, 4, ... and never more than 300 seconds."""
    assert Backoff().seconds(slips=slips, chance=1.0) == highest


@pytest.mark.parametrize("chance", [0.0, 0.25, 1.0])
def test_jitter_is_full(chance):
    """The whole wait is drawn, from nothing to its upper end."""
    assert Backoff(initial=8).seconds(slips=2, chance=chance) == 16 * chance


def test_a_good_iteration_resets_it():
    """After no slip there is no wait."""
    assert Backoff(initial=8).seconds(slips=0, chance=1.0) == 0


def test_a_factor_of_one_does_not_grow():
    """Growth can be switched off without switching off the wait."""
    assert Backoff(initial=2, factor=1).seconds(slips=10**6, chance=1.0) == 2


@given(SOME, st.floats(1, 100), st.floats(1, 100), st.integers(1, 10**12), st.floats(0, 1))
def test_a_wait_is_never_out_of_range(initial, factor, times, slips, chance):
    """No numbers make a wait negative, infinite, or longer than the maximum."""
    backoff = Backoff(initial=initial, factor=factor, maximum=initial * times)
    wait = backoff.seconds(slips=slips, chance=chance)

    assert 0 <= wait <= backoff.maximum * (1 + 1e-9)


@given(SOME, st.floats(1, 10), st.integers(1, 60))
def test_waits_do_not_shrink(initial, factor, slips):
    """One slip more never waits less, at the same chance."""
    backoff = Backoff(initial=initial, factor=factor, maximum=initial * 1000)

    longer = backoff.seconds(slips=slips + 1, chance=1.0)
    assert longer >= backoff.seconds(slips=slips, chance=1.0) * (1 - 1e-9)


@pytest.mark.parametrize("argument", ["initial", "maximum"])
@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf, True, "3", None])
def test_bad_seconds_are_refused(argument, value):
    """Seconds are finite numbers above 0; the error names argument, value and what is right."""
    with pytest.raises(ConfigurationError) as refused:
        Backoff(**{argument: value})

    assert str(refused.value) == (
        f"Backoff({argument}={value!r}): give seconds, a finite number above 0"
    )


@pytest.mark.parametrize("value", [0, 0.999, -2, math.nan, math.inf, True, "2"])
def test_bad_factors_are_refused(value):
    """A factor below 1 would make the waits shrink."""
    with pytest.raises(ConfigurationError, match=r"Backoff\(factor=.* of at least 1"):
        Backoff(factor=value)


def test_a_maximum_below_the_beginning_is_refused():
    """A backoff whose first wait is already too long is a mistake."""
    with pytest.raises(ConfigurationError, match=r"Backoff\(maximum=5\): give at least initial=9"):
        Backoff(initial=9, maximum=5)


def test_a_backoff_is_a_value():
    """It can be shared: nothing about it changes."""
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        Backoff().initial = 3


@pytest.mark.parametrize("slips", [0, 1, 9])
def test_a_plain_number_waits_the_same_each_time(slips):
    """``delay=5`` is five seconds after every iteration, good or bad, without jitter."""
    assert as_delay(5) == Delay(5.0)
    assert Delay(5.0).seconds(slips=slips, chance=0.0) == 5.0


@pytest.mark.parametrize("nothing", [0, 0.0, -0.0])
def test_a_zero_delay_is_none(nothing):
    """Zero seconds is no pause at all, not a short one."""
    assert as_delay(nothing) is None


def test_a_backoff_is_its_own_delay():
    """``delay=Backoff()`` means itself."""
    backoff = Backoff()

    assert as_delay(backoff) is backoff


@pytest.mark.parametrize("value", [True, "5", None, [1]])
def test_other_kinds_of_delay_are_refused(value):
    """What is neither seconds nor a backoff is refused by name."""
    with pytest.raises(ConfigurationError, match=r"delay=.*: give seconds or a Backoff\(\)"):
        as_delay(value)


@pytest.mark.parametrize("value", [-1, -0.1, math.nan, math.inf, -math.inf])
def test_impossible_delays_are_refused(value):
    """A wait is 0 or more seconds, and ends."""
    with pytest.raises(ConfigurationError, match="give 0 or more seconds, finite"):
        as_delay(value)
