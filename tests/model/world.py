# SPDX-License-Identifier: MIT
"""One key, two workers, an operator and a store that loses: all that can happen to them.

It knows what may happen next and how a store behaves; what workers and
operators do then is theirs, and whether a promise was kept is for an auditor.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from typing import Any

from tests.model.automaton import Automaton, Seen
from tests.model.desks import DELETE, Desk
from tests.model.shapes import Shapes, Stored
from tests.model.worlds import (
    LEASE,
    Entry,
    Flight,
    Left,
    Limits,
    Plan,
    Slot,
    World,
    Writer,
    canonical,
    fits,
    flight_of,
    live,
    newest_token,
    put,
    versions_in,
)

NAMES = "AB"
Move = tuple[str, bool, World]


class KeyModel:
    """The worlds of one configuration, for the explorer.

    What a record means is left to those who inherit it.
    """

    def __init__(
        self, limits: Limits, workers: Automaton, shapes: Shapes, desk: Desk, books: Hashable
    ) -> None:
        self.name = limits.name
        self.limits = limits
        self.workers = workers
        self.shapes = shapes
        self._desk = desk
        self._books = books

    # What those who inherit it say ----------------------------------------------------------

    def wrote(self, world: World, new: Stored | None, by: Writer) -> World:
        """Judges a write or a delete; returns the world with what is to be remembered of it."""
        raise NotImplementedError

    def stepped(self, world: World, place: int, before: Any, given: Any) -> World:
        """Judges what a worker has become; likewise."""
        raise NotImplementedError

    def rested(self, world: World) -> None:
        """Judges a world in which nobody is alive and nothing is on its way."""
        raise NotImplementedError

    def is_settled(self, world: World) -> bool:
        """Says whether the key stands as it may stand for ever."""
        raise NotImplementedError

    def chances(self, world: World, place: int, request: tuple[Any, ...]) -> Iterable[Any]:
        """Yields how a request that is no store's may go: in words, whether a fault, the answer."""
        raise NotImplementedError

    def is_at_work(self, main: tuple[Any, ...]) -> bool:
        """Says whether a lease is renewed meanwhile."""
        raise NotImplementedError

    def acts(self, world: World) -> Iterable[str]:
        """Yields what an operator who has looked outside may do."""
        raise NotImplementedError

    # The explorer's questions ----------------------------------------------------------------

    def initial(self) -> World:
        """Returns the world before anybody begins."""
        limits = self.limits
        left = Left(
            limits.spawns,
            limits.crashes,
            limits.faults,
            limits.times,
            limits.looks,
            limits.ticks,
        )
        return World(None, (None, None), (), left, None, self._books)

    def is_end(self, world: World) -> bool:
        """Says whether everybody has come to an end."""
        return world.slots == (None, None) and world.desk is None and self.is_settled(world)

    def moves(self, world: World) -> Iterator[Move]:
        """Yields what may happen; see the explorer."""
        if world.slots == (None, None) and not world.flights and world.desk is None:
            self.rested(world)
        for words, fault, after in self._all_moves(world):
            yield words, fault, canonical(after, self.limits)

    def _all_moves(self, world: World) -> Iterator[Move]:
        left = world.left
        for place, slot in enumerate(world.slots):
            if slot is not None:
                yield from self._of_slot(world, place, slot)
            elif left.spawns and None not in world.slots[:place]:
                fresh = Slot(self.workers.start(newest_token(world) + 1), LEASE)
                after = world._replace(left=left._replace(spawns=left.spawns - 1))
                yield f"{NAMES[place]} begins", True, put(after, place, fresh)
        yield from self._of_operator(world)
        for number, flight in enumerate(world.flights):
            rest = world.flights[:number] + world.flights[number + 1 :]
            landed = self._commit(world._replace(flights=rest), flight)
            yield "a delayed write arrives", True, landed
        yield from self._of_time(world)

    # Workers ------------------------------------------------------------------------------

    def _of_slot(self, world: World, place: int, slot: Slot) -> Iterator[Move]:
        name, left = NAMES[place], world.left
        requests = self.workers.states[slot.worker[0]].requests
        for strand, request in requests.items():
            who = name if strand == "main" else f"{name}'s watcher"
            yield from self._answers(world, place, (strand, who), request)
        main = requests.get("main", ("",))
        if left.looks and self.is_at_work(main) and "side" not in requests:
            spent = world._replace(left=left._replace(looks=left.looks - 1))
            yield f"{name}'s watcher looks", False, self._step(spent, place, "look", None)
        if left.crashes:
            spent = world._replace(left=left._replace(crashes=left.crashes - 1))
            yield f"{name} is killed", True, put(spent, place, None)
            yield from self._killed_while_writing(spent, place, requests)

    def _killed_while_writing(
        self, world: World, place: int, requests: dict[str, Any]
    ) -> Iterator[Move]:
        left = world.left
        for request in requests.values():
            if left.faults and request[0] == "write":
                flying = self._fly(world, world.slots[place], request)
                spent = flying._replace(left=left._replace(faults=left.faults - 1))
                words = f"{NAMES[place]} is killed, its write on its way"
                yield words, True, put(spent, place, None)

    def _answers(
        self, world: World, place: int, strand: tuple[str, str], request: tuple[Any, ...]
    ) -> Iterator[Move]:
        (which, who), kind = strand, request[0]
        if kind == "read":
            seen = ("entry", self._seen(world))
            yield f"{who} reads", False, self._step(world, place, which, seen)
        elif kind == "write":
            yield from self._writes(world, place, strand, request)
        elif kind != "lock":
            for words, fault, given in self.chances(world, place, request):
                yield f"{who} {words}", fault, self._step(world, place, which, given)
        left = world.left
        if left.faults and kind in ("read", "write"):
            spent = world._replace(left=left._replace(faults=left.faults - 1))
            if kind == "write":
                flying = self._fly(spent, world.slots[place], request)
                step = self._step(flying, place, which, "lost")
                yield f"{who} is told nothing of its write", True, step
            if self.limits.refusing:
                step = self._step(spent, place, which, "refused")
                yield f"{who} finds the store failing", True, step

    def _writes(
        self, world: World, place: int, strand: tuple[str, str], request: tuple[Any, ...]
    ) -> Iterator[Move]:
        which, who = strand
        slot = world.slots[place]
        assert slot is not None
        flight = flight_of(slot, request)
        if fits(world, flight):
            after = self._commit(world, flight)
            version = after.entry.version if after.entry else 0
            step = self._step(after, place, which, ("done", Seen(None, version)))
            yield f"{who} writes", False, step
        else:
            seen = ("conflict", self._seen(world))
            yield f"{who} is refused its write", False, self._step(world, place, which, seen)

    def _fly(self, world: World, slot: Slot | None, request: tuple[Any, ...]) -> World:
        assert slot is not None
        return world._replace(flights=(*world.flights, flight_of(slot, request)))

    def _commit(self, world: World, flight: Flight) -> World:
        """Returns the world after a write that is done, if it is."""
        if not fits(world, flight):
            return world
        world = self.wrote(world, flight.record, Writer(flight.sender, "", 0, live(world)))
        slots = tuple(
            slot and (slot._replace(grip=0) if slot.worker[1][0] == flight.sender else slot)
            for slot in world.slots
        )
        entry = Entry(flight.record, self._next_version(world), 0)
        return world._replace(entry=entry, slots=slots)

    def _next_version(self, world: World) -> int:
        # Greater than all that anybody knows, also of a key that was deleted.
        return max(versions_in(world)) + 1

    def _seen(self, world: World) -> Seen:
        if world.entry is None:
            return Seen(None)
        record, version, age = world.entry
        alive = live(world)
        dead = tuple([token for token in record[1] if token not in alive])
        return Seen(record, version, age, dead)

    def _step(self, world: World, place: int, what: str, given: Any) -> World:
        """Returns the world after something has happened to a worker."""
        slot = world.slots[place]
        assert slot is not None
        before = self.workers.states[slot.worker[0]]
        worker = self.workers.step(slot.worker, what, given)
        world = put(world, place, slot._replace(worker=worker))
        world = self.stepped(world, place, before, given if what == "main" else None)
        return world if self.workers.states[worker[0]].requests else put(world, place, None)

    # Operators and time -------------------------------------------------------------------

    def _of_operator(self, world: World) -> Iterator[Move]:
        entry, desk, left = world.entry, world.desk, world.left
        if desk is None:
            if left.times and entry is not None:
                spent = world._replace(left=left._replace(times=left.times - 1))
                for act in self.acts(spent):
                    yield from self._reads_to(spent, act, fault=True)
        elif entry is None or desk.version != entry.version:
            # Refused, it looks again; the act may have come to nothing by now.
            without = world._replace(desk=None)
            acts = () if entry is None else self.acts(without)
            again = list(self._reads_to(without, desk.act, fault=False)) if desk.act in acts else []
            yield from again or [("the operator gives up", False, without)]
        else:
            deleting = desk.record == DELETE
            by = Writer(None, desk.act, desk.age, live(world))
            after = self.wrote(world, None if deleting else desk.record, by)
            written = None if deleting else Entry(desk.record, entry.version + 1, 0)
            yield (
                f"the operator writes: {desk.act}",
                False,
                after._replace(entry=written, desk=None),
            )

    def _reads_to(self, world: World, act: str, *, fault: bool) -> Iterator[Move]:
        entry = world.entry
        assert entry is not None
        found = self._desk.decide(act, entry.record, entry.age, self._seen(world).dead)
        if found is not None:
            plan = Plan(act, found, entry.version, entry.age)
            yield f"the operator reads: {act}", fault, world._replace(desk=plan)

    def _of_time(self, world: World) -> Iterator[Move]:
        entry, left = world.entry, world.left
        if not all(slot is None or self._is_resting(slot) for slot in world.slots):
            if not left.ticks:
                return
            left = left._replace(ticks=left.ticks - 1)
        if entry is not None and entry.age < self.limits.oldest:
            entry = entry._replace(age=entry.age + 1)
        slots = tuple(slot and self._later(slot) for slot in world.slots)
        if entry != world.entry or slots != world.slots:
            yield "a tick passes", False, world._replace(entry=entry, slots=slots, left=left)

    def _is_resting(self, slot: Slot) -> bool:
        requests = self.workers.states[slot.worker[0]].requests
        return all(request[0] == "rest" for request in requests.values())

    def _later(self, slot: Slot) -> Slot:
        worker = slot.worker
        if self.workers.states[worker[0]].ticking:
            worker = self.workers.step(worker, "tick", None)
        return slot._replace(worker=worker, grip=min(slot.grip + 1, LEASE))

    def in_words(self, world: World) -> Iterator[str]:
        """Yields what each worker waits for."""
        for name, slot in zip(NAMES, world.slots, strict=True):
            if slot is not None:
                requests = self.workers.states[slot.worker[0]].requests
                yield f"{name}: {', '.join(each[0] for each in requests.values())}"
