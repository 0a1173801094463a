# SPDX-License-Identifier: MIT
"""A body that writes to everything it can reach by attributes gets no start more for it."""

from __future__ import annotations

import contextlib

import pytest

from haltable import (
    ExitCondition,
    HaltableError,
    IterationCap,
    Loop,
    LoopInterrupt,
    MemoryStore,
    bounded_loop,
    current,
)
from haltable.conditions import never
from haltable.iteration import Iteration

CAP = 3
POLICY = (IterationCap(CAP, max_consecutive_failures=None), ExitCondition(success=never))
VALUES = [0, -(10**9), 10**9, 0.5, float("nan"), None, True, "x", [], object()]
DELETED = object()


def names_in(thing):
    """Returns the names of an object's own attributes, private ones too."""
    names = set(getattr(thing, "__dict__", {}))
    for cls in type(thing).__mro__:
        slots = vars(cls).get("__slots__", ())
        names.update([slots] if isinstance(slots, str) else slots)
    return sorted(name for name in names if not name.startswith("__"))


def reach(root):
    """Returns every object that attributes lead to, the first one first."""
    found, waiting = [], [root]
    while waiting:
        thing = waiting.pop()
        if any(thing is each for each in found):
            continue
        found.append(thing)
        for name in names_in(thing):
            with contextlib.suppress(AttributeError):
                waiting.append(getattr(thing, name))
    return found


def write(root, value, *, only=lambda there: True):
    """Writes a value over, or deletes, every attribute that leads on from here."""
    for thing in reach(root):
        for name in names_in(thing):
            if only(getattr(thing, name, None)):
                with contextlib.suppress(AttributeError, TypeError):
                    if value is DELETED:
                        delattr(thing, name)
                    else:
                        setattr(thing, name, value)


class Attack:
    """A body that writes, and stops by itself only when it has won."""

    def __init__(self, value, only):
        self.starts = 0
        self._value = value
        self._only = only

    def __call__(self):
        self.starts += 1
        if self.starts <= CAP:
            write(current(), self._value, only=self._only)
        elif self.starts > 3 * CAP:
            raise SystemExit


def iterate(loop, body):
    """Goes in by `for`, with the exceptions as outcomes."""
    for iteration in loop:
        with iteration:
            body()


def tick(loop, body):
    """Goes in by ticks."""
    with loop.start() as run:
        while True:
            run.tick()
            body()


WAYS = {
    "run": lambda loop, body: loop.run(body),
    "decorated": lambda loop, body: bounded_loop(*POLICY)(body)(),
    "for": iterate,
    "tick": tick,
}


@pytest.mark.parametrize("value", [*VALUES, DELETED], ids=repr)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("keyed", [False, True])
def test_writing_to_everything_gives_no_start_more(value, way, keyed):
    """P1: the cap holds, or the loop ends before it; numbers alone or whatever is there."""
    options = {"key": "key", "store": MemoryStore()} if keyed else {}
    for only in (lambda there: True, lambda there: isinstance(there, (int, float))):
        attack = Attack(value, only)
        with contextlib.suppress(HaltableError, AttributeError, TypeError):
            WAYS[way](Loop(*POLICY, **{**options, "store": MemoryStore()} if keyed else {}), attack)

        assert 1 <= attack.starts <= CAP


def test_the_attack_is_one():
    """The crawl finds what an iteration holds: it would find a run behind any attribute."""
    kinds = []
    Loop(*POLICY).run(lambda iteration: kinds.extend(type(each) for each in reach(iteration)))

    assert Iteration in kinds
    assert {"Facts", "Port"} <= {kind.__name__ for kind in kinds}


@pytest.mark.parametrize("keyed", [False, True])
def test_no_attribute_leads_from_an_iteration_to_what_counts(keyed):
    """Neither from the iteration nor from an interrupt that was caught is the run in reach."""
    options = {"key": "key", "store": MemoryStore()} if keyed else {}
    run, reached = Loop(*POLICY, **options).start(), []

    def body(iteration):
        reached.extend(reach(iteration))
        run.stop("enough")
        try:
            iteration.check()
        except LoopInterrupt as interrupt:
            reached.extend(reach(interrupt))

    run.run(body)

    for hidden in (run, run.kernel, run.settings, run.book):
        assert hidden is None or not any(each is hidden for each in reached)
