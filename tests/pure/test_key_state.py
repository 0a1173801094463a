# SPDX-License-Identifier: MIT
"""A key as an operator reads it: what is told of how it stands."""

from __future__ import annotations

import math

import attrs
import pytest

from haltable.key_state import key_state
from haltable.model import Ruling, Status
from haltable.records import Act, Owner, Past, Running, StopRequest, new_record

ME = Owner("boot", "pid:[1]", 4242, "100", "mine")
OPEN = attrs.evolve(new_record("report-42"), starts=3, failures=2, row=1, elapsed=61.4)


def shown(age=5.0, past=None, **changes):
    """Returns the lines of a key that differs from the one above in this."""
    record = attrs.evolve(OPEN, **changes, past=attrs.evolve(OPEN.past, **(past or {})))
    return str(key_state(record, age=age)).splitlines()


def test_an_open_key_reads_like_this():
    """Name and counts, and nothing about what is not the case."""
    assert shown() == [
        "OPEN  report-42",
        "  starts 3 · failures 2, 1 in a row · crashes 0 · alive 61 s · epoch 1",
    ]


def test_an_ended_key_says_who_and_why():
    """The verdict stands beside the key."""
    ruling = Ruling(Status.TRIPPED, "IterationCap", "all 3 starts are used")

    assert shown(past={"ruling": ruling})[0] == (
        "TRIPPED  report-42   IterationCap: all 3 starts are used"
    )


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"running": Running(ME, 60.0, 3)}, "  running in process 4242, lease 55 s"),
        (
            {"running": Running(ME, 60.0, 3), "past": {"stop": StopRequest("ana", "runaway")}},
            "  running in process 4242, lease 55 s, asked to stop by ana",
        ),
        ({"wait": 35.0}, "  next start in 30 s"),
        (
            {"past": {"evidence": "out/1", "evidence_start": 2}},
            "  newest evidence out/1, iteration 2",
        ),
        ({"past": {"error": "OSError", "error_start": 3}}, "  last error OSError, iteration 3"),
        (
            {"past": {"history": (Act("reset", "ana", "again", "2026", 1, 9, Status.TRIPPED),)}},
            "  2026  reset by ana: again",
        ),
        (
            {
                "past": {
                    "history": (Act("extend", "ana", "y", "2026", 1, 9, Status.OPEN, "2 more"),)
                }
            },
            "  2026  extend by ana: y (2 more)",
        ),
    ],
)
def test_a_fact_is_told_where_there_is_one(changes, line):
    """What is out of the ordinary has a line of its own."""
    assert line in shown(**changes)
    assert line not in shown()


def test_counts_stand_against_their_limits():
    """Starts are shown with the cap and what operators added to it."""
    past = Past("report-42", limits=(("starts", "50"), ("failures", "")))
    record = attrs.evolve(OPEN, row=0, extension=10, past=past)

    assert "starts 3 of 60 · failures 2, none in a row" in str(key_state(record, age=0.0))


def test_another_boot_has_waited_long_enough():
    """A wait that the store cannot measure is over."""
    assert key_state(attrs.evolve(OPEN, wait=35.0), age=math.inf).retry_after == 0.0


def test_unknown_effects_are_named():
    """Whoever looks at a key sees what it left in doubt, and where to go on."""
    state = attrs.evolve(key_state(OPEN, age=5.0), unknown_effects=("charge:7", "charge:8"))

    assert str(state).splitlines()[2:] == [
        "  unknown effects charge:7, charge:8",
        "  next: ops.effects('unknown')",
    ]
