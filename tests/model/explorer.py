# SPDX-License-Identifier: MIT
"""Visits every state of a model, the nearest first, and says what it found.

It knows no protocol: a model says where it begins, what may happen in a state,
and where it ends.  A broken promise comes with the shortest way to it.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Hashable, Iterable
from typing import Protocol

import attrs


class BrokenPromise(AssertionError):
    """What happened must never happen; the text names the promise."""


def promise(name: str, *, kept: bool) -> None:
    """Raises unless the promise is kept."""
    if not kept:
        raise BrokenPromise(name)


class Model(Protocol):
    """What is explored."""

    name: str

    def initial(self) -> Hashable:
        """Returns where it begins."""
        ...

    def moves(self, state: Hashable) -> Iterable[tuple[str, bool, Hashable]]:
        """Yields what may happen: in words, whether it is a fault, and what it leads to.

        Raises:
            BrokenPromise: if something happens that never must.
        """
        ...

    def is_end(self, state: Hashable) -> bool:
        """Says whether everybody has come to an end."""
        ...

    def describe(self, state: Hashable) -> str:
        """Returns a state in words."""
        ...


@attrs.frozen
class Found:
    """What an exploration came to.

    Args:
        name: of the configuration.
        states: how many were visited.
        moves: how many led from one to the next.
        depth: of the farthest state.
        ends: states in which everybody had come to an end.
        seconds: of one core that it took.
        broken: the promise that was broken, empty if none was.
        trace: the shortest way there, a line a step.
    """

    name: str
    states: int
    moves: int
    depth: int
    ends: int
    seconds: float
    broken: str = ""
    trace: tuple[str, ...] = ()

    @property
    def steps(self) -> int:
        """How many steps the shortest way has."""
        return max(0, len(self.trace) - 1)

    def __str__(self) -> str:
        line = (
            f"{self.name:<34} {self.states:>9,} states {self.moves:>10,} moves "
            f"depth {self.depth:>3} {self.seconds:>6.1f} s"
        )
        return f"{line}  {self.broken}" if self.broken else line


class Explorer:
    """One exploration, breadth first.

    Args:
        model: what is explored.
        most: states after which it gives up; None for all there are.
    """

    def __init__(self, model: Model, most: int | None = None) -> None:
        self._model = model
        self._most = most
        self._numbers: dict[Hashable, int] = {}
        self._states: list[Hashable] = []
        self._parents = array("l")
        self._words: list[str] = []
        # Where one comes without a fault, as pairs of numbers.
        self._quiet = array("l")

    def explore(self) -> Found:
        """Visits all states and checks that from each of them an end can be reached."""
        began = time.process_time()
        self._add(self._model.initial(), -1, "at first")
        depth, level_ends, at, moves = 0, 1, 0, 0
        broken, trace = "", ()
        while at < len(self._states) and not broken:
            if at == level_ends:
                depth, level_ends = depth + 1, len(self._states)
            try:
                for words, fault, state in self._model.moves(self._states[at]):
                    moves += 1
                    number = self._add(state, at, words)
                    if not fault and number != at:
                        self._quiet.extend((at, number))
            except BrokenPromise as error:
                broken, trace = str(error), self._trace(at)
            at += 1
            if self._most is not None and at > self._most:
                raise AssertionError(f"{self._model.name}: more than {self._most} states")
        ends = [n for n, state in enumerate(self._states) if self._model.is_end(state)]
        if not broken:
            stuck = self._stuck(ends)
            if stuck is not None:
                broken, trace = "P5: without faults there is an end", self._trace(stuck)
        seconds = time.process_time() - began
        name = self._model.name
        states = len(self._states)
        return Found(name, states, moves, depth, len(ends), seconds, broken, trace)

    def _add(self, state: Hashable, parent: int, words: str) -> int:
        number = self._numbers.setdefault(state, len(self._states))
        if number == len(self._states):
            self._states.append(state)
            self._parents.append(parent)
            self._words.append(words)
        return number

    def _stuck(self, ends: list[int]) -> int | None:
        """Returns the first state from which no end can be reached without another fault."""
        before: list[list[int]] = [[] for _ in self._states]
        for source, target in zip(self._quiet[::2], self._quiet[1::2], strict=True):
            before[target].append(source)
        reached = bytearray(len(self._states))
        waiting = list(ends)
        for number in ends:
            reached[number] = 1
        while waiting:
            for source in before[waiting.pop()]:
                if not reached[source]:
                    reached[source] = 1
                    waiting.append(source)
        stuck = reached.find(0)
        return None if stuck < 0 else stuck

    def _trace(self, number: int) -> tuple[str, ...]:
        steps = []
        while number >= 0:
            steps.append(number)
            number = self._parents[number]
        return tuple(
            f"{self._words[step]:<44} {self._model.describe(self._states[step])}"
            for step in reversed(steps)
        )
