# SPDX-License-Identifier: MIT
"""Breakers' memory as text and back, encoded again only when it changed.

Pure: it knows breakers and JSON, and nothing of records, stores or runs.
"""

from __future__ import annotations

import json
from typing import Any, cast

from haltable.breaker import Breaker
from haltable.errors import RecordError, in_words

__all__ = ["Recollection", "Unstorable"]

_SCALARS = (str, int, float, bool, type(None))


class Unstorable(Exception):
    """A remembered field holds what JSON cannot say; ``breaker`` is whose it is."""

    def __init__(self, breaker: str, words: str) -> None:
        super().__init__(breaker, words)
        self.breaker = breaker
        self.words = words


class Recollection:
    """The memory of one run's breakers, along with the record or apart from it.

    Args:
        breakers: those that remember anything.
        apart: of which kind.
    """

    __slots__ = ("_apart", "_breakers", "_last", "text")

    def __init__(self, breakers: tuple[Breaker, ...], *, apart: bool) -> None:
        self._breakers = breakers and tuple(b for b in breakers if b.memory(apart=apart))
        self._apart = apart
        self._last: list[object] = []
        #: The memory as it was last encoded.
        self.text = "{}"

    @property
    def wanted(self) -> bool:
        """Whether any breaker has memory of this kind."""
        return bool(self._breakers)

    def refresh(self) -> bool:
        """Encodes the memory if it may have changed; returns whether the text did.

        Raises:
            Unstorable: if a remembered field holds what JSON cannot say.
        """
        if not self._breakers:
            return False
        memories = [breaker.memory(apart=self._apart) for breaker in self._breakers]
        flat = [value for memory in memories for value in memory.values()]
        if flat == self._last and all(_is_plain(value) for value in flat):
            return False
        texts: list[str] = []
        for breaker, memory in zip(self._breakers, memories, strict=True):
            try:
                text = json.dumps(memory, separators=(",", ":"), allow_nan=False)
            except (TypeError, ValueError, RecursionError) as error:
                raise Unstorable(breaker.name, f"its memory is not JSON: {error}") from error
            texts.append(f"{json.dumps(breaker.name)}:{text}")
        text = "{" + ",".join(texts) + "}"
        changed = text != self.text
        self._last, self.text = flat, text
        return changed

    def recall(self, text: str) -> None:
        """Puts stored memory back into the breakers that still have a name in it.

        Raises:
            RecordError: if the text is no JSON object, or a breaker cannot take
                back what it holds.
        """
        if text == "{}" and not self._breakers:
            self.text = text
            return
        try:
            data: object = json.loads(text)
        except ValueError as error:
            raise RecordError(f"the stored memory of the breakers is no JSON: {error}") from error
        if not isinstance(data, dict):
            raise RecordError("the stored memory of the breakers is not a JSON object")
        memories = cast("dict[str, Any]", data)
        for breaker in self._breakers:
            try:
                breaker.recall(memories.get(breaker.name, {}))
            except Exception as error:
                what = f"{breaker.name} cannot take back what it remembered: {in_words(error)}"
                raise RecordError(what) from error
        self.text, self._last = text, []


def _is_plain(value: object) -> bool:
    # A list or a dict may have changed in place and still equal itself.
    if isinstance(value, tuple):
        return all(isinstance(item, _SCALARS) for item in cast("tuple[object, ...]", value))
    return isinstance(value, _SCALARS)
