# SPDX-License-Identifier: MIT
"""The living descendants of a process, as Linux shows them, and how they are signalled.

It knows numbers of processes and groups, and not what they are for.  The keeper
loads it, so that it loads nothing but the system's own module.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False  # Importing `typing` would be a sixth of the keeper's start.
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["sent", "signal_family"]

_DEAD = (b"Z", b"X", b"x")


def signal_family(keeper: int, number: int) -> bool:
    """Signals all living descendants, by their groups; returns whether there were any."""
    children: dict[int, list[tuple[int, int, bytes]]] = {}
    for name in os.listdir("/proc"):
        if name.isdecimal():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    # After the name, which may hold anything: state, parent, group.
                    state, parent, group, *_ = file.read().rpartition(b")")[2].split()
            except OSError:
                continue
            children.setdefault(int(parent), []).append((int(name), int(group), state))
    living: set[tuple[int, int]] = set()
    waiting = [keeper]
    while waiting:
        for pid, led, state in children.get(waiting.pop(), ()):
            waiting.append(pid)
            if state not in _DEAD:
                living.add((pid, led))
    # The keeper leads a group of its own, which a fork has not left at once.
    for led in {led for _, led in living} - {keeper}:
        sent(os.killpg, led, number)
    for pid in {pid for pid, led in living if led == keeper}:
        sent(os.kill, pid, number)
    return bool(living)


def sent(send: Callable[[int, int], None], to: int, number: int) -> bool:
    """Signals a process or a group; returns whether it is there and we may."""
    try:
        send(to, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True
