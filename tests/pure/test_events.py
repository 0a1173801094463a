# SPDX-License-Identifier: MIT
"""Events: frozen facts that hold nothing live."""

from __future__ import annotations

import pickle
import typing

import attrs
import pytest

from haltable import events
from haltable.model import Outcome, Ruling, Status

RULING = Ruling(Status.TRIPPED, "IterationCap", "all 3 starts are used")
FACTS = [
    events.IterationStarted("k", 1, 4),
    events.IterationEnded("k", 1, Outcome.FAILED, "OSError: gone"),
    events.BreakerWarned("k", "CostCap", "half is spent"),
    events.LoopPaused("k", 2.5),
    events.StartRefused("k", RULING),
    events.VerdictFell("k", RULING, 3, 61.5, durable=True),
    events.RunEnded("k", RULING, 3, 2, 12.5, durable=True),
]


def test_every_event_is_here():
    """The list that the tests below go through is the whole of what sinks may get."""
    assert {type(fact) for fact in FACTS} == {*typing.get_args(events.Event)}
    assert {type(fact).__name__ for fact in FACTS} == {*events.__all__} - {"Event"}


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: type(fact).__name__)
def test_a_fact_does_not_change(fact):
    """What happened stays as it was, however long a sink keeps it."""
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        fact.loop = "other"


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: type(fact).__name__)
def test_a_fact_travels(fact):
    """A sink may send it to another process."""
    assert pickle.loads(pickle.dumps(fact)) == fact


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: type(fact).__name__)
def test_a_fact_names_its_loop(fact):
    """Whoever listens to many loops can tell them apart."""
    assert fact.loop == "k"
