# SPDX-License-Identifier: MIT
"""What a command prints, on its way to our own standard output and error.

Every byte goes on as it came, to the stream that it was printed to.  It notes
when there was something, and knows neither the command nor who wants to know.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

__all__ = ["Passage"]

#: How a pipe says that nobody reads it any more, and a terminal that it is gone.
_NOBODY = (errno.EPIPE, errno.EIO)


class Passage:
    """Hands on what is printed.

    Attributes:
        broken: whether nobody reads our own output any more.
        on_broken: is called when that is found.
        around: what every write happens inside; a live line steps aside there.
    """

    def __init__(self) -> None:
        self._heard_at = time.monotonic()
        self._writing = False
        self.broken = False
        self.on_broken: Callable[[], object] = _nobody
        self.around: Callable[[int, bytes], AbstractContextManager[object]] = _nothing

    def heard_at(self) -> float:
        """Returns the moment of the newest output, of the monotonic clock.

        While our own reader lets us wait, that is now: it is no silence of the
        command's.
        """
        return time.monotonic() if self._writing else self._heard_at

    def __call__(self, stream: int, more: bytes) -> None:
        """Writes all of a piece to a stream.

        Raises:
            OSError: if it cannot be written; `BrokenPipeError` if nobody reads it.
        """
        self._writing = True
        try:
            with self.around(stream, more):
                rest = memoryview(more)
                while rest:
                    rest = rest[os.write(stream, rest) :]
        except OSError as error:
            if error.errno in _NOBODY:
                self.broken = True
                self.on_broken()
            raise
        finally:
            self._heard_at = time.monotonic()
            self._writing = False


def _nobody() -> None:
    """Whom it is told to, unless somebody wants to know."""


def _nothing(stream: int, more: bytes) -> AbstractContextManager[object]:
    del stream, more
    return nullcontext()
