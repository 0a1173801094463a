# SPDX-License-Identifier: MIT
"""The log: every event as a line of the standard library's logging.

It is always on and costs nothing below its level: ends without success are
warnings, once; everything else is debug or info.  The logger is called ``haltable``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from haltable.events import BreakerWarned, Event, RunEnded, VerdictFell
from haltable.model import Status

if TYPE_CHECKING:
    from logging import Logger

    from haltable.sink import Sink

__all__ = [
    "log_event",
    "log_listener_failure",
    "log_refused_task",
    "log_sink_failure",
    "log_store_failure",
    "log_watch_failure",
]


def log_event(event: Event) -> None:
    """Writes the event as one line, at the level that fits it."""
    import logging  # The light door: a loop that only succeeds never loads it.

    level = logging.DEBUG
    if isinstance(event, (BreakerWarned, VerdictFell)):
        level = logging.WARNING
    elif isinstance(event, RunEnded):
        # Who asks for an ended key again and again, as a poller may, was warned once.
        quiet = event.refused or event.ruling.status in (Status.SUCCEEDED, Status.OPEN)
        level = logging.INFO if quiet and event.ruling.breaker != "store" else logging.WARNING
    logger = _logger()
    if not logger.isEnabledFor(level):
        return
    if isinstance(event, RunEnded):
        logger.log(
            level,
            "%s %s: %s: %s (starts %d, failures %d, alive %.1f s)",
            event.loop,
            event.ruling.status,
            event.ruling.breaker,
            event.ruling.reason,
            event.starts,
            event.failures,
            event.elapsed,
        )
    else:
        logger.log(level, "%s", event)


def log_sink_failure(sink: Sink, event: Event, error: Exception) -> None:
    """Writes that a sink raised; the loop went on."""
    _logger().error("sink %r raised on %s", sink, type(event).__name__, exc_info=error)


def log_watch_failure(loop: str, error: Exception) -> None:
    """Writes that a look at a long-running loop's record failed; the next one is soon."""
    _logger().warning("%s: could not look at its record: %s", loop, error)


def log_listener_failure(listener: object, error: Exception) -> None:
    """Writes that what a poller told of an end to raised; the poller went on."""
    _logger().error("ended=%r raised", listener, exc_info=error)


def log_refused_task(key: str, error: Exception) -> None:
    """Writes that a poller could make no attempt of a task; it went on with others."""
    _logger().error("task %r: no attempt was made", key, exc_info=error)


def log_store_failure(key: str, error: object) -> None:
    """Writes that the store failed before a poller's attempt began; the poller comes again."""
    _logger().warning("task %r: the store failed: %s: %s", key, type(error).__name__, error)


def _logger() -> Logger:
    import logging

    return logging.getLogger("haltable")
