# SPDX-License-Identifier: MIT
"""Globs as an automaton over directories: what is asked of one, and of those below it.

The theory.  A glob is a row of parts; in a directory, what is left of the row
(its *tail*) says which files match and with which tail each directory below is
entered.  Several globs, and ``**``, mean several tails at once: the set of them
is the state, and a `Level` is that state with its patterns compiled.  There are
few such sets, so each is compiled once.  This room knows names and no disk.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable
from typing import TypeAlias

__all__ = ["Level", "Tail"]

#: The parts of a glob that a directory has still before it; never empty.
Tail: TypeAlias = tuple[str, ...]

_ANY_DEPTH = "**"


class Level:
    """What some globs ask of one directory.

    Args:
        tails: what is left of each glob.
        levels: the levels compiled so far, shared by all of one set of globs.
    """

    __slots__ = ("_descents", "_levels", "matches")

    #: Called with a file's name; true if a glob matches it.
    matches: Callable[[str], object]

    def __init__(self, tails: Iterable[Tail], levels: dict[frozenset[Tail], Level]) -> None:
        opened = {tail[skipped:] for tail in tails for skipped in _skippable(tail)}
        last = [_pattern(tail[0]) for tail in sorted(opened) if len(tail) == 1]
        self.matches = re.compile("|".join(last) if last else "(?!)").match
        self._descents = [
            (re.compile(_pattern(tail[0])).match, tail if tail[0] == _ANY_DEPTH else tail[1:])
            for tail in opened
            if tail[0] == _ANY_DEPTH or len(tail) > 1
        ]
        self._levels = levels

    def below(self, name: str) -> Level | None:
        """Returns what is asked of the directory of that name; None if nothing is."""
        tails = frozenset(tail for matches, tail in self._descents if matches(name))
        if not tails:
            return None
        level = self._levels.get(tails)
        if level is None:
            # Two threads may both compile it; they come to the same.
            level = self._levels[tails] = Level(tails, self._levels)
        return level


def _skippable(tail: Tail) -> range:
    """Returns how many leading parts may be left out: ``**`` is also no directory at all."""
    skipped = 0
    while skipped < len(tail) - 1 and tail[skipped] == _ANY_DEPTH:
        skipped += 1
    return range(skipped + 1)


def _pattern(part: str) -> str:
    """Returns the regular expression of one part, which as in a shell spares hidden names."""
    visible = "" if part.startswith(".") else r"(?!\.)"
    return visible + fnmatch.translate(part)
