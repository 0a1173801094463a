# SPDX-License-Identifier: MIT
"""What a person sees of a loop that was not caught: their own code first, little of ours."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest

import haltable
from haltable import (
    ExitCondition,
    IdempotencyGuard,
    IterationCap,
    Loop,
    LoopTripped,
    MemoryStore,
    StoreError,
    bounded_loop,
)
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


async def awaited():
    """Fails as a user's coroutine function does."""
    body()


@pytest.fixture
def guard():
    """A guard of effects."""
    return IdempotencyGuard(store=MemoryStore())


def by_once(guard):
    """Carries out an effect without a loop."""
    guard.once("charge", body)


def by_decorated(guard):
    """Calls a function each of whose calls is one."""
    guard.effect(key="charge")(body)()


def by_iteration(guard):
    """Carries out an effect in a loop."""
    for iteration in Loop(CAP, guard):
        iteration.once("charge", body)


def by_whole_iterations(guard):
    """Takes each iteration for one."""
    keyed = IdempotencyGuard(store=MemoryStore(), key=lambda iteration: "charge")
    raise Loop(IterationCap(1), keyed).run(body).error


@pytest.mark.parametrize("way", [by_once, by_decorated, by_iteration, by_whole_iterations])
def test_an_effect_is_shown_as_called(guard, way):
    """An effect's own exception shows who asked for it and the effect, at most two of ours."""
    with pytest.raises(ValueError, match="no such page") as failed:
        way(guard)
    names = [frame.name for frame in traceback.extract_tb(failed.value.__traceback__)]

    assert (names[1], names[-1]) == (way.__name__, "body")
    assert len(frames_of_ours(failed.value)) <= 2


async def test_an_async_effect_is_shown_as_called(guard):
    """So does that of an effect that is awaited, with a loop and without."""
    faults = []

    async def attempt(iteration):
        try:
            await iteration.aonce("third", awaited)
        except ValueError as error:
            faults.append(error)

    decorated = guard.effect(key="second")(awaited)
    for called in (guard.aonce("first", awaited), decorated()):
        with pytest.raises(ValueError, match="no such page") as failed:
            await called
        faults.append(failed.value)
    await Loop(IterationCap(1), guard).arun(attempt)

    assert [len(frames_of_ours(fault)) for fault in faults] == [2, 2, 0]
    assert {traceback.extract_tb(fault.__traceback__)[-1].name for fault in faults} == {"body"}


def test_a_refusal_of_ours_shows_where_it_was_made(guard):
    """Nothing is taken out of the traceback of what did not come out of an effect."""
    with pytest.raises(haltable.ConfigurationError) as refused:
        guard.once("", body)

    assert frames_of_ours(refused.value)[-1].name == "check_effect_key"


class Gone(MemoryStore):
    """A host's store over a disk that is gone."""

    def read(self, key):
        raise StoreError("the disk is gone")


def test_a_store_that_fails_shows_who_asked_it():
    """Only an effect is shown as called: a fault on the way to it keeps the whole way."""
    with pytest.raises(StoreError) as failed:
        IdempotencyGuard(store=Gone()).once("charge", body)

    assert {"once", "carry_out", "look"} <= {frame.name for frame in frames_of_ours(failed.value)}
