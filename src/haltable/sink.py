# SPDX-License-Identifier: MIT
"""The contract for who hears of events: any callable that takes one.

A sink knows events and nothing of runs.  What it raises is logged and never
reaches the loop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from haltable.events import Event

__all__ = ["Sink"]

#: Called with each event, on the thread or task that runs the loop; it should be quick.
Sink: TypeAlias = Callable[[Event], object]
