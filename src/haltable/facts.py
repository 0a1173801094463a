# SPDX-License-Identifier: MIT
"""The numbers that iterations of one run share, as a value.

It knows what they mean and not where they come from.
"""

from __future__ import annotations

from typing import Any

import attrs

from haltable.model import Outcome

__all__ = ["Facts"]


@attrs.frozen(eq=False)
class Facts:
    """What iterations share until a breaker, a failure or a write changes it.

    Args:
        base: starts of the key before this run.
        limit: how many starts are allowed in all, None if nobody counts them.
        key: the loop's key.
        fence: the version of the start's record.
        warnings: what breakers warned of so far.
        origin: the moment at which the loop's live seconds were zero.
        failures: failed iterations of this epoch.
        failures_in_row: how many of them are the most recent ones.
        extension: starts that an operator added to the cap.
        outcome: how an iteration ended that shares these with no other.
        result: what its body returned.
        error: the exception that left its body.
        effects_ran: how many effects this run has carried out.
        effects_replayed: how many it has replayed.
        began: the moment at which the iteration began, None if nobody looked.
    """

    base: int
    limit: int | None
    key: str | None
    fence: int
    warnings: tuple[str, ...]
    origin: float
    failures: int
    failures_in_row: int
    extension: int
    outcome: Outcome | None = None
    result: Any = None
    error: BaseException | None = None
    effects_ran: int = 0
    effects_replayed: int = 0
    began: float | None = None
