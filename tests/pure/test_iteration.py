# SPDX-License-Identifier: MIT
"""The iteration: numbers that cannot be written, verbs that somebody else carries out."""

from __future__ import annotations

import contextlib

import attrs
import pytest

from haltable import ConfigurationError, Done, GiveUp, Iteration
from haltable.facts import Facts
from haltable.model import Outcome

FACTS = Facts(
    base=3,
    limit=10,
    key="report-42",
    fence=77,
    warnings=("half is spent",),
    origin=100.0,
    failures=2,
    failures_in_row=1,
    extension=4,
)


class Notes:
    """Verbs that note what was asked of them."""

    def __init__(self, *, swallows=False):
        self.calls = []
        self.swallows = swallows

    def claim(self, iteration, claim, value):
        self.calls.append((claim, value))

    def check(self, iteration):
        self.calls.append("check")

    def enter(self, iteration):
        self.calls.append("enter")

    def leave(self, iteration, error):
        self.calls.append(error)
        return self.swallows


@pytest.fixture
def notes():
    """Verbs that note what was asked of them."""
    return Notes()


@pytest.fixture
def iteration(notes):
    """The second iteration of a run of a key that had three starts before."""
    return Iteration(notes, FACTS, 5, 112.5)


def test_its_numbers_are_those_of_the_run(iteration):
    """Everything is read from what the kernel counted."""
    assert (iteration.number, iteration.starts, iteration.remaining) == (2, 5, 5)
    assert (iteration.key, iteration.fence) == ("report-42", 77)
    assert (iteration.warnings, iteration.elapsed) == (("half is spent",), 12.5)
    assert (iteration.failures, iteration.failures_in_row, iteration.extension) == (2, 1, 4)
    assert (iteration.outcome, iteration.result, iteration.error) == (None, None, None)


@pytest.mark.parametrize(
    "name",
    ["number", "remaining", "key", "fence", "warnings", "elapsed", "failures", "extension"],
)
def test_its_numbers_cannot_be_written(iteration, name):
    """A body that assigns to a count gets an AttributeError, not a higher cap."""
    with pytest.raises(AttributeError):
        setattr(iteration, name, 0)


def test_it_takes_no_other_attributes(iteration):
    """A misspelt attribute is an error, and an iteration is no place to keep things."""
    with pytest.raises(AttributeError):
        iteration.note = 1


@pytest.mark.parametrize(("starts", "left"), [(9, 1), (10, 0), (11, 0)])
def test_nothing_remains_at_the_limit(starts, left):
    """The remaining count ends at zero, also for the start that is looked at and refused."""
    assert Iteration(None, FACTS, starts, 100.0).remaining == left


def test_nothing_is_said_to_remain_where_nobody_counts():
    """A loop that only time bounds has no count of what is left."""
    assert Iteration(None, attrs.evolve(FACTS, limit=None), 5, 100.0).remaining is None


def test_claims_are_carried_to_the_run(iteration, notes):
    """``done`` and ``give_up`` are noted, and interrupt nothing."""
    iteration.done({"pages": 3})
    iteration.done()
    iteration.give_up("no such page")

    assert notes.calls == [
        (Done("the body says it is done"), {"pages": 3}),
        (Done("the body says it is done"), None),
        (GiveUp("no such page"), None),
    ]


@pytest.mark.parametrize("why", ["", None, 3])
def test_giving_up_needs_a_reason(iteration, notes, why):
    """A receipt without a reason helps nobody."""
    with pytest.raises(ConfigurationError, match=r"give_up\(why=.*non-empty string"):
        iteration.give_up(why)
    assert notes.calls == []


def test_a_check_is_carried_to_the_run(iteration, notes):
    """The run answers whether the loop may go on."""
    iteration.check()

    assert notes.calls == ["check"]


@pytest.mark.parametrize("swallows", [True, False])
def test_a_block_is_carried_to_the_run(swallows):
    """``with iteration`` tells the run how it ended, and the run says whether that passes."""
    notes = Notes(swallows=swallows)
    error = OSError("gone")
    passing = contextlib.nullcontext() if swallows else pytest.raises(OSError, match="gone")
    with passing, Iteration(notes, FACTS, 5, 100.0) as entered:
        raise error

    assert isinstance(entered, Iteration)
    assert notes.calls == ["enter", error]


def test_a_block_that_ends_well_tells_so(iteration, notes):
    """No exception is None."""
    with iteration:
        pass

    assert notes.calls == ["enter", None]


@pytest.mark.parametrize(
    "verb",
    [Iteration.done, Iteration.check, Iteration.__enter__, lambda i: i.give_up("why")],
)
def test_one_without_a_run_has_no_verbs(verb):
    """An iteration made for a unit test says that it belongs to no run."""
    with pytest.raises(ConfigurationError, match="<Iteration 2> belongs to no run"):
        verb(Iteration(None, FACTS, 5, 100.0))


def test_an_end_is_seen_by_whoever_holds_it(iteration):
    """The hooks see the same object with its outcome, result and newer facts."""
    facts = attrs.evolve(FACTS, failures=3, outcome=Outcome.RETURNED, result="page")
    iteration.end(facts, 120.0)

    assert (iteration.outcome, iteration.result, iteration.error) == ("returned", "page", None)
    assert (iteration.failures, iteration.elapsed) == (3, 20.0)


def test_it_reads_as_what_it_is(iteration):
    """Its text shows the number in the run and, once it has ended, how."""
    before = repr(iteration)
    iteration.end(attrs.evolve(FACTS, outcome=Outcome.FAILED, error=OSError()), 120.0)

    assert (before, repr(iteration)) == ("<Iteration 2>", "<Iteration 2 failed>")
