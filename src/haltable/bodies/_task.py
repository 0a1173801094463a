# SPDX-License-Identifier: MIT
"""What a keeper is asked to run, as a value.

It starts nothing; it only knows how the keeper wants to be told.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

__all__ = ["Task"]


@attrs.frozen
class Task:
    """A program, where and how it runs, and how it is ended.

    Args:
        argv: the program and its arguments.
        cwd: the directory it runs in; None for ours.
        env: its whole environment.
        grace: seconds from TERM to KILL, for what has to be ended.
        handed: descriptors of ours that it finds under the same numbers.
        apart: whether its standard error has a pipe of its own.
        confine: how it is confined, in JSON; None for not at all.
    """

    argv: Sequence[str]
    cwd: str | None = attrs.field(kw_only=True)
    env: Mapping[str, str] = attrs.field(kw_only=True, repr=False)
    grace: float = attrs.field(kw_only=True)
    handed: tuple[int, ...] = attrs.field(default=(), kw_only=True)
    apart: bool = attrs.field(default=False, kw_only=True)
    confine: Mapping[str, Any] | None = attrs.field(default=None, kw_only=True)

    def instructions(self, *, lifeline: int, report: int) -> bytes:
        """Returns what the keeper reads before anything else.

        Args:
            lifeline: the descriptor whose end asks the keeper to end all.
            report: the descriptor on which it reports.
        """
        return json.dumps(
            {
                "argv": [_by_bytes(word) for word in self.argv],
                "cwd": None if self.cwd is None else _by_bytes(self.cwd),
                "env": {_by_bytes(name): _by_bytes(value) for name, value in self.env.items()},
                "grace": self.grace,
                "handed": self.handed,
                "confine": self.confine,
                "lifeline": lifeline,
                "report": report,
                "parent": os.getpid(),
            }
        ).encode()


def _by_bytes(text: str) -> str:
    # The keeper may have another opinion of how names are encoded: it gets bytes.
    return os.fsencode(text).decode("latin-1")
