# SPDX-License-Identifier: MIT
"""The words of the house: which statuses absorb, and which of several verdicts counts."""

from __future__ import annotations

import itertools

import attrs
import pytest

from haltable import Breaker, IterationCap
from haltable.model import Done, GiveUp, Outcome, Ruling, Status, Trip, Warn, strongest
from haltable.testing import play


@attrs.define
class Wordless(Breaker):
    """Speaks as somebody does who hands on an exception without a text."""

    word: type

    def after(self, iteration):
        return self.word(str(TimeoutError()))


@pytest.mark.parametrize(
    ("status", "terminal"),
    [
        ("open", False),
        ("succeeded", True),
        ("gave_up", True),
        ("tripped", True),
        ("stopped", True),
    ],
)
def test_every_status_but_open_absorbs(status, terminal):
    """A status is its lower-case string, and only OPEN lets more be charged."""
    assert Status(status).terminal is terminal
    assert f"{Status(status)}" == status


def test_a_status_is_one_of_five():
    """No other word is a status."""
    assert len(Status) == 5
    with pytest.raises(ValueError, match="'running' is not a valid Status"):
        Status("running")


def test_an_outcome_reads_as_its_word():
    """Outcomes are stored and told as plain strings."""
    assert " ".join(Outcome) == "returned failed transient interrupted crashed killed"


@pytest.mark.parametrize("word", [Done("a"), GiveUp("a"), Trip("a"), Warn("a")])
def test_verdicts_are_values(word):
    """Two verdicts with the same reason are the same, and none can be changed."""
    assert word == type(word)("a") != type(word)("b")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        word.reason = "b"


@pytest.mark.parametrize("reason", ["", "  ", "\n"])
def test_a_ruling_without_words_says_so(reason):
    """A receipt never ends in a colon: of a reason without words it is told that there was none."""
    assert Ruling(Status.TRIPPED, "Cap", reason).reason == "no reason was given"
    assert Ruling(Status.TRIPPED, "Cap", " x ").reason == " x "


@pytest.mark.parametrize(
    ("word", "status"), [(Done, "succeeded"), (GiveUp, "gave_up"), (Trip, "tripped")]
)
def test_a_verdict_without_words_counts(word, status):
    """What a breaker decides holds, whether it says why or not; the receipt tells the lack."""
    report = play(Wordless(word), [1])

    assert (report.status, report.reason) == (status, "no reason was given")


def test_an_empty_reason_ends_no_loop():
    """A warning stays one whatever it says; words are asked for, and their lack is told."""
    report = play([Wordless(Warn), IterationCap(2)], [1, 2])

    assert report.reason == "all 2 starts are used"
    assert report.warnings == ("Wordless: no reason was given",)


def test_verdicts_of_other_kinds_differ():
    """The same reason said as another verdict is something else."""
    assert len({Done("a"), GiveUp("a"), Trip("a"), Warn("a")}) == 4


@pytest.mark.parametrize(
    "said", [*itertools.permutations([Done("d"), GiveUp("g"), Trip("t"), Warn("w")])]
)
def test_precedence_does_not_depend_on_order(said):
    """Done goes before GiveUp, GiveUp before Trip, Trip before Warn, whoever speaks first."""
    assert strongest(said) == Done("d")
    assert strongest([word for word in said if word != Done("d")]) == GiveUp("g")
    assert strongest([word for word in said if isinstance(word, Trip | Warn)]) == Trip("t")


def test_the_first_of_equal_verdicts_counts():
    """Among verdicts of one kind the first is the one that is told."""
    assert strongest([Trip("first"), Trip("second")]) == Trip("first")


def test_no_verdict_is_none():
    """Where nobody spoke, there is nothing that counts."""
    assert strongest([]) is None


def test_a_ruling_names_who_and_why():
    """What ended a loop is kept as status, breaker and reason."""
    ruling = Ruling(Status.TRIPPED, "IterationCap", "all 3 starts are used")

    assert attrs.astuple(ruling) == ("tripped", "IterationCap", "all 3 starts are used")
