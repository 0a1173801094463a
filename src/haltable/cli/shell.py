# SPDX-License-Identifier: MIT
"""A line of shell as a condition: it holds when it exits with status 0.

It knows processes and seconds, and no loop.
"""

from __future__ import annotations

import shlex

from haltable._process_group import ProcessGroup
from haltable.errors import HaltableError
from haltable.probe import Condition, Due

__all__ = ["ShellCondition"]

#: What a shell says of a program that cannot be run, or is not there.
_NOT_RUN = {126: "cannot be run", 127: "is not there"}


class ShellCondition(Condition):
    """Holds when a line of shell exits with status 0, whatever it prints.

    One whose program is not there, or that takes too long and is killed, is a
    fault: a check that cannot be made must not read as "not yet".

    Args:
        option: the option that it was given to.
        line: what the shell is told.
        timeout: seconds that it may take.
    """

    due = Due.ALWAYS
    #: It waits for a child.
    blocks = True

    def __init__(self, option: str, line: str, timeout: float) -> None:
        self._option, self._line, self._timeout = option, line, timeout

    def holds(self, subject: object) -> bool:
        """Runs it."""
        del subject
        with ProcessGroup(["sh", "-c", self._line], grace=0) as child:
            status = child.wait(self._timeout)
        if status is None:
            raise TimeoutError(f"{self} took more than {self._timeout:g} s and was killed")
        if status in _NOT_RUN:
            raise HaltableError(f"{self}: a program in it {_NOT_RUN[status]} (status {status})")
        return status == 0

    def __str__(self) -> str:
        return f"--{self._option} {shlex.quote(self._line)}"
