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
from pathlib import Path

from haltable.errors import ConfigurationError

__all__ = ["SETTLE", "checked", "end", "is_alive", "pauses", "signal_group", "start", "wait"]

#: Seconds that the kernel gets to carry out a KILL.
SETTLE = 1.0
#: Seconds between two looks at a process: the first pause, doubled up to the last.
_SHORTEST, _LONGEST = 0.001, 0.05
_DEAD = (b"Z", b"X", b"x")


def checked(argv: Sequence[str | os.PathLike[str]], caller: str) -> tuple[str, ...]:
    """Returns a program and its arguments as strings.

    Raises:
        ConfigurationError: if they are anything else, a shell's line above all.
    """
    try:
        words = () if isinstance(argv, str) else tuple(os.fspath(word) for word in argv)
        if words and words[0] and "\0" not in "".join(words):
            return words
    except TypeError:
        pass  # No sequence, or not of strings.
    raise ConfigurationError(
        f"{caller}({argv!r}): give the program and its arguments as a list of strings without "
        'NUL; for a line of shell, ["sh", "-c", line]'
    )


def start(
    argv: Sequence[str],
    *,
    output: int = subprocess.DEVNULL,
    cwd: str | None = None,
    env: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Starts a child that leads a group of its own, with no input.

    Args:
        argv: the program and its arguments.
        output: the descriptor for what it prints; it is thrown away by default.
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
    for pause in pauses(seconds, time.monotonic):
        if process.poll() is not None:
            return True
        time.sleep(pause)
    return process.poll() is not None


def end(process: subprocess.Popen[bytes], grace: float) -> None:
    """Ends what is left of the group: TERM, then KILL for what outlives the grace.

    An exception that cuts the grace short goes on after the KILL.

    Args:
        process: the child that leads the group.
        grace: seconds between the two.
    """
    if _gone_within(process, 0):
        return
    gone = False
    try:
        signal_group(process.pid, signal.SIGTERM)
        gone = _gone_within(process, grace)
    finally:
        if not gone:
            signal_group(process.pid, signal.SIGKILL)
            _gone_within(process, SETTLE)


def pauses(seconds: float, now: Callable[[], float]) -> Iterator[float]:
    """Yields how long to pause before each next look, until the seconds have passed."""
    deadline, pause = now() + seconds, _SHORTEST
    while (left := deadline - now()) > 0:
        yield min(pause, left)
        pause = min(2 * pause, _LONGEST)


def is_alive(group: int) -> bool:
    """Says whether the group has a member that is not dead, and that we may signal."""
    return signal_group(group, 0) and _has_living_member(group)


def signal_group(group: int, number: int) -> bool:
    """Signals the group; returns whether it has a member that we may signal."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _has_living_member(group: int) -> bool:
    # An orphan that has died is a member until init reaps it, and in many a
    # container that is late or never.  Where /proc cannot tell, it counts.
    processes = Path("/proc")
    if not (processes / "self").exists():
        return True
    return any(_lives_in(group, process) for process in processes.glob("[0-9]*"))


def _lives_in(group: int, process: Path) -> bool:
    try:
        # After the name, which may hold anything: state, parent, group.
        state, _, own, *_ = (process / "stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return False
    return int(own) == group and state not in _DEAD


def _gone_within(process: subprocess.Popen[bytes], seconds: float) -> bool:
    for pause in pauses(seconds, time.monotonic):
        if process.poll() is not None and not is_alive(process.pid):
            return True
        time.sleep(pause)
    return process.poll() is not None and not is_alive(process.pid)
