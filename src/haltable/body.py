# SPDX-License-Identifier: MIT
"""The contract for bodies that are more than a function.

Any callable is a body.  One that works both for ``run`` and for ``arun`` (a
child process, say) is a `Body`: the sync drivers call it, the async drivers
await its `acall`.  It knows its iteration and nothing of the run.
"""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Any

from haltable.iteration import Iteration

__all__ = ["Body"]


class Body(abc.ABC):
    """A body that can be run by the sync and by the async drivers.

    What `__call__` or `acall` returns is the iteration's result; an `Exception`
    that it raises is the iteration's failure.
    """

    @abc.abstractmethod
    def __call__(self, iteration: Iteration) -> Any:
        """Does one iteration's work and returns its result."""

    @abc.abstractmethod
    async def acall(self, iteration: Iteration) -> Any:
        """Does the same without blocking the event loop."""

    def kept_from(self, files: Sequence[str]) -> Body:
        """Returns the body for a loop whose store keeps these files; by default the same.

        It is asked once, before the first iteration of a run; `close` is called
        on what it returns, after the last.

        Args:
            files: what a body that can be confined is to be kept from.

        Raises:
            ConfigurationError: if it is to be confined and cannot be kept from them.
        """
        del files
        return self

    def close(self) -> None:
        """Gives back what it held for its run, if anything; by default nothing.

        It is called once by each run that the body was for, however that ended,
        by sync and by async drivers: it takes no longer than a moment.
        """
