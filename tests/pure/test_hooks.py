# SPDX-License-Identifier: MIT
"""The base of breakers: what one says that overrides nothing, and how it is copied."""

from __future__ import annotations

import math

import attrs
import pytest

from haltable import Breaker, ConfigurationError, Done, Trip, Warn, remembered
from haltable.hooks import Horizon
from haltable.probe import Answer, Question
from haltable.testing import iteration


@attrs.define
class Counting(Breaker):
    """A breaker with policy, memory and a list that belongs to neither."""

    limit: int = 3
    count: int = remembered(default=0)
    names: list[str] = remembered(factory=list)
    large: dict[str, int] = remembered(factory=dict, apart=True)


def test_one_that_overrides_nothing_says_nothing():
    """Every hook is optional."""
    breaker, now = Breaker(), iteration(result=1)

    assert breaker.before(now) is breaker.after(now) is breaker.during(now) is None
    assert (breaker.asks(), breaker.limits()) == ((), ())
    assert breaker.newest_evidence() is None
    assert breaker.memory() == breaker.memory(apart=True) == {}


def test_one_that_overrides_nothing_promises_nothing():
    """It bounds no loop, judges no success, and must always be asked."""
    breaker = Breaker()

    assert (breaker.bounds, breaker.judges_success, breaker.stateful) == (False, False, True)
    assert (breaker.start_limit, breaker.time_limit, breaker.speaks_after) == (None, None, 0.0)
    assert breaker.horizon(0) is None
    assert breaker.due_at(Question("q", bool)) == 0.0


def test_a_horizon_is_endless_unless_said():
    """A breaker whose hooks never speak says so with an empty horizon."""
    assert Horizon() == Horizon(starts=math.inf, elapsed=math.inf)


def test_a_breaker_is_called_by_its_class():
    """The name that receipts and stored memory use is the class's unless given."""
    assert Counting().name == "Counting"
    assert Counting(name="hourly").name == "hourly"


@pytest.mark.parametrize("name", ["", None, 3])
def test_a_name_is_a_string_with_something_in_it(name):
    """Memory is stored under the name, so it cannot be empty."""
    with pytest.raises(ConfigurationError, match=r"name=.*: give a non-empty string"):
        Counting(name=name)


@pytest.mark.parametrize("verdict", [Done("enough"), Trip("no"), Warn("hm"), None])
def test_a_true_answer_means_the_questions_own_verdict(verdict):
    """A breaker that only asks need not override ``heard``."""
    question = Question("full", bool, verdict=verdict)

    assert Breaker().heard(question, Answer(1), iteration()) == verdict
    assert Breaker().heard(question, Answer(0), iteration()) is None


def test_a_fault_opens_the_breaker():
    """A check that is broken is no permission to go on; the reason names it and the fault."""
    question = Question("rows", bool, verdict=Done("enough"))
    verdict = Breaker().heard(question, Answer(fault=OSError("gone")), iteration())

    assert verdict == Trip("rows raised OSError: gone")


def test_memory_is_what_is_remembered():
    """What is kept along and what is kept apart are given separately; policy is not given."""
    breaker = Counting(limit=9)
    breaker.count = 2

    assert breaker.memory() == {"count": 2, "names": []}
    assert breaker.memory(apart=True) == {"large": {}}


def test_memory_comes_back():
    """Both kinds are put back by name; what is not in it stays as it is."""
    breaker = Counting()
    breaker.recall({"count": 5})
    breaker.recall({"large": {"a": 1}})

    assert (breaker.count, breaker.names, breaker.large) == (5, [], {"a": 1})


def test_memory_of_an_older_class_is_left_out():
    """A field that the class no longer has, or that is policy, is not written to."""
    breaker = Counting()
    breaker.recall({"spent": 3.0, "limit": 99, "name": "x"})

    assert (breaker.limit, breaker.name) == (3, "Counting")


def test_a_run_gets_a_copy_without_memory():
    """Each run begins with its own memory, as at the start of an epoch, and the same policy."""
    policy = Counting(limit=9, name="hourly")
    policy.count = 4
    policy.names.append("a")
    fresh = policy.fresh()
    fresh.count = 7
    fresh.names.append("b")

    assert (fresh.limit, fresh.name, fresh.names) == (9, "hourly", ["b"])
    assert (policy.count, policy.names) == (4, ["a"])


def test_a_breaker_that_takes_an_init_of_its_own_works():
    """A subclass without fields to remember needs no decorator."""

    class Plain(Breaker):
        def after(self, iteration):
            return Trip("always")

    assert Plain().fresh().after(iteration()) == Trip("always")
    assert Plain().name == "Plain"
