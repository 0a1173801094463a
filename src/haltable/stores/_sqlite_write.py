# SPDX-License-Identifier: MIT
"""One write that a thread wants done, in words that another thread can act by.

It knows a statement and its parameters; not what they mean, nor who does it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import attrs

__all__ = ["Write"]

Answer = TypeVar("Answer")


@attrs.frozen(eq=False)
class Write(Generic[Answer]):
    """One compare-and-set, as one thread wants it done.

    Args:
        act: what is tried, as ``"write 'key'"``.
        statement: changes one row, or none.
        before: the statement's parameters that come before the time of the write.
        after: those that come after it.
        written: the answer if it changed a row and is committed.
        alone: does it by itself, whatever the others do, and returns the answer.
    """

    act: str
    statement: str
    before: tuple[Any, ...]
    after: tuple[Any, ...]
    written: Answer
    alone: Callable[[], Answer]
