# SPDX-License-Identifier: MIT
"""The receipt: what a person at three in the morning reads of a run."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from haltable.model import Status
from haltable.report import Report

TRIPPED: Report[Any] = Report(
    status=Status.TRIPPED,
    breaker="StallDetector",
    reason="nothing new in out/**/*.md for 612 s",
    starts=17,
    failures=2,
    ran=True,
    result=None,
    error=None,
    pending=None,
    evidence="out/**/*.md, iteration 9",
    retry_after=None,
    elapsed=1842.3,
    durable=True,
    key="report-42",
    name="report-42",
    limits=(("starts", "50"), ("failures", ""), ("row", "3"), ("stall", "600")),
    last_error="RateLimited: retry in 60 s, iteration 12",
)


def shown(**changes: Any) -> list[str]:
    """Returns the lines of a receipt that differs from the one above in this."""
    return str(attrs.evolve(TRIPPED, **changes)).splitlines()


def test_a_receipt_reads_like_this():
    """It says what stopped the loop, on what evidence, the counts, and what to do next."""
    assert shown() == [
        "TRIPPED  report-42   StallDetector: nothing new in out/**/*.md for 612 s",
        "  starts 17 of 50 · failures 2, none in a row (limit 3) · alive 1,842 s",
        "  newest evidence out/**/*.md, iteration 9",
        "  last error RateLimited: retry in 60 s, iteration 12",
        "  next: ops = Operator(store) · ops.show('report-42')",
        "        ops.reset('report-42', by=..., why=...)",
    ]


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"failures_in_row": 1}, "failures 2, 1 in a row (limit 3)"),
        ({"failures_in_row": 2}, "failures 2, all in a row (limit 3)"),
        ({"failures": 0}, "failures 0 (limit 3 in a row)"),
        ({"failures": 0, "limits": ()}, "failures 0"),
        ({"limits": ()}, "failures 2, none in a row"),
        ({"limits": (("failures", "5"),)}, "failures 2 of 5, none in a row"),
        ({"extension": 30}, "starts 17 of 80"),
        ({"limits": ()}, "starts 17"),
        ({"ran": False}, "starts 17 of 50, none in this run"),
        ({"elapsed": 2.04}, "alive 2.0 s"),
        ({"limits": (("seconds", "3600"),)}, "alive 1,842 s of 3600 s"),
    ],
)
def test_counts_stand_against_their_limits(changes, line):
    """Each count is shown with its limit, where there is one."""
    assert line in shown(**changes)[1].strip().split(" · ")


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"evidence": None}, "  no new evidence yet (limit 600 s)"),
        ({"result_lost": "it is not JSON"}, "  no result: it is not JSON"),
        ({"warnings": ("CostCap: half is spent",)}, "  warning: CostCap: half is spent"),
        ({"pending": "page 7"}, "  pending: 'page 7' was not started"),
        ({"pending": "x" * 60}, f"  pending: '{'x' * 46}... was not started"),
        ({"durable": False}, "  not stored: the store did not confirm the last write"),
    ],
)
def test_a_fact_is_told_where_there_is_one(changes, line):
    """What is out of the ordinary has a line of its own; otherwise there is none."""
    assert line in shown(**changes)
    assert line not in shown()


def test_a_success_asks_for_no_evidence():
    """A loop that succeeded is not blamed for having shown nothing new."""
    lines = shown(status=Status.SUCCEEDED, evidence=None, last_error=None)

    assert lines[2:] == ["  next: nothing to do"]


OPEN = {"status": Status.OPEN, "breaker": "run", "reason": "this step is done, the loop is not"}
OPS = "ops = Operator(store) · ops.show('report-42')"
OPS_BELOW = OPS.replace(" · ", "\n        ")
RESET = "ops.reset('report-42', by=..., why=...)"
EXTEND = "ops.extend('report-42', starts=..., by=..., why=...)"


@pytest.mark.parametrize(
    ("changes", "following"),
    [
        ({"status": Status.SUCCEEDED}, "nothing to do"),
        ({"status": Status.SUCCEEDED, "ran": False}, "nothing to do, it was done already"),
        (
            {"breaker": "IterationCap"},
            f"{OPS}\n        {RESET}\n        {EXTEND}",
        ),
        ({"key": None}, "see to the cause and run it again; without a key nothing is kept"),
        ({**OPEN, "breaker": "", "key": None}, "wait for its end"),
        ({**OPEN, "breaker": ""}, f"{OPS}\n        ops.stop('report-42', by=..., why=...)"),
        ({**OPEN, "retry_after": 30.0}, "run it again, not before 30 s have passed"),
        (OPEN, f"run it again · {OPS}"),
        ({**OPEN, "breaker": "store"}, f"mend the store and run it again · {OPS_BELOW}"),
    ],
)
def test_what_to_do_next(changes, following):
    """The last lines say what a person can do now, as calls to be copied."""
    assert str(attrs.evolve(TRIPPED, **changes)).split("  next: ")[1] == following


def test_a_receipt_fits_a_terminal():
    """Prose is broken at 80 columns, and cut where somebody else's text has no end."""
    lines = shown(last_error="ValueError: " + "no such page\n" * 500)

    assert max(map(len, lines)) <= 80
    assert len(lines) < 12
    assert lines[8].endswith("...")


def test_a_fatal_error_is_told_once():
    """What ended the loop at once is its reason, and is not said again as its last error."""
    fatal = {"status": Status.GAVE_UP, "breaker": "fatal", "reason": "OSError: account closed"}
    told = shown(**fatal, last_error="OSError: account closed, iteration 12")
    another = shown(**fatal, last_error="OSError: account closed for good, iteration 12")

    assert [line for line in told if "last error" in line] == []
    assert "  last error OSError: account closed for good, iteration 12" in another


@pytest.mark.parametrize(
    "word", ["x" * 400, "\x1b" * 90, "word " + "y" * 399], ids=["x", "escape", "later"]
)
@pytest.mark.parametrize("place", ["reason", "last_error", "evidence", "warnings", "result_lost"])
def test_a_word_without_an_end_is_broken(place, word):
    """However long a word of somebody else's is, the lines fit, and nothing of it is lost."""
    text = (word,) if place == "warnings" else word
    lines = shown(**{place: text})
    longest = word.split()[-1].replace("\x1b", r"\x1b")[:380]

    assert max(map(len, lines)) == 80
    assert longest in "".join(line.strip() for line in lines)


def test_a_call_is_never_broken():
    """A call with a long key runs over rather than being cut in two."""
    key = "customer/" + "9" * 70
    lines = shown(key=key, name=key)

    assert lines[:2] == [f"TRIPPED  {key}", "        " + TRIPPED.breaker + ": " + TRIPPED.reason]
    assert f"        ops.reset({key!r}, by=..., why=...)" in lines


# Unknown effects -----------------------------------------------------------------------------

AGAIN = "see to the cause and run it again; without a key nothing is kept"
FIRST = "ops = Operator(store)"
RESOLVE = "ops.resolve('charge:7', 'done' | 'failed' | 'free', by=..., why=...)"


def test_unknown_effects_are_named():
    """Each has its name and the very call that ends it, before the key is started over."""
    lines = shown(unknown_effects=("charge:7",))

    assert lines[4:] == [
        "  unknown effects charge:7",
        "  next: ops = Operator(store) · ops.show('report-42')",
        f"        {RESOLVE}",
        "        ops.reset('report-42', by=..., why=...)",
    ]


@pytest.mark.parametrize(
    ("changes", "following"),
    [
        ({"status": Status.SUCCEEDED}, f"{FIRST}\n        {RESOLVE}"),
        (
            {"key": None},
            f"{FIRST}\n        {RESOLVE}\n        {AGAIN}",
        ),
        (
            {**OPEN, "retry_after": 30.0},
            f"{FIRST}\n        {RESOLVE}\n        run it again, not before 30 s have passed",
        ),
        (OPEN, f"run it again · {OPS}\n        {RESOLVE}"),
        (
            {"namespace": "the shop"},
            f"{OPS}\n        {RESOLVE[:-1]}, namespace='the shop')\n        {RESET}",
        ),
    ],
)
def test_what_to_do_about_them(changes, following):
    """However a run ended, also well, what it left in doubt is not nothing to do."""
    found = {"breaker": "CostCap", "unknown_effects": ("charge:7",), **changes}

    assert str(attrs.evolve(TRIPPED, **found)).split("  next: ")[1] == following


def test_many_unknown_effects_are_counted():
    """A receipt stays one: it names some, counts the others, and shows the first calls."""
    lines = shown(unknown_effects=tuple(f"charge:{number}" for number in range(5)))
    more = shown(unknown_effects=tuple(f"charge:{number}" for number in range(1000)))

    assert lines[4] == "  unknown effects charge:0, charge:1, charge:2, charge:3, charge:4"
    assert more[4] == lines[4] + ", 995 more"
    assert sum("ops.resolve" in line for line in more) == 3
