# SPDX-License-Identifier: MIT
"""The report as a value: what it unwraps to, what it raises, and that it travels."""

from __future__ import annotations

import copy
import json
import pickle
import threading

import attrs
import pytest

from haltable import (
    ExitCondition,
    IterationCap,
    Loop,
    LoopGaveUp,
    LoopHalted,
    LoopStopped,
    LoopTripped,
    ResultNotStored,
    Status,
)
from haltable.conditions import returned
from haltable.report import Report, halted

BASE = Report(
    status=Status.SUCCEEDED,
    breaker="ExitCondition",
    reason="returned holds",
    starts=3,
    failures=1,
    ran=True,
    result={"pages": 3},
    error=None,
    pending=None,
    evidence=None,
    retry_after=None,
    elapsed=2.5,
    durable=False,
    key=None,
)
ENDS = {
    Status.TRIPPED: LoopTripped,
    Status.GAVE_UP: LoopGaveUp,
    Status.STOPPED: LoopStopped,
    Status.OPEN: LoopHalted,
}


class Unpicklable(Exception):
    """An exception that cannot be unpickled: it wants two arguments and passes on one."""

    def __init__(self, code, text):
        super().__init__(text)
        self.code = code


class Silent:
    """An object that can be neither pickled nor shown."""

    def __reduce__(self):
        raise TypeError("not today")

    def __repr__(self):
        raise ValueError("no words")


def report(**changes):
    """Returns a report that differs from the one above in this."""
    return attrs.evolve(BASE, **changes)


# Unwrapping --------------------------------------------------------------------------------------


def test_success_unwraps_to_the_result():
    """Only a loop that succeeded has a result to go on with."""
    assert report().ok
    assert report().unwrap() == {"pages": 3}
    assert report(result=None).unwrap() is None


@pytest.mark.parametrize(("status", "kind"), ENDS.items())
def test_any_other_end_is_raised(status, kind):
    """The exception says how it ended, carries the report, and has the last error as its cause."""
    error = OSError("gone")
    ended = report(status=status, breaker="IterationCap", reason="why", error=error)

    with pytest.raises(LoopHalted) as raised:
        ended.unwrap()
    assert type(raised.value) is kind
    assert raised.value.report is ended
    assert raised.value.__cause__ is error
    assert str(raised.value) == str(ended)
    assert not ended.ok


def test_a_result_that_was_not_kept_is_said_so():
    """A key that succeeded earlier without a stored result does not unwrap to None."""
    lost = report(result=None, result_lost="it is not JSON", name="report-42")

    with pytest.raises(ResultNotStored, match="report-42: it is not JSON"):
        lost.unwrap()
    assert lost.ok


# Travelling --------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", Status)
def test_reports_pickle(status):
    """A report can be sent to another process."""
    found = pickle.loads(pickle.dumps(report(status=status, error=OSError("gone"))))

    assert (found.status, found.result, str(found)) == (
        status,
        {"pages": 3},
        str(report(status=status)),
    )


@pytest.mark.parametrize(("status", "kind"), ENDS.items())
@pytest.mark.parametrize("route", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])
def test_halted_loops_pickle(status, kind, route):
    """A worker's exception arrives as what it was, with report and cause."""
    error = route(halted(report(status=status, error=OSError("gone"))))

    assert type(error) is kind
    assert (error.report.result, str(error)) == ({"pages": 3}, str(report(status=status)))
    assert isinstance(error.__cause__, OSError)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (threading.Lock(), "<unlocked _thread.lock"),
        (lambda: 3, "<function <lambda>"),
        (Silent(), "<Silent whose repr raised ValueError: no words>"),
    ],
)
@pytest.mark.parametrize("field", ["result", "pending"])
def test_what_cannot_be_pickled_travels_in_words(value, words, field):
    """A result or item that stays behind does not keep the verdict from arriving."""
    error = pickle.loads(pickle.dumps(halted(report(status=Status.TRIPPED, **{field: value}))))

    assert getattr(error.report, field).startswith(words)
    assert error.report.status is Status.TRIPPED


@pytest.mark.parametrize("cause", [Unpicklable(3, "gone"), ValueError(threading.Lock())])
def test_an_error_that_cannot_be_pickled_travels_in_words(cause):
    """What it was is still in the receipt."""
    ended = report(status=Status.TRIPPED, error=cause, last_error="Unpicklable: gone, iteration 3")
    error = pickle.loads(pickle.dumps(halted(ended)))

    assert (error.report.error, error.__cause__) == (None, None)
    assert "last error Unpicklable: gone, iteration 3" in str(error)


def test_a_pending_item_without_words_is_shown():
    """A receipt never fails over what it tells."""
    assert "pending: <Silent whose repr raised" in str(report(pending=Silent()))


# As plain values ---------------------------------------------------------------------------------


def test_it_can_be_told_as_plain_values():
    """For a log or a database: names as of its attributes, exceptions in words, no objects."""
    plain = report(
        status=Status.TRIPPED,
        error=OSError("gone"),
        limits=(("starts", "3"), ("failures", ""), ("row", "3")),
        warnings=("half is spent",),
        extension=2,
        unknown_effects=("charge:7",),
    ).to_dict()

    assert json.loads(json.dumps(plain)) == plain
    assert {*plain} == {field.name for field in attrs.fields(Report)} | {"ok"}
    assert (plain["status"], plain["ok"], plain["error"]) == ("tripped", False, "OSError: gone")
    assert (plain["limits"], plain["warnings"]) == (
        {"starts": "3", "row": "3"},
        ["half is spent"],
    )
    assert (plain["result"], plain["extension"]) == ({"pages": 3}, 2)
    assert plain["unknown_effects"] == ["charge:7"]


def test_no_error_is_none_as_plain_values():
    """The absence of an error is no word."""
    assert report().to_dict()["error"] is None


def test_it_does_not_change():
    """A receipt that was handed out says the same for ever."""
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        report().status = Status.SUCCEEDED


def test_a_real_loop_tells_the_same():
    """What a loop reports is this value, with nothing live in it."""
    found = Loop(IterationCap(3), ExitCondition(success=returned)).run(lambda: 7)

    assert pickle.loads(pickle.dumps(found)).unwrap() == 7
