# SPDX-License-Identifier: MIT
"""The options of ``haltable run``, in one table, and how each is read.

The same table serves flags and files.  A reader takes a word or a value of
TOML, and raises `ValueError` with what would be right.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, cast

import attrs

__all__ = ["OPTIONS", "Option", "count", "duration", "text"]

_PIECE = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@attrs.frozen
class Option:
    """One option: a flag ``--name``, and a key of the same name in a file.

    Args:
        name: as it is written.
        read: returns its value.
        shown: what stands for the value in the help.
        help: one line.
        many: whether it may be given more than once, or as a list.
    """

    name: str
    read: Callable[[object], Any]
    shown: str
    help: str
    many: bool = False

    @property
    def field(self) -> str:
        """The contract's name for it."""
        return self.name.replace("-", "_")


def count(value: object) -> int:
    """Reads a whole number of at least 1."""
    number = value
    if isinstance(value, str) and value.isascii() and value.isdigit():
        number = int(value)
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise ValueError("give a whole number of at least 1")
    return number


def count_or_none(value: object) -> int | None:
    """Reads a whole number of at least 1, or ``none``."""
    if value == "none":
        return None
    try:
        return count(value)
    except ValueError:
        raise ValueError("give a whole number of at least 1, or none for no such limit") from None


def duration(value: object) -> float:
    """Reads seconds above 0: a number, or a text such as ``90s``, ``1h30m``, ``250ms``."""
    seconds = math.nan
    if isinstance(value, str):
        try:
            seconds = float(value)
        except ValueError:
            pieces = _PIECE.findall(value)
            if pieces and "".join(number + unit for number, unit in pieces) == value:
                seconds = sum(float(number) * _UNITS[unit] for number, unit in pieces)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        seconds = float(value)
    if not 0 < seconds < math.inf:
        raise ValueError("give a duration above 0, such as 90s, 10m, 1h30m or 250ms")
    return seconds


def span(value: object) -> tuple[float, float]:
    """Reads two durations, the shorter first: ``1s..5m``."""
    try:
        shortest, longest = map(duration, str(value).split(".."))
    except ValueError:
        shortest, longest = 1.0, 0.0
    if longest < shortest:
        raise ValueError("give the first and the longest wait, such as 1s..5m")
    return shortest, longest


def text(value: object) -> str:
    """Reads a text that is not empty."""
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise ValueError("give a text that is not empty")
    return value


def status(value: object) -> int:
    """Reads an exit status of a failed command."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 255:
        raise ValueError("give an exit status, 1 to 255")
    return value


def _each(read: Callable[[object], Any]) -> Callable[[object], tuple[Any, ...]]:
    def read_all(value: object) -> tuple[Any, ...]:
        values = cast("list[object]", value) if isinstance(value, list) else [value]
        return tuple(read(each) for each in values)

    return read_all


def _statuses(value: object) -> tuple[int, ...]:
    words = cast("list[object]", value) if isinstance(value, list) else [value]
    split = [w for word in words for w in (word.split(",") if isinstance(word, str) else [word])]
    return tuple(status(each) for each in split)


OPTIONS = (
    Option("max", count, "N", "start the command at most N times, ever"),
    Option("max-failures", count, "N", "end after N failures in all"),
    Option(
        "max-consecutive-failures",
        count_or_none,
        "N",
        "end after N failures in a row (3 by default; none for no such limit)",
    ),
    Option("iteration-timeout", duration, "DURATION", "end when one iteration takes longer"),
    Option("total-timeout", duration, "DURATION", "end when the loop has been alive so long"),
    Option("idle-timeout", duration, "DURATION", "end when the command prints nothing so long"),
    Option("until", text, "CMD", "succeed when this line of shell exits with 0"),
    Option("until-timeout", duration, "DURATION", "what --until may take (10m by default)"),
    Option("give-up-if", text, "CMD", "give up when this line of shell exits with 0"),
    Option("give-up-timeout", duration, "DURATION", "what --give-up-if may take (1m by default)"),
    Option(
        "evidence",
        _each(text),
        "WHAT",
        "what counts as progress: a glob, git, or cmd:LINE; may be given again",
        many=True,
    ),
    Option("stall", duration, "DURATION", "end when no new evidence appeared so long"),
    Option("backoff", span, "FROM..TO", "wait longer after each failure in a row, as 1s..5m"),
    Option("every", duration, "DURATION", "wait so long after each iteration"),
    Option("key", text, "KEY", "names the loop in the store, so that counts survive restarts"),
    Option("store", text, "FILE", "where counts are kept"),
    Option("once-key", text, "KEY", "the command is an effect of this name: done at most once"),
    Option("fatal-exit", _statuses, "N,N", "exit statuses that end the loop at once", many=True),
    Option("transient-exit", _statuses, "N,N", "exit statuses that are no failures", many=True),
    Option(
        "confine",
        _each(text),
        "PATH",
        "all that the command may write to (Linux); may be given again",
        many=True,
    ),
    Option("log", text, "FILE.jsonl", "write what happens there, a line of JSON each"),
    Option("report", text, "FILE", "write the report there, as JSON"),
)
