# SPDX-License-Identifier: MIT
"""Stored records with holes for the tokens, interned: one number for each.

What no rule compares (wall-clock stamps, live seconds without a limit of time)
is the same in all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs

from haltable.effect_records import EffectRecord, decode_effect, encode_effect
from haltable.encoding import decode_loop, encode_head, encode_loop
from haltable.records import LoopRecord, Owner

#: A record as the explorer has it: the number of its shape, and what fills the holes.
Stored = tuple[int, tuple[Any, ...]]

#: Who writes without a token of its own.
NOBODY = ("", "operator")


class Shapes:
    """The shapes of records met so far.

    Attributes:
        records: each with the number of a hole in place of a token.
    """

    def __init__(self) -> None:
        self.records: list[Any] = []
        self._numbers: dict[Any, int] = {}

    def intern(self, record: LoopRecord | EffectRecord) -> tuple[int, tuple[str, ...]]:
        """Returns the number of a record's shape, and its tokens."""
        tokens: list[str] = []

        def hole(token: str) -> str:
            if token in NOBODY:
                return token
            if token not in tokens:
                tokens.append(token)
            return str(tokens.index(token))

        shape = renamed(_timeless(record), hole)
        number = self._numbers.setdefault(shape, len(self.records))
        if number == len(self.records):
            self.records.append(shape)
        return number, tuple(tokens)

    def fill(self, number: int, tokens: Sequence[str]) -> Any:
        """Returns the record of a shape with these tokens."""
        return renamed(
            self.records[number], lambda hole: hole if hole in NOBODY else tokens[int(hole)]
        )


def renamed(record: Any, name: Callable[[str], str]) -> Any:
    """Returns a record with other tokens."""
    if isinstance(record, EffectRecord):
        return attrs.evolve(
            record,
            owner=_owner(record.owner, name),
            suspect=_owner(record.suspect, name),
            writer=name(record.writer),
        )
    running = record.running
    if running is not None:
        running = attrs.evolve(running, owner=_owner(running.owner, name))
    return attrs.evolve(record, running=running, writer=name(record.writer))


def encoded(record: Any) -> bytes:
    """Returns a record's bytes."""
    if isinstance(record, EffectRecord):
        return encode_effect(record, record.writer, record.serial)
    owner = None if record.running is None else record.running.owner
    return encode_loop(record, encode_head(record.past, owner, record.writer), record.serial)


def decoded(key: str, value: bytes) -> Any:
    """Returns the record of a key's bytes."""
    return decode_effect(value) if key.startswith("haltable/effect/") else decode_loop(value)


def _owner(owner: Owner | None, name: Callable[[str], str]) -> Owner | None:
    return owner and attrs.evolve(owner, token=name(owner.token))


def _timeless(record: Any) -> Any:
    if isinstance(record, EffectRecord):
        return attrs.evolve(record, history=tuple(attrs.evolve(a, at="") for a in record.history))
    history = tuple(attrs.evolve(act, at="") for act in record.past.history)
    past = attrs.evolve(record.past, history=history)
    return attrs.evolve(record, elapsed=0.0, past=past)
