# SPDX-License-Identifier: MIT
"""Where no exception may be raised from outside: code that begins or ends a run.

It reads frames, and knows rooms and functions by their names; what is raised,
and by whom, it does not know.
"""

from __future__ import annotations

from types import FrameType

__all__ = ["seals", "seals_around"]

#: Code of ours during which none is raised, whatever it calls: it begins or ends a run.
_SEALED = frozenset(
    [("haltable._drive_sync", "interrupt"), ("haltable._nesting", "nest")]
    + [("haltable._ports_sync", name) for name in ("forget", "new_book", "oversee")]
    + [("haltable._state", name) for name in ("end", "end_quietly")]
)
_SEALED_ROOMS = frozenset(
    f"haltable.{room}" for room in ("_oversight", "_standby", "_strike", "_watch")
)
#: Where the interpreter would only print what is raised.
_DEAF_ROOMS = ("_weakrefset", "weakref")


def seals(frame: FrameType | None) -> int:
    """Returns how many frames from here up begin or end a run, or hide what is raised."""
    found = 0
    while frame is not None:
        found += _is_sealed(frame)
        frame = frame.f_back
    return found


def seals_around(frame: FrameType | None) -> int:
    """Returns the same without those that begin the run which asks."""
    while frame is not None and _is_sealed(frame):
        frame = frame.f_back
    return seals(frame)


def _is_sealed(frame: FrameType) -> bool:
    room, name = frame.f_globals.get("__name__"), frame.f_code.co_name
    if room in _SEALED_ROOMS or (room, name) in _SEALED:
        return True
    return name == "__del__" or room in _DEAF_ROOMS
