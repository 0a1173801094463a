# SPDX-License-Identifier: MIT
"""A program that is asked and listened to: what it prints is passed on as it comes.

It knows pipes and an exit status, and nothing of what the words mean.
"""

from __future__ import annotations

import math
import os
import select
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

from haltable._process_group import ProcessGroup
from haltable.errors import HaltableError

__all__ = ["listen"]

_CHUNK = 1 << 16
#: No pipe holds more bytes, unless the machine's owner has allowed it.
_LARGEST = 1 << 20
#: How much of its complaints is kept, and told.
_KEPT, _TOLD = 4096, 300
#: Seconds between two looks whether a silent program is still there.
_TICK = 0.1


def listen(
    argv: Sequence[str],
    hear: Callable[[bytes], object],
    *,
    name: str,
    timeout: float,
    env: Mapping[str, str] | None = None,
) -> None:
    """Runs a program without input and passes on what it prints.

    When it has ended, whatever it left running is killed.

    Args:
        argv: the program and its arguments.
        hear: called with each piece of its standard output.
        name: how errors call it.
        timeout: seconds that it may take; then it is killed.
        env: its whole environment; None for ours.

    Raises:
        OSError: if it cannot be started.
        TimeoutError: if it took too long.
        HaltableError: if its status was not 0, or could not be known.
    """
    complaints = bytearray()

    def complain(chunk: bytes) -> None:
        complaints.extend(chunk)
        del complaints[:-_KEPT]

    end = time.monotonic() + timeout
    with _Stream(hear) as output, _Stream(complain) as errors:
        with ProcessGroup(
            argv, grace=0, output=output.writer, errors=errors.writer, env=env
        ) as child:
            output.close_writer()
            errors.close_writer()
            # Either may come first: a program can close its output and live on,
            # or leave somebody behind who never closes it.
            while child.status is None and not (output.ended and errors.ended):
                left = end - time.monotonic()
                if left <= 0:
                    break
                _wait((output, errors), min(left, _TICK))
            status = child.wait(max(0.0, end - time.monotonic()))
        if status is None:
            raise TimeoutError(f"{name} took more than {timeout:g} s and was killed")
        output.pass_rest()
        errors.pass_rest()
    if status:
        raise HaltableError(f"{name} {_in_words(status)}{_tail(bytes(complaints))}")


class _Stream:
    """Both ends of a pipe, and who hears what comes out of it."""

    def __init__(self, hear: Callable[[bytes], object]) -> None:
        self.reader, self.writer = os.pipe()
        os.set_blocking(self.reader, False)
        self.ended = False
        self._hear = hear
        self._writing = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close_writer()
        os.close(self.reader)

    def close_writer(self) -> None:
        if self._writing:
            self._writing = False
            os.close(self.writer)

    def pass_on(self) -> int:
        """Passes on some of what is there; returns how many bytes."""
        try:
            chunk = os.read(self.reader, _CHUNK)
        except BlockingIOError:
            return 0
        if chunk:
            self._hear(chunk)
        else:
            self.ended = True
        return len(chunk)

    def pass_rest(self) -> None:
        """Passes on what writers that are gone have left; others may go on for ever."""
        left = _LARGEST
        while left > 0 and (size := self.pass_on()):
            left -= size


def _wait(streams: Sequence[_Stream], seconds: float) -> None:
    poller = select.poll()  # Unlike `select.select` it takes any descriptor.
    readers = {stream.reader: stream for stream in streams if not stream.ended}
    for reader in readers:
        poller.register(reader, select.POLLIN)
    for reader, _ in poller.poll(math.ceil(seconds * 1000)):
        readers[reader].pass_on()


def _in_words(status: int) -> str:
    return f"ended with status {status}" if status > 0 else f"was killed by signal {-status}"


def _tail(complaints: bytes) -> str:
    words = " ".join(complaints.decode(errors="replace").split())
    return f": {words[-_TOLD:]}" if words else ""
