# SPDX-License-Identifier: MIT
"""What the writes of a PostgreSQL store survive, compared with what its host wants.

It knows neither statement nor connection: each write tells it what it found.
"""

from __future__ import annotations

import logging

from haltable.errors import ConfigurationError
from haltable.store import Durability

__all__ = ["Level"]

_LEVELS = {level.name.lower(): level for level in Durability if level}
_LOG = logging.getLogger("haltable")


class Level:
    """What writes survive: what is wanted, until one of them knows better.

    Args:
        table: the table, as it is quoted, for what is said about it.
        wanted: ``"process"``, ``"machine"`` or ``"replicated"``.

    Raises:
        ConfigurationError: it is none of these.
    """

    __slots__ = ("_table", "_wanted", "durability")

    def __init__(self, table: str, wanted: str) -> None:
        if wanted not in _LEVELS:
            raise ConfigurationError(
                f"durability={wanted!r}: it must be 'process', 'machine' or 'replicated'"
            )
        self._table = table
        self._wanted = self.durability = _LEVELS[wanted]

    def note(self, survives: Durability) -> None:
        """Notes what a write survives; warns when that becomes less than is wanted."""
        if survives is self.durability:
            return
        if survives < self._wanted <= self.durability:
            _LOG.warning(
                "PostgreSQL table %s: a write %s, and %s is wanted: see the "
                "server's fsync, full_page_writes, synchronous_commit, synchronous_standby_names",
                self._table,
                f"survives the {survives.name.lower()} only"
                if survives
                else "does not survive a kill of the server",
                self._wanted.name.lower(),
            )
        self.durability = survives
