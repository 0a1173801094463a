# SPDX-License-Identifier: MIT
"""One key of a loop, two runs, an operator and a store that loses.

It hands every write, every body and every report to the auditor.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs

from tests.model import loop_audit as audit, loop_runs as runs
from tests.model.desks import Desk
from tests.model.explorer import promise
from tests.model.loop_runs import Manner
from tests.model.shapes import Shapes, Stored
from tests.model.world import KeyModel
from tests.model.worlds import LEASE, Limits, Slot, World, Writer

WHO = {"by": "ana", "why": "looked"}
#: What operators do.
ACTS = {
    "stop": lambda ops: ops.stop(runs.KEY, **WHO),
    "reset": lambda ops: ops.reset(runs.KEY, **WHO),
    "extend": lambda ops: ops.extend(runs.KEY, starts=1, **WHO),
}


class LoopModel(KeyModel):
    """The worlds of one configuration; made where runs are `loop_runs.driven`.

    Args:
        limits: how much may happen.
        manner: how the loop is run.
        bodies: how bodies end.
    """

    def __init__(
        self,
        limits: Limits,
        manner: Manner,
        bodies: tuple[str, ...] = ("returns",),
        *,
        twin: bool = False,
    ) -> None:
        shapes = Shapes()
        manner = attrs.evolve(manner, watched=limits.looks > 0)
        workers = runs.automaton(shapes, manner, twin=twin)
        desk = Desk(f"haltable/loop/{runs.KEY}", shapes, ACTS)
        super().__init__(limits, workers, shapes, desk, audit.Books())
        self.bodies = bodies

    def wrote(self, world: World, new: Stored | None, by: Writer) -> World:
        """Judges a write; returns the world with what is to be remembered of it."""
        assert new is not None
        return world._replace(books=audit.wrote(world.books, self.shapes, world.entry, new, by))

    def stepped(self, world: World, place: int, before: Any, given: Any) -> World:
        """Judges what a run has become."""
        slot = world.slots[place]
        assert slot is not None
        state = self.workers.states[slot.worker[0]]
        was, now = before.requests.get("main"), state.requests.get("main")
        if now is not None and now[0] == "body" and was != now:
            alone = not any(
                other is not None and at != place and self._is_in_body(other)
                for at, other in enumerate(world.slots)
            )
            books = audit.began(world.books, now[1], now[2], alone=alone)
            world = world._replace(books=books)
        if now is None and was is not None:
            facts = state.facts
            promise("P5: a run ends in a report", kept=facts.finished)
            audit.reported(world.books, facts.report)
        return world

    def rested(self, world: World) -> None:
        """Judges a world in which nobody is alive and nothing is on its way."""
        limits, left = self.limits, world.left
        spent = limits.crashes - left.crashes + limits.faults - left.faults
        audit.rested(world.books, spent)

    def is_settled(self, world: World) -> bool:
        """Says whether the next start is refused for a reason or admitted, now or in time."""
        if world.entry is None:
            return True
        return audit.is_open_or_ended(self.shapes.records[world.entry.record[0]], world.entry.age)

    def chances(
        self, world: World, place: int, request: tuple[Any, ...]
    ) -> Iterator[tuple[str, bool, Any]]:
        """Yields how a request that is no store's may go."""
        if request[0] == "body":
            for how in self.bodies:
                yield f"'s body {how}", how == "is interrupted", how
        else:
            yield "has rested", False, None

    def is_at_work(self, main: tuple[Any, ...]) -> bool:
        """Says whether a lease is renewed meanwhile."""
        return main[0] in ("body", "rest")

    def acts(self, world: World) -> Iterator[str]:
        """Yields what an operator may do."""
        yield from self.limits.acts

    def describe(self, world: World) -> str:
        """Returns a world in words."""
        words = ["absent"]
        if world.entry is not None:
            record = self.shapes.records[world.entry.record[0]]
            claim = "free"
            if record.running is not None:
                pausing = " pausing" if record.running.pausing else ""
                claim = f"held for start {record.running.start}{pausing}"
            stop = ", a stop asked" if record.past.stop else ""
            words[0] = (
                f"{record.status} epoch {record.epoch} starts {record.starts} {claim}{stop}, "
                f"{world.entry.age} ticks old"
            )
        return " | ".join((*words, *self.in_words(world)))

    def _is_in_body(self, slot: Slot) -> bool:
        requests = self.workers.states[slot.worker[0]].requests
        return slot.grip < LEASE and requests.get("main", ("",))[0] == "body"
