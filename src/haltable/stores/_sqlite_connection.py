# SPDX-License-Identifier: MIT
"""A connection to a database file that may be left behind, in whatever order things go.

It knows how a file is opened, and what Python does with a connection that nobody
holds any more; nothing of what is in the file, nor of when the process forks.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Self, cast

__all__ = ["QuietConnection"]


class _Opening(sqlite3.Connection):
    """A connection until it is open, for `close` raises if it never was."""


class QuietConnection(_Opening):
    """A connection that closes itself when it is collected, and warns of nothing.

    From Python 3.13 on the base class warns then.  The connection's owner cannot
    always close it first: of things that refer to each other in a circle any may
    be finalised before the others, and all may be when the interpreter ends.
    """

    # No function of Python's, which would lose a Ctrl-C: one that came in the midst
    # of SQLite's work is raised where the next function begins, and Python ignores
    # what is raised in here.
    __del__ = sqlite3.Connection.close

    @classmethod
    def opened(cls, path: str, *, mode: str, busy_timeout: float) -> Self:
        """Opens a file.

        Args:
            path: where it is, absolute.
            mode: SQLite's mode of that name, as ``"rw"``.
            busy_timeout: seconds to wait for another process's lock.

        Raises:
            sqlite3.Error: it cannot be opened.
        """
        connection = sqlite3.connect(
            f"{Path(path).as_uri()}?mode={mode}",
            uri=True,
            timeout=busy_timeout,
            isolation_level=None,
            check_same_thread=False,
            factory=_Opening,
        )
        connection.__class__ = cls
        return cast("Self", connection)
