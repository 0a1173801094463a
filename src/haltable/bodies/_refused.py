# SPDX-License-Identifier: MIT
"""What a keeper says of a child that could not be started.

It carries the system's own words, apart from any error of those who listen.
"""

from __future__ import annotations

from haltable.errors import HaltableError

__all__ = ["Refused"]


class Refused(HaltableError):
    """A child could not be started.

    Args:
        error: what the system said.
    """

    def __init__(self, error: OSError) -> None:
        super().__init__(error)
        self.error = error
