# SPDX-License-Identifier: MIT
"""One effect, two callers, an operator and a store that loses.

What an operator and a reconciler say is the truth at the moment at which they
look; whether it is still true when it is written is the ledger's business.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from haltable.effects import EffectState
from tests.model import effect_audit as audit, effect_calls as calls
from tests.model.desks import Desk
from tests.model.effect_calls import Manner
from tests.model.explorer import promise
from tests.model.shapes import Shapes, Stored
from tests.model.world import KeyModel
from tests.model.worlds import LEASE, Limits, World, Writer, live, put

WHO = {"by": "ana", "why": "looked"}
#: What operators do, each only if it is true.
ACTS = {
    "done": lambda ops: ops.resolve(calls.KEY, "done", result="looked", **WHO),
    "failed": lambda ops: ops.resolve(calls.KEY, "failed", **WHO),
    "free": lambda ops: ops.resolve(calls.KEY, "free", **WHO),
    "free, it is gone": lambda ops: ops.resolve(calls.KEY, "free", owner_is_gone=True, **WHO),
    "purge": lambda ops: ops.purge(older_than=0),
}


#: How a request may go: as it should, whether all else is a fault, and all else.
WAYS = {
    "act": ("acts", False, ("does nothing", "fails for good")),
    "say": ("returns", True, ("raises", "is interrupted")),
    "ask": ("is told the truth", True, ("is told nothing", "asks in vain")),
}


class EffectModel(KeyModel):
    """The worlds of one configuration; made where calls are `effect_calls.driven`.

    Args:
        limits: how much may happen.
        manner: how the guard is configured.
        bodies: how effects may go, beside doing what they should.
    """

    def __init__(
        self,
        limits: Limits,
        manner: Manner,
        bodies: tuple[str, ...] = (),
        *,
        twin: bool = False,
    ) -> None:
        shapes = Shapes()
        workers = calls.automaton(shapes, manner, twin=twin)
        desk = Desk(calls.PREFIX + calls.KEY, shapes, ACTS)
        super().__init__(limits, workers, shapes, desk, audit.Books())
        self.manner = manner
        self.bodies = bodies

    def wrote(self, world: World, new: Stored | None, by: Writer) -> World:
        """Judges a write or a delete; returns the world with what is to be remembered of it."""
        old = None
        if world.entry is not None:
            old = (*self._seated(world.entry.record), world.entry.age)
        after = None if new is None else self._seated(new)
        books = audit.wrote(world.books, self.manner, old, after, by)
        world = world._replace(books=books)
        if after is None or by.token is None:
            return world
        record, seat = after
        for place, slot in enumerate(world.slots):
            if slot is not None and slot.worker[1][0] == by.token:
                if record.state is EffectState.CLAIMED and seat.suspect is None:
                    note = len(books.happened) if seat.owner == by.token else 0
                    world = put(world, place, slot._replace(note=note))
                elif record.state is EffectState.FREE:
                    world = put(world, place, slot._replace(note=0))
        return world

    def stepped(self, world: World, place: int, before: Any, given: Any) -> World:
        """Judges what a call has become."""
        slot = world.slots[place]
        assert slot is not None
        state = self.workers.states[slot.worker[0]]
        was, now = before.requests.get("main"), state.requests.get("main")
        if was is not None and was[0] == "act" and given == "acts":
            books = audit.acted(world.books, self.manner, slot.note)
            world = world._replace(books=books)
        if now is not None and now[0] == "ask" and was != now:
            alone = not any(
                other is not None and at != place and self._is_asking(other)
                for at, other in enumerate(world.slots)
            )
            promise("I12: one asks at a time", kept=alone)
        if now is None and was is not None:
            facts = state.facts
            audit.ended(world.books, facts.end, wrote_it=facts.wrote, owns_it=facts.owns)
        return world

    def rested(self, world: World) -> None:
        """Judges a world in which nobody is alive and nothing is on its way."""

    def is_settled(self, world: World) -> bool:
        """Says whether the effect blocks nobody without a name."""
        entry = world.entry
        if entry is None:
            return True
        record, seat = self._seated(entry.record)
        dead = not self.limits.elsewhere and seat.owner not in live(world)
        return audit.is_named(record, age=entry.age, dead=dead)

    def chances(
        self, world: World, place: int, request: tuple[Any, ...]
    ) -> Iterator[tuple[str, bool, Any]]:
        """Yields how a request that is no store's may go."""
        kind = request[0]
        if kind == "who":
            for caller in self.manner.callers:
                yield f"calls with the {caller} payload", False, caller
        elif kind == "rest":
            yield "has rested", False, None
        else:
            happened = any(world.books.happened[-1:])
            truth = "happened" if happened else "not"
            usual, fault, others = WAYS[kind]
            yield usual, False, truth if kind == "ask" else usual
            for how in others:
                if how in self.bodies:
                    yield how, fault, how

    def is_at_work(self, main: tuple[Any, ...]) -> bool:
        """Says whether a lease is renewed meanwhile."""
        return main[0] in ("act", "say")

    def acts(self, world: World) -> Iterator[str]:
        """Yields what an operator who has looked outside may do."""
        assert world.entry is not None
        _, seat = self._seated(world.entry.record)
        happened = any(world.books.happened[-1:])
        owner = seat.owner if seat.suspect is None else seat.suspect
        for act in self.limits.acts:
            true = {
                "done": happened,
                "failed": not happened,
                "free": not happened,
                "free, it is gone": not happened and owner not in live(world),
            }
            if true.get(act, True):
                yield act

    def describe(self, world: World) -> str:
        """Returns a world in words."""
        words = ["absent"]
        if world.entry is not None:
            record, seat = self._seated(world.entry.record)
            whose = "" if seat.owner is None else f" by {seat.owner}"
            about = "" if seat.suspect is None else f" about {seat.suspect}"
            words[0] = (
                f"{record.state}{whose}{about} attempt {record.attempts}, "
                f"{world.entry.age} ticks old, happened {world.books.happened}"
            )
        words += self.in_words(world)
        return " | ".join(words)

    def _is_asking(self, slot: Any) -> bool:
        requests = self.workers.states[slot.worker[0]].requests
        return slot.grip < LEASE and requests.get("main", ("",))[0] == "ask"

    def _seated(self, stored: Stored) -> tuple[Any, audit.Seat]:
        record, tokens = self.shapes.records[stored[0]], stored[1]
        owner, suspect = record.owner, record.suspect
        return record, audit.Seat(
            None if owner is None else tokens[int(owner.token)],
            None if suspect is None else tokens[int(suspect.token)],
        )
