# SPDX-License-Identifier: MIT
"""The keeper of a run between two of its children.

It knows when a keeper can be used again, and nothing of what it is used for.
"""

from __future__ import annotations

from haltable.bodies._keeper_process import KeeperProcess

__all__ = ["ALONE", "Keepers"]


class Keepers:
    """Lends a keeper to one child after another; to two at once, it lends two.

    Args:
        lasting: whether there is a next child; without, each has its own keeper.
    """

    def __init__(self, *, lasting: bool) -> None:
        self._lasting = lasting
        self._idle: list[KeeperProcess] = []

    def take(self, handed: tuple[int, ...] = ()) -> KeeperProcess:
        """Returns a keeper that has nothing to do, a new one if there is none.

        Args:
            handed: descriptors for the child; only a new keeper can hand them on.
        """
        while not handed:
            try:
                keeper = self._idle.pop()
            except IndexError:
                break
            if keeper.is_usable:
                return keeper
            keeper.close()
        return KeeperProcess(handed)

    def give_back(self, keeper: KeeperProcess) -> None:
        """Takes a keeper back that has nothing to do any more."""
        if self._lasting and not self._idle and keeper.is_usable:
            self._idle.append(keeper)
        else:
            keeper.close()

    def close(self) -> None:
        """Ends whoever is idle; from now on each child has its own keeper."""
        self._lasting = False
        while self._idle:
            self._idle.pop().close()


#: For children of no run.
ALONE = Keepers(lasting=False)
