# SPDX-License-Identifier: MIT
"""A child process and whatever it starts: a group that is waited for and ended as one.

The child leads a session of its own, so that the whole group can be signalled
and a terminal's Ctrl-C reaches nobody but us.  What leaves the group (another
``setsid``, another user) is out of reach here.  This room knows no loop, and
reads nothing of what a child says.

Two facts carry it.  A group's number is given to nobody else while the group
has a member, so one that was just seen may be signalled.  And a dead child is a
member until it is reaped, so it is reaped before the group is looked for.
"""

from __future__ import annotations

import math
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import anyio.abc

__all__ = ["aend", "end", "start", "wait"]

#: Seconds between two looks at a process: the first pause, doubled up to the last.
_SHORTEST, _LONGEST = 0.001, 0.05
#: Seconds that the kernel gets to carry out a KILL.
_SETTLE = 1.0


def start(
    argv: Sequence[str],
    *,
    output: int,
    cwd: str | None = None,
    env: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Starts a child that leads a group of its own, with no input.

    Args:
        argv: the program and its arguments.
        output: the descriptor for what it prints, or `subprocess.DEVNULL`.
        cwd: the directory it runs in; None for ours.
        env: its whole environment; None for ours.

    Raises:
        OSError: if it cannot be started.
    """
    return subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        cwd=cwd,
        env=env,
        start_new_session=True,
    )


def wait(process: subprocess.Popen[bytes], seconds: float = math.inf) -> bool:
    """Waits for the child itself; returns whether it ended within the seconds."""
    # In short pauses: an exception that another thread sets in this one (a
    # deadline, a stop) is raised between them, and never inside a long call.
    for pause in _pauses(seconds, time.monotonic):
        if process.poll() is not None:
            return True
        time.sleep(pause)
    return process.poll() is not None


def end(process: subprocess.Popen[bytes], grace: float) -> bool:
    """Ends what is left of the group: TERM, then KILL for what outlives the grace.

    An exception that cuts the grace short goes on after the KILL.

    Args:
        process: the child that leads the group.
        grace: seconds between the two.

    Returns:
        Whether nothing is left that may be signalled.
    """
    gone = _gone_within(process, 0)
    if gone:
        return True
    try:
        _signal(process.pid, signal.SIGTERM)
        gone = _gone_within(process, grace)
    finally:
        if not gone:
            _signal(process.pid, signal.SIGKILL)
            gone = _gone_within(process, _SETTLE)
    return gone


async def aend(process: anyio.abc.Process, grace: float) -> bool:
    """Does the same as `end` without blocking the event loop; shielded from cancellation."""
    import anyio

    with anyio.CancelScope(shield=True):
        gone = await _agone_within(process, 0)
        if gone:
            return True
        try:
            _signal(process.pid, signal.SIGTERM)
            gone = await _agone_within(process, grace)
        finally:
            if not gone:
                _signal(process.pid, signal.SIGKILL)
                gone = await _agone_within(process, _SETTLE)
        return gone


def _gone_within(process: subprocess.Popen[bytes], seconds: float) -> bool:
    for pause in _pauses(seconds, time.monotonic):
        if process.poll() is not None and not _signal(process.pid, 0):
            return True
        time.sleep(pause)
    return process.poll() is not None and not _signal(process.pid, 0)


async def _agone_within(process: anyio.abc.Process, seconds: float) -> bool:
    import anyio

    for pause in _pauses(seconds, anyio.current_time):
        if process.returncode is not None and not _signal(process.pid, 0):
            return True
        await anyio.sleep(pause)
    return process.returncode is not None and not _signal(process.pid, 0)


def _pauses(seconds: float, now: Callable[[], float]) -> Iterator[float]:
    deadline, pause = now() + seconds, _SHORTEST
    while (left := deadline - now()) > 0:
        yield min(pause, left)
        pause = min(2 * pause, _LONGEST)


def _signal(group: int, number: int) -> bool:
    """Signals the group; returns whether it has a member that we may signal."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True
