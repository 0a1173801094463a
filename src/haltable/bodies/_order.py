# SPDX-License-Identifier: MIT
"""One order to the keeper, with the descriptors that came with it.

It knows what an order holds, and neither the line that it came by nor how it is
carried out.  The keeper loads it, so that it loads little.
"""

from __future__ import annotations

import marshal
import os

TYPE_CHECKING = False  # Importing `typing` would be a sixth of the keeper's start.
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Order"]


class Order:
    """One order, until it is carried out.

    Attributes:
        number: which it is, of all that came.
        numbers: what is added to the environment.
        here: the descriptor of the directory to start from.
        streams: those for the output and for the errors.
        task: the task, if it is not that of the order before.
        ending: whether it is to be ended.
        at_once: whether without grace.
    """

    def __init__(self, message: dict[str, Any], came: list[int]) -> None:
        self.number: int = message["order"]
        self.numbers: dict[bytes, bytes] = message["numbers"]
        named = dict(zip(message["names"], came, strict=True))
        self.here = named["here"]
        output: int = named["output"]
        self.streams = output, named.get("errors", output)
        self.task: tuple[Any, ...] | None = None
        if "task" in named:
            with open(named["task"], "rb", closefd=False) as file:
                self.task = marshal.loads(file.read())
        self.ending = self.at_once = False
        self._came = came

    def close(self) -> None:
        """Closes the descriptors that came with it."""
        for descriptor in self._came:
            os.close(descriptor)
        self._came = []
