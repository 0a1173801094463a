# SPDX-License-Identifier: MIT
"""Gives an event to the log and to the sinks, and survives what they raise.

It knows events and sinks; a sink's failure is logged and goes no further, for
a listener must never decide a loop.
"""

from __future__ import annotations

from collections.abc import Sequence

from haltable.events import Event
from haltable.sink import Sink
from haltable.sinks.log import log_event, log_sink_failure

__all__ = ["tell"]


def tell(event: Event, sinks: Sequence[Sink]) -> None:
    """Gives the event to the log and to each sink."""
    log_event(event)
    for sink in sinks:
        try:
            sink(event)
        except Exception as error:
            log_sink_failure(sink, event, error)
