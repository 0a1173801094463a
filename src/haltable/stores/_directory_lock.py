# SPDX-License-Identifier: MIT
"""One process at a time in a directory, for what must not be done twice there.

It knows no database.  The lock ends with its holder, however that ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Generator

__all__ = ["directory_lock"]

_SECONDS_BETWEEN_TRIES = 0.01


@contextlib.contextmanager
def directory_lock(directory: str, timeout: float) -> Generator[None, None, None]:
    """Holds a directory's lock for the time of the block.

    Args:
        directory: which.
        timeout: seconds to wait for whoever holds it.

    Raises:
        OSError: there is no such directory, or it is still held.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        until = time.monotonic() + timeout
        while not _is_locked(descriptor, wait=time.monotonic() < until):
            time.sleep(_SECONDS_BETWEEN_TRIES)
        yield
    finally:
        os.close(descriptor)


def _is_locked(descriptor: int, *, wait: bool) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        if wait:
            return False
        raise
    return True
