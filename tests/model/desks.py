# SPDX-License-Identifier: MIT
"""An operator's act in two halves: the real one reads, decides, and hands out a write.

Whether that is written is decided by the store, later; when it is refused, the
operator looks again, as the real one does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import attrs

from haltable import ConfigurationError, EffectHeld, Operator, _owner
from haltable.stores import Conflict, Durability, Entry
from tests.model.shapes import Shapes, Stored, decoded, encoded
from tests.model.strands import TICK

#: What is planned by whoever deletes: a shape that no record has.
DELETE: Stored = (-1, ())


class Sent(BaseException):
    """What an operator would write; None to delete."""

    def __init__(self, value: bytes | None) -> None:
        super().__init__()
        self.value = value


class Counter:
    """A store that answers one look, and stops at what is then sent."""

    durability = Durability.PROCESS

    def __init__(self, key: str, entry: Entry) -> None:
        self.key = key
        self.entry = entry

    def read(self, key: str) -> Entry:
        return self.entry

    def scan(self, prefix: str) -> Iterator[tuple[str, Entry]]:
        yield self.key, self.entry

    def write(self, key: str, value: bytes, *, expected: int) -> Entry | Conflict:
        raise Sent(value)

    def delete(self, key: str, *, expected: int) -> bool:
        raise Sent(None)


@attrs.define
class Desk:
    """What operators do about one key, remembered.

    Args:
        key: in the store.
        acts: what they do, by name.
    """

    key: str
    shapes: Shapes
    acts: dict[str, Callable[[Operator], object]]
    _known: dict[Any, Any] = attrs.field(init=False, factory=dict)

    def decide(self, act: str, record: Stored, age: int, dead: tuple[int, ...]) -> Stored | None:
        """Returns what an act would write, `DELETE`, or None.

        Args:
            act: its name.
            record: what the operator reads.
            age: ticks.
            dead: the tokens in it that are known to be dead.
        """
        shape, tokens = record
        gone = tuple(tokens.index(token) for token in dead)
        found = self._known.get((act, shape, age, gone))
        if found is None:
            found = self._known[act, shape, age, gone] = self._act(act, shape, age, gone)
        if found is None or found == DELETE:
            return found
        # An operator's own name is no token.
        return found[0], tuple([tokens[hole] for hole in found[1]])

    def _act(self, act: str, shape: int, age: int, dead: tuple[int, ...]) -> Any:
        record = self.shapes.fill(shape, [f"token-{hole}" for hole in range(9)])
        gone = {f"token-{hole}" for hole in dead}
        operator = Operator(Counter(self.key, Entry(encoded(record), 1, age * TICK)))

        def is_dead(owner: Any, alive: object) -> bool:
            return bool(owner.boot) and owner.token in gone

        with mock.patch.object(_owner, "is_dead", is_dead):
            try:
                self.acts[act](operator)
            except (ConfigurationError, EffectHeld, KeyError):
                return None
            except Sent as sent:
                if sent.value is None:
                    return DELETE
                number, tokens = self.shapes.intern(decoded(self.key, sent.value))
                return number, tuple(int(token.removeprefix("token-")) for token in tokens)
        return None
