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
from types import TracebackType
from typing import Self, overload

import attrs

from haltable.errors import ConfigurationError, HaltableError

__all__ = [
    "SETTLE",
    "ProcessGroup",
    "check_statuses",
    "checked",
    "children",
    "is_alive",
    "pauses",
    "signal_group",
]

#: Seconds that the kernel gets to carry out a KILL.
SETTLE = 1.0
#: Seconds between two looks at a process: the first pause, doubled up to the last.
_SHORTEST, _LONGEST = 0.001, 0.05
#: Where Linux shows processes, and the states of those that are dead.
_PROC, _DEAD = Path("/proc"), (b"Z", b"X", b"x")


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


@attrs.define(eq=False)
class ProcessGroup:
    """A child without input that leads a group of its own, as a context.

    Entering starts the child.  Leaving, in whatever way, ends what is left of
    the group: TERM, then KILL for what outlives the grace.  An exception that
    cuts the grace short goes on after the KILL.

    Args:
        argv: the program and its arguments.
        grace: seconds from TERM to KILL.
        output: the descriptor for what it prints; thrown away by default.
        errors: one for what it prints to its standard error; None for the same.
        cwd: the directory it runs in; None for ours.
        env: its whole environment; None for ours.

    Raises:
        OSError: on entering, if it cannot be started.
        HaltableError: on entering, if its status could not be known.
    """

    argv: Sequence[str]
    grace: float = attrs.field(kw_only=True)
    output: int = attrs.field(default=subprocess.DEVNULL, kw_only=True)
    errors: int | None = attrs.field(default=None, kw_only=True)
    cwd: str | None = attrs.field(default=None, kw_only=True)
    env: Mapping[str, str] | None = attrs.field(default=None, kw_only=True)
    _process: subprocess.Popen[bytes] = attrs.field(init=False)

    def __enter__(self) -> Self:
        check_statuses()
        before = children()
        try:
            with Path(os.devnull).open("rb") as nothing:
                self._process = subprocess.Popen(
                    self.argv,
                    stdin=nothing,
                    stdout=self.output,
                    stderr=self.output if self.errors is None else self.errors,
                    cwd=self.cwd,
                    env=self.env,
                    start_new_session=True,
                )
        except BaseException:
            # What a signal or another thread raises here may come when the child
            # is born and nobody has been told its number yet.
            for newborn in children() - before:
                signal_group(newborn, signal.SIGKILL)
                os.kill(newborn, signal.SIGKILL)  # It may not lead its group yet.
                os.waitpid(newborn, 0)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end()

    @property
    def status(self) -> int | None:
        """The child's exit status, below zero the signal that killed it; None while it runs."""
        return self._process.poll()

    @overload
    def wait(self) -> int: ...
    @overload
    def wait(self, seconds: float) -> int | None: ...
    def wait(self, seconds: float = math.inf) -> int | None:
        """Waits for the child itself, so long at most; returns its `status`."""
        # In short pauses: an exception that another thread sets in this one (a
        # deadline, a stop) is raised between them, and never inside a long call.
        for pause in pauses(seconds, time.monotonic):
            if self.status is not None:
                break
            time.sleep(pause)
        return self.status

    def _end(self) -> None:
        group, gone = self._process.pid, False
        try:
            gone = self._gone_within(0)
            if not gone:
                signal_group(group, signal.SIGTERM)
                gone = self._gone_within(self.grace)
        finally:
            if not gone:
                signal_group(group, signal.SIGKILL)
                self._gone_within(SETTLE)

    def _gone_within(self, seconds: float) -> bool:
        for pause in pauses(seconds, time.monotonic):
            if self._is_gone():
                return True
            time.sleep(pause)
        return self._is_gone()

    def _is_gone(self) -> bool:
        return self.status is not None and not is_alive(self._process.pid)


def check_statuses() -> None:
    """Raises `HaltableError` if this process cannot learn how its children end."""
    # The kernel then forgets them, and every failure would be read as a success.
    if signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:
        raise HaltableError(
            "SIGCHLD is ignored in this process, so that no child's status is kept; "
            "set it to signal.SIG_DFL"
        )


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


def children() -> set[int]:
    """Returns the children of this very thread, as far as the system can say."""
    try:
        return {int(pid) for pid in (_PROC / "thread-self/children").read_text().split()}
    except FileNotFoundError:
        return set()


def _has_living_member(group: int) -> bool:
    # An orphan that has died is a member until init reaps it, and in many a
    # container that is late or never.  Where /proc cannot tell, it counts.
    if not (_PROC / "self").exists():
        return True
    return any(_lives_in(group, process) for process in _PROC.glob("[0-9]*"))


def _lives_in(group: int, process: Path) -> bool:
    try:
        # After the name, which may hold anything: state, parent, group.
        state, _, own, *_ = (process / "stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return False
    return int(own) == group and state not in _DEAD
