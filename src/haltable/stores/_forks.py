# SPDX-License-Identifier: MIT
"""Lets connections be closed before the process forks, and opened again after it.

It knows no database, only what must be quiet while a process is copied.  Why
that is needed stands in ``haltable.stores._sqlite_file``.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import Protocol

__all__ = ["close_before_fork"]


class Forkable(Protocol):
    """Something that must not be open while the process is copied."""

    def pause(self) -> bool:
        """Closes and holds it; returns False if somebody else could not be made to let go."""
        ...

    def resume(self) -> None:
        """Lets go of it, in the process that forked."""
        ...

    def enter_child(self) -> None:
        """Makes it new, in the process that was forked; no other thread runs there."""
        ...


class _Forks:
    # A process has one table of descriptors and one set of file locks, and it is
    # copied as a whole; so this is the one table that all stores share.  Every
    # access is one operation on a dictionary, which threads cannot divide.
    def __init__(self) -> None:
        self._known: dict[int, weakref.ref[Forkable]] = {}
        self._paused: dict[int, list[Forkable]] = {}

    def add(self, forkable: Forkable) -> None:
        number = id(forkable)

        def forget(_: object, known: dict[int, weakref.ref[Forkable]] = self._known) -> None:
            known.pop(number, None)

        self._known[number] = weakref.ref(forkable, forget)

    def _all(self) -> list[Forkable]:
        living = [known() for known in list(self._known.values())]
        return [forkable for forkable in living if forkable is not None]

    def before(self) -> None:
        paused = self._paused.setdefault(threading.get_ident(), [])
        # One by one, so that an interrupt in between leaves none held for ever.
        paused.extend(forkable for forkable in self._all() if forkable.pause())

    def in_parent(self) -> None:
        for forkable in self._paused.pop(threading.get_ident(), []):
            forkable.resume()

    def in_child(self) -> None:
        self._paused.clear()
        for forkable in self._all():
            forkable.enter_child()


_forks = _Forks()
os.register_at_fork(
    before=_forks.before,
    after_in_parent=_forks.in_parent,
    after_in_child=_forks.in_child,
)


def close_before_fork(forkable: Forkable) -> None:
    """Has something closed whenever the process forks, for as long as it lives.

    Args:
        forkable: what to close; it is not kept alive.
    """
    _forks.add(forkable)
