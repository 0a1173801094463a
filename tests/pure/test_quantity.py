# SPDX-License-Identifier: MIT
"""The numbers that somebody gives: one sentence for each that cannot be right, however large."""

from __future__ import annotations

import math

import pytest

from haltable import (
    Backoff,
    ConfigurationError,
    Deadline,
    IdempotencyGuard,
    IterationCap,
    Loop,
    MemoryStore,
    Operator,
    Poller,
    StallDetector,
    UnboundedLoopError,
)
from haltable.bodies import Command, Threaded
from haltable.conditions import command_succeeds, never
from haltable.evidence import Files, GitTree, Output, Probe
from haltable.quantity import check_count, check_seconds, is_number, is_seconds, shown
from haltable.testing import FakeClock

#: No float comes near the first; of the second, Python makes no text either.
BEYOND = [10**400, -(10**400), 10**5000]
EVIDENCE = Probe(lambda: 1)


def poller(**options):
    """Returns a poller with these options."""
    loop = Loop(IterationCap(1), key="any", store=MemoryStore())
    return Poller(list, print, loop=lambda payload: loop, until=never, **options)


SECONDS = {
    "total": lambda value: Deadline(total=value),
    "iteration": lambda value: Deadline(iteration=value),
    "last_start": lambda value: Deadline(last_start=value),
    "lease": lambda value: Loop(IterationCap(1), lease=value),
    "max_hold": lambda value: Loop(IterationCap(1), max_hold=value),
    "grace": lambda value: Loop(IterationCap(1), grace=value),
    "delay": lambda value: Loop(IterationCap(1), delay=value),
    "initial": lambda value: Backoff(initial=value),
    "factor": lambda value: Backoff(factor=value),
    "maximum": lambda value: Backoff(maximum=value),
    "after": lambda value: StallDetector(after=value, evidence=EVIDENCE),
    "StallDetector(every": lambda value: StallDetector(after=1, every=value, evidence=EVIDENCE),
    "retention": lambda value: IdempotencyGuard(retention=value),
    "every": lambda value: poller(every=value),
    "seconds": lambda value: poller(seconds=value),
    "older_than": lambda value: Operator(MemoryStore()).purge(older_than=value),
    "Command(grace": lambda value: Command(["true"], grace=value),
    "command_succeeds(timeout": lambda value: command_succeeds(["true"], timeout=value),
    "Output(timeout": lambda value: Output(["true"], timeout=value),
    "GitTree(timeout": lambda value: GitTree(".", timeout=value),
    "start": FakeClock,
    "advance": lambda value: FakeClock().advance(value),
}
COUNTS = {
    "limit": IterationCap,
    "max_failures": lambda value: IterationCap(9, max_failures=value),
    "max_attempts": lambda value: IdempotencyGuard(max_attempts=value),
    "max_replays": lambda value: IdempotencyGuard(max_replays=value),
    "concurrency": lambda value: poller(concurrency=value),
    "starts": lambda value: Operator(MemoryStore()).extend("k", starts=value, by="a", why="b"),
    "max_bytes": lambda value: Files("*", max_bytes=value),
    "max_abandoned": lambda value: Threaded(print, max_abandoned=value),
}


@pytest.mark.parametrize("value", BEYOND, ids=["beyond", "below", "beyond words"])
@pytest.mark.parametrize(("name", "give"), [*SECONDS.items(), *COUNTS.items()])
def test_a_number_beyond_all_floats_is_refused(name, give, value):
    """Each argument refuses a number that nothing can be compared with, in one short sentence."""
    with pytest.raises(ConfigurationError) as refused:
        give(value)

    said = str(refused.value)
    assert not isinstance(refused.value, UnboundedLoopError)
    assert name in said
    assert f"<a {'negative ' if value < 0 else ''}whole number of about " in said
    assert "give " in said
    assert len(said) < 160


def test_the_largest_count_that_machines_have():
    """What stands for "as often as you like" in other code is a count."""
    assert IterationCap(2**63 - 1).start_limit == 2**63 - 1
    with pytest.raises(ConfigurationError, match=r"give a whole number below 2\*\*63$"):
        check_count("limit", 2**63)


@pytest.mark.parametrize("value", [True, "1", None, math.nan, math.inf, -math.inf, 10**400])
def test_what_is_no_number(value):
    """Neither bools nor texts, and nothing that is not finite."""
    assert not is_number(value)
    assert not is_seconds(value)


@pytest.mark.parametrize("value", [0, -1, -0.5])
def test_what_is_no_duration(value):
    """Seconds are above 0."""
    assert is_number(value)
    assert not is_seconds(value)
    with pytest.raises(ConfigurationError, match=f"^lease={value}: give seconds, a finite number"):
        check_seconds("lease", value)


def test_a_duration_is_a_float():
    """Whole seconds are as good as others."""
    assert (check_seconds("lease", 60), check_count("limit", 3)) == (60.0, 3)
    assert isinstance(check_seconds("lease", 60), float)


@pytest.mark.parametrize("value", [0, -1, True, 1.0, "3", None])
def test_what_is_no_count(value):
    """Counts are whole numbers from 1 on; what else would be right stands behind."""
    with pytest.raises(ConfigurationError) as refused:
        check_count("limit", value, of="Cap", otherwise=", or None")

    assert str(refused.value) == f"Cap(limit={value!r}): give a whole number of at least 1, or None"


@pytest.mark.parametrize("value", [0, 2.5, None, "x" * 70, 10**38])
def test_what_is_short_is_shown_whole(value):
    """A value is shown as Python writes it."""
    assert shown(value) == repr(value)


def test_what_is_long_is_cut():
    """A value of which a message would be unreadable is cut, or told by its length."""
    assert shown("x" * 1000) == f"'{'x' * 79}..."
    assert shown(10**5000) == "<a whole number of about 5,001 digits>"
    assert shown(-(10**400)) == "<a negative whole number of about 401 digits>"
