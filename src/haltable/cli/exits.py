# SPDX-License-Identifier: MIT
"""The exit codes, in one table, and which of them a report means.

It knows reports and numbers, and neither processes nor terminals.
"""

from __future__ import annotations

from typing import Any

from haltable.bodies import CommandFailed
from haltable.model import Status
from haltable.report import Report

__all__ = [
    "BUSY",
    "CAP",
    "ERROR",
    "FAILURES",
    "FINISHED",
    "GAVE_UP",
    "NOT_FOUND",
    "NOT_RUNNABLE",
    "STALL",
    "STOPPED",
    "SUCCESS",
    "TIME",
    "Refused",
    "code_of",
]

SUCCESS = 0
CAP, STALL, FAILURES, GAVE_UP, STOPPED, FINISHED, BUSY = range(90, 97)
TIME, ERROR, NOT_RUNNABLE, NOT_FOUND = range(124, 128)

#: What a breaker of the command means when it opens.  Others (a check that is
#: broken, a store, a run that was taken over) are errors.
_TRIPPED = {
    "IterationCap": CAP,
    "StallDetector": STALL,
    "FailureCap": FAILURES,
    "Deadline": TIME,
    "IdleTimeout": TIME,
}


class Refused(Exception):
    """The command cannot do what it was asked; nothing was started.

    Args:
        why: in one sentence.
        code: the exit code.
    """

    def __init__(self, why: str, code: int = ERROR) -> None:
        super().__init__(why)
        self.code = code


def code_of(report: Report[Any], *, refused: bool, signal: int | None) -> int:
    """Returns the exit code that a report means.

    Args:
        report: how the run ended.
        refused: whether the key had ended before, so that nothing ran.
        signal: the signal that asked the run to stop, None if none did.
    """
    if report.ok:
        return SUCCESS
    if refused:
        return FINISHED
    if report.breaker == "run" and signal is not None:
        return 128 + signal
    if report.status is Status.TRIPPED:
        return _TRIPPED.get(report.breaker, ERROR)
    if report.status is Status.GAVE_UP:
        return _given_up(report.error)
    return STOPPED if report.breaker == "operator" else ERROR


def _given_up(error: BaseException | None) -> int:
    if isinstance(error, CommandFailed) and error.why is not None:
        return error.status  # A shell's, for it could not be started.
    return GAVE_UP
