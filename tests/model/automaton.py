# SPDX-License-Identifier: MIT
"""All that a worker can become, found by running the real drivers once for each step.

A worker's state is a number, shared by all workers that stand alike; what it
does on an event is remembered.  A step that is new is found by bringing a fresh
worker there again and letting the event happen to it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from haltable.store import Conflict, Entry
from tests.model.freezing import STEM, Frozen
from tests.model.shapes import Shapes, encoded
from tests.model.strands import TICK, Worker

#: A worker in the explorer's eyes: its state, and what fills the holes of that.
Standing = tuple[int, tuple[int, ...], tuple[int, ...]]


@attrs.frozen
class Seen:
    """What a worker is told of a record.

    Args:
        record: shape and tokens; None if there is none.
        version: the store's.
        age: ticks.
        dead: the tokens in it that are known to be dead.
    """

    record: tuple[int, tuple[int, ...]] | None
    version: float = 0
    age: int = 0
    dead: tuple[int, ...] = ()


@attrs.frozen(eq=False)
class State:
    """One state of a worker, and how a representative gets there.

    Args:
        history: the events, in the representative's own names.
        tokens: what fills its holes there.
        versions: likewise.
        requests: what its strands wait for; records are shapes with holes.
        ends: how its strands have ended.
        ticking: whether time changes it.
        facts: what the auditor wants to know of it.
    """

    history: tuple[tuple[str, Any], ...]
    tokens: tuple[str, ...]
    versions: tuple[float, ...]
    requests: dict[str, tuple[Any, ...]]
    ends: dict[str, Any]
    ticking: bool
    facts: Any


class Automaton:
    """The workers of one kind.

    Args:
        make: makes a worker with a token.
        shapes: the records' shapes.
        facts: reads from a worker what the auditor wants to know.
        twin: whether every state that looks like another is compared with it.
    """

    def __init__(
        self,
        make: Callable[[str], Worker],
        shapes: Shapes,
        facts: Callable[[Worker], Any],
        *,
        twin: bool = False,
    ) -> None:
        self.states: list[State] = []
        self.shapes = shapes
        self.runs = 0
        self._make = make
        self._facts = facts
        self._numbers: dict[Any, int] = {}
        self._steps: dict[Any, tuple[int, tuple[int, ...], tuple[int, ...]]] = {}
        #: Other ways to the same states, as pairs of the state and what gets there.
        self.others: list[tuple[int, State]] | None = [] if twin else None
        self.first, _ = self._enter(())

    def start(self, token: int) -> Standing:
        """Returns a worker that has just begun."""
        return self.first, (token,), ()

    def step(self, worker: Standing, what: str, given: Any = None) -> Standing:
        """Returns what a worker becomes when something happens to it."""
        number, tokens, versions = worker
        names, places = list(tokens), list(versions)
        event = self._abstract(what, given, names, places)
        found = self._steps.get((number, event))
        if found is None:
            found = self._steps[number, event] = self._explore(number, event)
        after, holes, kept = found
        return after, tuple([names[i] for i in holes]), tuple([places[i] for i in kept])

    def _abstract(self, what: str, given: Any, names: list[int], places: list[int]) -> Any:
        """Returns an event in terms of holes; what is new is added to the names and versions."""
        if not isinstance(given, tuple) or not given or not isinstance(given[-1], Seen):
            return what, given
        seen: Seen = given[-1]
        record, rank = None, None
        if seen.record is not None:
            shape, tokens = seen.record
            for token in tokens:
                if token not in names:
                    names.append(token)
            record = shape, tuple([names.index(token) for token in tokens])
        if seen.version:
            if seen.version not in places:
                # Where it stands among those known already: nearly always it is the newest.
                rank = sum(version < seen.version for version in places)
                places.append(seen.version)
            place = places.index(seen.version)
        else:
            place = -1
        dead = tuple([names.index(token) for token in seen.dead])
        return what, (*given[:-1], record, place, rank, seen.age, dead)

    def _explore(
        self, number: int, event: tuple[str, Any]
    ) -> tuple[int, tuple[int, ...], tuple[int, ...]]:
        state = self.states[number]
        concrete, tokens, versions = self._concrete(state, event)
        after, frozen = self._enter((*state.history, concrete))
        return (
            after,
            tuple(tokens.index(token) for token in frozen.tokens),
            tuple(versions.index(version) for version in frozen.versions),
        )

    def _concrete(
        self, state: State, event: tuple[str, Any]
    ) -> tuple[tuple[str, Any], list[str], list[float]]:
        """Returns an event in a representative's names, and those names."""
        tokens, versions = list(state.tokens), list(state.versions)
        what, given = event
        if not isinstance(given, tuple) or len(given) < 5:
            return event, tokens, versions
        *how, record, place, rank, age, dead = given
        entry = None
        if rank is not None:
            order = sorted(versions)
            lower = order[rank - 1] if rank else 0
            # Between two versions there is always room for another.
            versions.append((lower + order[rank]) / 2 if rank < len(order) else int(lower) + 1)
        if record is not None:
            shape, holes = record
            while len(tokens) <= max(holes, default=0):
                tokens.append(f"{STEM}{len(state.history)}-{len(tokens)}")
            filled = self.shapes.fill(shape, [tokens[hole] for hole in holes])
            entry = Entry(encoded(filled), versions[place], age * TICK)
        elif place >= 0:
            entry = Entry(b"", versions[place])
        gone = frozenset(tokens[hole] for hole in dead)
        return (what, (*how, entry, gone)), tokens, versions

    def _enter(self, history: tuple[tuple[str, Any], ...]) -> tuple[int, Frozen]:
        worker = self.replay(history)
        frozen = Frozen(worker)
        number = self._numbers.setdefault(frozen.form, len(self.states))
        if number == len(self.states) or self.others is not None:
            state = State(
                history,
                tuple(frozen.tokens),
                tuple(frozen.versions),
                {name: self._request(r, frozen) for name, r in worker.requests.items()},
                dict(worker.ends),
                frozen.ticking,
                self._facts(worker),
            )
            if number == len(self.states):
                self.states.append(state)
            elif self.others is not None:
                self.others.append((number, state))
        worker.close()
        return number, frozen

    def replay(self, history: tuple[tuple[str, Any], ...]) -> Worker:
        """Returns a worker to which all this has happened."""
        self.runs += 1
        worker = self._make(f"{STEM}0")
        for what, given in history:
            worker.happen((what, self._answer(worker, given)))
        return worker

    def _answer(self, worker: Worker, given: Any) -> Any:
        if not isinstance(given, tuple):
            return given
        how, entry, worker.dead = given
        return Conflict(entry) if how == "conflict" else entry

    def _request(self, request: Any, frozen: Frozen) -> tuple[Any, ...]:
        if request.kind != "write":
            return (request.kind, *request.what)
        record, expected = request.what
        shape, tokens = self.shapes.intern(record)
        holes = tuple(frozen.tokens.index(token) for token in tokens)
        return "write", shape, holes, frozen.versions.index(expected) if expected else -1

    def unlike(self) -> list[str]:
        """Compares states that were taken for the same; returns how they differ."""
        wrong = []
        for number, other in self.others or ():
            for (before, event), (after, holes, kept) in list(self._steps.items()):
                if before != number:
                    continue
                concrete, tokens, versions = self._concrete(other, event)
                worker = self.replay((*other.history, concrete))
                frozen = Frozen(worker)
                worker.close()
                found = (
                    self._numbers.get(frozen.form),
                    tuple(tokens.index(token) for token in frozen.tokens),
                    tuple(versions.index(version) for version in frozen.versions),
                )
                if found != (after, holes, kept):
                    wrong.append(f"state {number}, {event}: {found} instead of {after}")
        return wrong
