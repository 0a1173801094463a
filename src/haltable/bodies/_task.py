# SPDX-License-Identifier: MIT
"""What a keeper is asked to run, as a value.

It starts nothing; it only knows how the keeper wants to be told.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

__all__ = ["Task", "environment"]

#: What a task is told as; the keeper is told again only what differs from the last one.
Told = tuple[list[bytes], bytes | None, dict[bytes, bytes], float, dict[str, Any] | None]


@attrs.frozen
class Task:
    """A program, where and how it runs, and how it is ended.

    Args:
        argv: the program and its arguments.
        cwd: the directory it runs in; None for ours.
        env: its environment.
        numbers: what else it finds there, which differs from one to the next.
        grace: seconds from TERM to KILL, for what has to be ended.
        handed: descriptors of ours that it finds under the same numbers.
        apart: whether its standard error has a pipe of its own.
        confine: how it is confined, in JSON; None for not at all.
    """

    argv: Sequence[str]
    cwd: str | None = attrs.field(kw_only=True)
    env: Mapping[bytes, bytes] = attrs.field(kw_only=True, repr=False)
    numbers: Mapping[bytes, bytes] = attrs.field(factory=dict[bytes, bytes], kw_only=True)
    grace: float = attrs.field(kw_only=True)
    handed: tuple[int, ...] = attrs.field(default=(), kw_only=True)
    apart: bool = attrs.field(default=False, kw_only=True)
    confine: Mapping[str, Any] | None = attrs.field(default=None, kw_only=True)

    def told(self) -> Told:
        """Returns what the keeper is told of it, but for the numbers and the descriptors."""
        # The keeper may have another opinion of how names are encoded: it gets bytes.
        return (
            [os.fsencode(word) for word in self.argv],
            None if self.cwd is None else os.fsencode(self.cwd),
            dict(self.env),
            self.grace,
            None if self.confine is None else dict(self.confine),
        )


def environment(env: Mapping[str, str] | None) -> dict[bytes, bytes]:
    """Returns an environment as the system has it; ours for None."""
    if env is None:
        return dict(os.environb)
    return {os.fsencode(name): os.fsencode(value) for name, value in env.items()}
