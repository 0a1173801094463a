# SPDX-License-Identifier: MIT
"""A world as a value: what the store holds, who is alive, what is on its way.

Two worlds that differ only in the names of tokens, versions and workers are the
same one.  It knows no rule; what may happen in a world is said elsewhere.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import attrs

from tests.model.automaton import Standing
from tests.model.shapes import Stored

#: The lease, in ticks.
LEASE = 2


@attrs.frozen
class Limits:
    """How much may happen in a configuration.

    Args:
        name: of the configuration.
        spawns: workers that begin, at most two at a time.
        crashes: workers that are killed.
        faults: store calls whose request or reply is lost or delayed.
        looks: renewals that are tried.
        acts: what operators do, in any order and number up to ``times``.
        times: see ``acts``.
        refusing: whether a fault may be a plain refusal too, and a failed read.
        elsewhere: whether the workers are on hosts that know nothing of one another.
        ordered: whether workers keep their names, for a trace that people read.
        numbered: whether versions keep their numbers, for a store that repeats them.
        ticks: that pass while somebody is at work; any number does while nobody is.
        oldest: ticks after which all records are equally old.
    """

    name: str
    spawns: int = 2
    crashes: int = 0
    faults: int = 0
    looks: int = 0
    acts: tuple[str, ...] = ()
    times: int = 0
    refusing: bool = False
    elsewhere: bool = False
    ordered: bool = False
    numbered: bool = False
    ticks: int = 2 * LEASE
    oldest: int = LEASE


class Slot(NamedTuple):
    """A worker that is alive.

    Attributes:
        worker: where it stands.
        grip: ticks since it wrote last; the lease, once that has lapsed.
        note: what the auditor remembers of it.
    """

    worker: Standing
    grip: int
    note: int = 0


class Left(NamedTuple):
    """What may still happen."""

    spawns: int
    crashes: int
    faults: int
    times: int
    looks: int
    ticks: int


class Entry(NamedTuple):
    """What the store holds."""

    record: Stored
    version: int
    age: int


class Flight(NamedTuple):
    """A write that was sent, and whose sender was told nothing."""

    record: Stored
    expected: int
    sender: int


class Plan(NamedTuple):
    """What an operator has read and would write."""

    act: str
    record: Stored
    version: int
    age: int


class World(NamedTuple):
    """Everything at one moment."""

    entry: Entry | None
    slots: tuple[Slot | None, ...]
    flights: tuple[Flight, ...]
    left: Left
    desk: Plan | None
    books: Any


class Writer(NamedTuple):
    """Who writes.

    Attributes:
        token: a worker's; None for an operator.
        act: what the operator does.
        age: ticks that the record was old when the operator read it.
        live: the tokens of the workers that are alive.
    """

    token: int | None
    act: str
    age: int
    live: frozenset[int]


def fits(world: World, flight: Flight) -> bool:
    """Says whether a write finds the version that it expects."""
    return flight.expected == (0 if world.entry is None else world.entry.version)


def flight_of(slot: Slot, request: tuple[Any, ...]) -> Flight:
    """Returns the write that a worker has sent."""
    _, shape, holes, expected = request
    _, tokens, versions = slot.worker
    record = shape, tuple([tokens[hole] for hole in holes])
    return Flight(record, versions[expected] if expected >= 0 else 0, tokens[0])


def put(world: World, place: int, slot: Slot | None) -> World:
    """Returns the world with another worker in a place, or with none."""
    slots = world.slots
    return world._replace(slots=(*slots[:place], slot, *slots[place + 1 :]))


def live(world: World) -> frozenset[int]:
    """Returns the tokens of the workers that are alive."""
    return frozenset([slot.worker[1][0] for slot in world.slots if slot is not None])


def newest_token(world: World) -> int:
    """Returns a number that no token has passed."""
    known = [0]
    for slot in world.slots:
        if slot is not None:
            known.extend(slot.worker[1])
    for stored in (world.entry, world.desk, *world.flights):
        if stored is not None:
            known.extend(stored.record[1])
    return max(known)


def versions_in(world: World) -> set[int]:
    """Returns all versions that somebody knows, and none."""
    versions = {0, *(flight.expected for flight in world.flights)}
    for slot in world.slots:
        if slot is not None:
            versions.update(slot.worker[2])
    for stored in (world.entry, world.desk):
        if stored is not None:
            versions.add(stored.version)
    return versions


def canonical(world: World, limits: Limits) -> World:
    """Returns the world with its tokens and versions numbered as they come."""
    entry, desk, slots, flights = world.entry, world.desk, world.slots, world.flights
    if not limits.ordered:
        slots = tuple(sorted(slots, key=_order))
    if limits.numbered:
        ranks = {version: version for version in versions_in(world)}
    else:
        # Nothing ever goes back to an older version, so such a write never fits again.
        current = 0 if entry is None else entry.version
        flights = tuple([flight for flight in flights if flight.expected == current])
        kept = versions_in(world._replace(flights=flights))
        ranks = {version: rank for rank, version in enumerate(sorted(kept))}
    names: dict[int, int] = {}

    def named(tokens: tuple[int, ...]) -> tuple[int, ...]:
        return tuple([names.setdefault(token, len(names) + 1) for token in tokens])

    def numbered(record: Stored) -> Stored:
        return record[0], named(record[1])

    def renamed(worker: Standing) -> Standing:
        state, tokens, versions = worker
        return state, named(tokens), tuple([ranks[version] for version in versions])

    return World(
        entry and Entry(numbered(entry.record), ranks[entry.version], entry.age),
        tuple([slot and slot._replace(worker=renamed(slot.worker)) for slot in slots]),
        tuple(
            [
                Flight(numbered(f.record), ranks[f.expected], named((f.sender,))[0])
                for f in sorted(flights)
            ]
        ),
        world.left,
        desk and Plan(desk.act, numbered(desk.record), ranks[desk.version], desk.age),
        world.books,
    )


def _order(slot: Slot | None) -> Any:
    return slot is None, slot and (slot.worker[0], slot.grip, slot.note)
