# SPDX-License-Identifier: MIT
"""What a person sees of a loop that was not caught: their own code first, little of ours."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest

import haltable
from haltable import ExitCondition, IterationCap, Loop, LoopTripped, bounded_loop
from haltable.conditions import returned

#: Where it was imported from: the sources, or an installed copy.
PACKAGE = str(Path(haltable.__file__).parent)
CAP = IterationCap(2)


def body():
    """Fails as a user's function does."""
    raise ValueError("no such page")


def by_unwrap():
    """Asks a report for its result."""
    Loop(CAP).run(body).unwrap()


def by_for():
    """Wraps a loop."""
    for iteration in Loop(CAP):
        with iteration:
            body()


def by_decorator():
    """Calls a decorated function."""
    bounded_loop(CAP, ExitCondition(success=returned))(body)()


def by_generator():
    """Iterates a decorated generator."""

    @bounded_loop(CAP)
    def pages():
        while True:
            yield

    list(pages())


def by_block():
    """Counts somebody else's loop."""
    with Loop(CAP).start() as run:
        while True:
            run.tick()


def frames_of_ours(error):
    """Returns how many frames of an exception's traceback are in the package."""
    frames = traceback.extract_tb(error.__traceback__)
    return [frame for frame in frames if frame.filename.startswith(PACKAGE)]


@pytest.mark.parametrize("way", [by_unwrap, by_for, by_decorator, by_generator, by_block])
def test_little_of_ours_is_in_a_traceback(way):
    """A trip, and the exception that caused it, show at most two frames of ours."""
    with pytest.raises(LoopTripped) as tripped:
        way()
    cause = tripped.value.__cause__

    assert 1 <= len(frames_of_ours(tripped.value)) <= 2
    assert cause is None or len(frames_of_ours(cause)) <= 2
