# SPDX-License-Identifier: MIT
"""What a command that has ended leaves behind, as a value.

It knows no process: whoever ran the command fills it in.
"""

from __future__ import annotations

import attrs

__all__ = ["Completed"]


@attrs.frozen
class Completed:
    """How a command ended, and what it said.

    Args:
        argv: the program and its arguments.
        status: its exit status; of one that a signal killed, the signal's
            number below zero.
        output: what it wrote to standard output and standard error, in the
            order in which it came.  If that was too much, a line in the middle
            says how much was left out.
        left_out: how many bytes that is.
    """

    argv: tuple[str, ...]
    status: int
    output: bytes = attrs.field(repr=lambda output: f"<{len(output)} bytes>")
    left_out: int = 0

    @property
    def truncated(self) -> bool:
        """Whether the output was too much to be kept whole."""
        return self.left_out > 0

    @property
    def signal(self) -> int | None:
        """The signal that killed it; None if it exited by itself."""
        return -self.status if self.status < 0 else None

    @property
    def text(self) -> str:
        """The output as text; what is no UTF-8 is replaced."""
        return self.output.decode(errors="replace")
