# SPDX-License-Identifier: MIT
"""Circuit breakers for loops: every loop you wrap halts, for a reason you declared.

The face of the package and nothing else: each name has one home, and is fetched
from there when it is first asked for, so that importing haltable loads no event
loop, no database and nothing that is not used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from haltable._context import current as current
    from haltable.backoff import Backoff as Backoff
    from haltable.bounded import bounded_loop as bounded_loop
    from haltable.breaker import Breaker as Breaker
    from haltable.breakers.deadline import Deadline as Deadline
    from haltable.breakers.exit_condition import ExitCondition as ExitCondition
    from haltable.breakers.iteration_cap import IterationCap as IterationCap
    from haltable.breakers.stall_detector import StallDetector as StallDetector
    from haltable.errors import (
        ConfigurationError as ConfigurationError,
        EffectFailed as EffectFailed,
        EffectHeld as EffectHeld,
        HaltableError as HaltableError,
        LeaseLost as LeaseLost,
        LoopBusy as LoopBusy,
        LoopInterrupt as LoopInterrupt,
        OutcomeUnknown as OutcomeUnknown,
        PayloadMismatch as PayloadMismatch,
        ResultNotStored as ResultNotStored,
        StoreError as StoreError,
        UnboundedLoopError as UnboundedLoopError,
    )
    from haltable.guard import IdempotencyGuard as IdempotencyGuard
    from haltable.iteration import Iteration as Iteration
    from haltable.loop import Loop as Loop
    from haltable.memory import remembered as remembered
    from haltable.model import (
        Done as Done,
        GiveUp as GiveUp,
        Status as Status,
        Trip as Trip,
        Warn as Warn,
    )
    from haltable.operator import Operator as Operator
    from haltable.poller import Poller as Poller
    from haltable.poller_report import PollerReport as PollerReport
    from haltable.report import (
        LoopGaveUp as LoopGaveUp,
        LoopHalted as LoopHalted,
        LoopStopped as LoopStopped,
        LoopTripped as LoopTripped,
        Report as Report,
    )
    from haltable.run import Run as Run
    from haltable.stores.memory import MemoryStore as MemoryStore
    from haltable.stores.sqlite import SQLiteStore as SQLiteStore

__version__ = "0.1.0"

__all__ = [
    "Backoff",
    "Breaker",
    "ConfigurationError",
    "Deadline",
    "Done",
    "EffectFailed",
    "EffectHeld",
    "ExitCondition",
    "GiveUp",
    "HaltableError",
    "IdempotencyGuard",
    "Iteration",
    "IterationCap",
    "LeaseLost",
    "Loop",
    "LoopBusy",
    "LoopGaveUp",
    "LoopHalted",
    "LoopInterrupt",
    "LoopStopped",
    "LoopTripped",
    "MemoryStore",
    "Operator",
    "OutcomeUnknown",
    "PayloadMismatch",
    "Poller",
    "PollerReport",
    "Report",
    "ResultNotStored",
    "Run",
    "SQLiteStore",
    "StallDetector",
    "Status",
    "StoreError",
    "Trip",
    "UnboundedLoopError",
    "Warn",
    "bounded_loop",
    "current",
    "remembered",
]

_HOMES = {
    "Backoff": "haltable.backoff",
    "Breaker": "haltable.breaker",
    "ConfigurationError": "haltable.errors",
    "Deadline": "haltable.breakers.deadline",
    "Done": "haltable.model",
    "EffectFailed": "haltable.errors",
    "EffectHeld": "haltable.errors",
    "ExitCondition": "haltable.breakers.exit_condition",
    "GiveUp": "haltable.model",
    "HaltableError": "haltable.errors",
    "IdempotencyGuard": "haltable.guard",
    "Iteration": "haltable.iteration",
    "IterationCap": "haltable.breakers.iteration_cap",
    "LeaseLost": "haltable.errors",
    "Loop": "haltable.loop",
    "LoopBusy": "haltable.errors",
    "LoopGaveUp": "haltable.report",
    "LoopHalted": "haltable.report",
    "LoopInterrupt": "haltable.errors",
    "LoopStopped": "haltable.report",
    "LoopTripped": "haltable.report",
    "MemoryStore": "haltable.stores.memory",
    "Operator": "haltable.operator",
    "OutcomeUnknown": "haltable.errors",
    "PayloadMismatch": "haltable.errors",
    "Poller": "haltable.poller",
    "PollerReport": "haltable.poller_report",
    "Report": "haltable.report",
    "ResultNotStored": "haltable.errors",
    "Run": "haltable.run",
    "SQLiteStore": "haltable.stores.sqlite",
    "StallDetector": "haltable.breakers.stall_detector",
    "Status": "haltable.model",
    "StoreError": "haltable.errors",
    "Trip": "haltable.model",
    "UnboundedLoopError": "haltable.errors",
    "Warn": "haltable.model",
    "bounded_loop": "haltable.bounded",
    "current": "haltable._context",
    "remembered": "haltable.memory",
}


if not TYPE_CHECKING:  # Or checkers would believe that every name is there.

    def __getattr__(name: str) -> object:
        home = _HOMES.get(name)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(home), name)
        globals()[name] = value  # The next look-up finds it without asking here.
        return value


def __dir__() -> list[str]:
    return [*__all__]
