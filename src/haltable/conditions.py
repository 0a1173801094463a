# SPDX-License-Identifier: MIT
"""Ready-made conditions for `haltable.ExitCondition`, to be composed with ``|`` and ``&``.

Each looks at one thing, the iteration's end or the world, when it is asked.
None knows a loop, and none remembers anything.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from haltable.errors import ConfigurationError
from haltable.poller_report import PollerReport
from haltable.probe import Condition, Due
from haltable.quantity import check_seconds

__all__ = ["command_succeeds", "file_exists", "idle", "never", "raised", "returned"]


class _Returned(Condition):
    due = Due.RETURN

    def holds(self, subject: object) -> bool:
        del subject
        return True

    def __str__(self) -> str:
        return "returned"


class _Never(Condition):
    #: No moment at all: nobody needs to ask.
    due = Due(0)

    def holds(self, subject: object) -> bool:
        del subject
        return False

    def __str__(self) -> str:
        return "never"


class _Idle(Condition):
    #: A poller asks with its report so far; of a loop's iteration it never holds.
    due = Due.RETURN

    def holds(self, subject: object) -> bool:
        return isinstance(subject, PollerReport) and subject.idle

    def __str__(self) -> str:
        return "idle"


class _Raised(Condition):
    due = Due.FAILURE

    def __init__(self, types: tuple[type[Exception], ...]) -> None:
        self._types = types

    def holds(self, subject: object) -> bool:
        return isinstance(subject, self._types)

    def __str__(self) -> str:
        return f"raised({', '.join(each.__name__ for each in self._types)})"


class _FileExists(Condition):
    due = Due.ALWAYS

    def __init__(self, path: Path) -> None:
        self._path = path

    def holds(self, subject: object) -> bool:
        del subject
        try:
            # Not `exists`, which in some versions takes "may not look" for "is not there".
            self._path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def __str__(self) -> str:
        return f"file_exists({self._path})"


class _CommandSucceeds(Condition):
    due = Due.ALWAYS
    #: It waits for a child: async drivers ask it in a worker thread.
    blocks = True

    def __init__(self, argv: tuple[str, ...], timeout: float) -> None:
        self._argv = argv
        self._timeout = timeout

    def holds(self, subject: object) -> bool:
        from haltable._process_group import ProcessGroup  # Only who asks pays for it.

        del subject
        with ProcessGroup(self._argv, grace=0) as child:
            status = child.wait(self._timeout)
        if status is None:
            raise TimeoutError(f"{self} took more than {self._timeout:g} s and was killed")
        return status == 0

    def __str__(self) -> str:
        return f"command_succeeds({shlex.join(self._argv)})"


#: Holds when an iteration returned, whatever its result: "try until it works once".
returned: Condition = _Returned()

#: Never holds: "go on until something else ends the loop".
never: Condition = _Never()

#: Holds when a `haltable.Poller` has nothing to do: its source brings nothing that could still be
#: done, and nothing is in the air.
idle: Condition = _Idle()


def raised(*types: type[Exception]) -> Condition:
    """Holds when an iteration failed with an exception of one of these types.

    Args:
        *types: at least one; subclasses count too.

    Raises:
        ConfigurationError: if there is none, or one is no subclass of
            `Exception` (others end a run and are no failure).

    Example:
        >>> from haltable import ExitCondition, IterationCap, Loop
        >>> from haltable.conditions import raised
        >>> def fetch():
        ...     raise PermissionError("account closed")
        >>> Loop(IterationCap(9), ExitCondition(give_up=raised(PermissionError))).run(fetch).starts
        1
    """
    if not types:
        raise ConfigurationError("raised(): give at least one type of exception")
    for each in types:
        _check_exception(each)
    return _Raised(types)


def file_exists(path: str | os.PathLike[str]) -> Condition:
    """Holds when there is something at the path, a file or a directory.

    A link counts as what it leads to.  If the path cannot be looked at, the
    `OSError` is the condition's fault and ends the loop.

    Args:
        path: where to look; a relative one from the current directory of the time.

    Raises:
        ConfigurationError: if it is no path, or an empty one.
    """
    try:
        if os.fspath(path):
            return _FileExists(Path(path))
    except TypeError:
        pass  # No path, or one of bytes.
    raise ConfigurationError(f"file_exists({path!r}): give a path that is not empty")


def command_succeeds(
    command: Sequence[str | os.PathLike[str]], *, timeout: float = 60
) -> Condition:
    """Holds when a command exits with status 0.

    It runs without input, in a process group of its own; what it prints is
    thrown away, and what it leaves running is killed.  One that cannot be
    started, or that takes too long and is killed, is a fault and ends the loop.

    Args:
        command: the program and its arguments; never a line for a shell.
        timeout: how long it may take, in seconds, above 0.

    Raises:
        ConfigurationError: if an argument is not as described above.

    Example:
        >>> from haltable.conditions import command_succeeds
        >>> print(command_succeeds(["pytest", "-q"]) | command_succeeds(["sh", "-c", "exit 1"]))
        command_succeeds(pytest -q) or command_succeeds(sh -c 'exit 1')
    """
    from haltable._process_group import checked  # Only who asks pays for it.

    check_seconds("timeout", timeout, of="command_succeeds")
    return _CommandSucceeds(checked(command, "command_succeeds"), timeout)


def _check_exception(each: Any) -> None:
    if not (isinstance(each, type) and issubclass(each, Exception)):
        raise ConfigurationError(
            f"raised({each!r}): give types of exceptions that derive from Exception"
        )
