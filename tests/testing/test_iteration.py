# SPDX-License-Identifier: MIT
"""A single iteration for unit tests: the numbers one gives, and sensible ones elsewhere."""

from __future__ import annotations

import math

import pytest

from haltable import ConfigurationError, Iteration
from haltable.model import Outcome
from haltable.testing import iteration


def test_it_is_the_first_one_running_by_default():
    """Without a word it is iteration 1 of a fresh loop without a key, still running."""
    made = iteration()

    assert isinstance(made, Iteration)
    assert (made.number, made.starts, made.key, made.fence) == (1, 1, None, 0)
    assert (made.warnings, made.elapsed, made.remaining) == ((), 0.0, None)
    assert (made.failures, made.failures_in_row, made.extension) == (0, 0, 0)
    assert (made.outcome, made.result, made.error) == (None, None, None)


def test_every_number_can_be_given():
    """What is given is what a hook sees."""
    made = iteration(
        number=2,
        starts=7,
        key="report-42",
        fence=31,
        warnings=["slow"],
        elapsed=12.5,
        failures=4,
        failures_in_row=3,
        extension=5,
        limit=10,
        outcome=Outcome.CRASHED,
        error=ValueError("no"),
    )

    assert (made.number, made.starts, made.key, made.fence) == (2, 7, "report-42", 31)
    assert (made.warnings, made.elapsed, made.remaining) == (("slow",), 12.5, 3)
    assert (made.failures, made.failures_in_row, made.extension) == (4, 3, 5)
    assert made.outcome is Outcome.CRASHED
    assert repr(made.error) == "ValueError('no')"


def test_a_result_means_that_it_returned():
    """With a result it has ended, and is no failure."""
    made = iteration(result=3)

    assert (made.outcome, made.result, made.failures) == (Outcome.RETURNED, 3, 0)


def test_an_error_means_that_it_failed():
    """With an error it has ended, and is the first failure, in a row too."""
    made = iteration(error=OSError())

    assert made.outcome is Outcome.FAILED
    assert (made.failures, made.failures_in_row) == (1, 1)


def test_a_transient_error_is_no_failure():
    """The outcome that is given goes before the one that is guessed."""
    made = iteration(error=TimeoutError(), outcome=Outcome.TRANSIENT)

    assert (made.outcome, made.failures, made.failures_in_row) == (Outcome.TRANSIENT, 0, 0)


def test_failures_in_a_row_are_failures():
    """A row that is given is counted among the failures."""
    made = iteration(number=9, failures_in_row=4)

    assert (made.failures, made.failures_in_row) == (4, 4)


@pytest.mark.parametrize(
    ("numbers", "named"),
    [
        ({"number": 0}, "numbers begin at 1"),
        ({"number": 3, "starts": 2}, "never has fewer starts"),
        ({"failures": 2}, "failures are some of the starts"),
        ({"number": 5, "failures": 1, "failures_in_row": 2}, "those in a row some of them"),
        ({"failures_in_row": -1}, "those in a row some of them"),
        ({"elapsed": -1}, "elapsed=-1"),
        ({"elapsed": math.nan}, "elapsed=nan"),
        ({"result": 1, "error": ValueError()}, "a body does one or the other"),
    ],
)
def test_impossible_numbers_are_refused(numbers, named):
    """An iteration that no loop ever has would prove nothing about a breaker."""
    with pytest.raises(ConfigurationError, match=named):
        iteration(**numbers)


def test_it_has_no_verbs():
    """It belongs to no run, and says so instead of doing half a thing."""
    with pytest.raises(ConfigurationError, match="belongs to no run"):
        iteration().done()
