# SPDX-License-Identifier: MIT
"""An iteration's numbers, apart from its verbs: for a body that gets other verbs.

They are plain values, which JSON can carry.  What the verbs are it does not know.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from haltable.facts import Facts
from haltable.iteration import Iteration, Verbs

__all__ = ["numbers_of", "with_numbers"]


def numbers_of(iteration: Iteration) -> dict[str, Any]:
    """Returns what an iteration shows before its body has begun."""
    remaining = iteration.remaining
    return {
        "starts": iteration.starts,
        "base": iteration.starts - iteration.number,
        "limit": None if remaining is None else iteration.starts + remaining,
        "key": iteration.key,
        "fence": iteration.fence,
        "warnings": [*iteration.warnings],
        "elapsed": iteration.elapsed,
        "failures": iteration.failures,
        "failures_in_row": iteration.failures_in_row,
        "extension": iteration.extension,
        "effects_ran": iteration.effects_ran,
        "effects_replayed": iteration.effects_replayed,
    }


def with_numbers(numbers: Mapping[str, Any], verbs: Verbs) -> Iteration:
    """Returns an iteration with these numbers and these verbs."""
    facts = {name: value for name, value in numbers.items() if name not in {"starts", "elapsed"}}
    facts["warnings"] = tuple(facts["warnings"])
    return Iteration(verbs, Facts(origin=0.0, **facts), numbers["starts"], numbers["elapsed"])
