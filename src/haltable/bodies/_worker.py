# SPDX-License-Identifier: MIT
"""One call in a thread of its own, and where that thread is.

It knows a function and a thread; who waits for it, and how, is for others.
"""

from __future__ import annotations

import contextvars
import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

__all__ = ["Worker"]

_LOG = logging.getLogger("haltable")


class Worker:
    """Calls a function in a daemon thread, in a copy of this context.

    Args:
        name: the function's, for people.
        call: the function, with all of its arguments.
        tell: is called in the thread when the function has ended.

    Attributes:
        name: the same.
        ended: whether the function has ended.
        abandoned: when it was abandoned, by the monotonic clock; None if it was not.
    """

    def __init__(self, name: str, call: Callable[[], Any], tell: Callable[[], object]) -> None:
        self.name = name
        self.ended = False
        self.abandoned: float | None = None
        self._call, self._tell = call, tell
        self._result: Any = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(
            target=contextvars.copy_context().run,
            args=(self._work,),
            name=f"haltable-body-{name}",
            daemon=True,
        )

    @property
    def begun(self) -> bool:
        """Whether the thread was started."""
        return self._thread.ident is not None

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def abandon(self) -> None:
        """Notes that nobody waits for the function any more."""
        self.abandoned = time.monotonic()

    def result(self) -> Any:
        """Returns what the function returned, or raises what it raised."""
        self._thread.join()
        error, self._error = self._error, None
        if error is not None:
            try:
                raise error
            finally:
                del error  # Or its traceback, which leads here, would hold it.
        return self._result

    def stack(self) -> str:
        """Returns where the function is, as a traceback's text; empty if it has ended."""
        number = self._thread.ident
        frame = None if number is None else vars(sys)["_current_frames"]().get(number)
        if frame is None:
            return ""
        ours = (__file__, threading.__file__)
        frames = traceback.extract_stack(frame)
        while frames and frames[0].filename in ours:
            del frames[0]
        return "".join(traceback.format_list(frames))

    def _work(self) -> None:
        try:
            self._result = self._call()
        except BaseException as error:
            # What was called, and not that it was called from here.
            inner = error.__traceback__ and error.__traceback__.tb_next
            self._error = error.with_traceback(inner)
        finally:
            self.ended = True
            self._tell()
            if self.abandoned is not None:
                self._log(self.abandoned)

    def _log(self, abandoned: float) -> None:
        # Nobody waits for it any more, and still somebody may want to know.
        _LOG.warning(
            "%s, abandoned %.1f s ago, has ended: %r",
            self.name,
            time.monotonic() - abandoned,
            self._error or "it returned",
        )
