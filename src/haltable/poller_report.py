# SPDX-License-Identifier: MIT
"""What a poller did, and why it ended: a frozen value.

It counts steps of other loops and knows none of them: what became of one key is
in that key's own report, and in the store.
"""

from __future__ import annotations

import attrs

from haltable.errors import in_words
from haltable.model import Status
from haltable.prose import filled, in_seconds, joined, prose

__all__ = ["PollerReport"]


@attrs.frozen(eq=False)
class PollerReport:
    """What a poller did, and why it ended; so far, while it runs.

    Args:
        status: `Status.SUCCEEDED` if ``until`` held, `Status.STOPPED` if it was
            stopped, `Status.TRIPPED` if something else ended it, and
            `Status.OPEN` while it runs.
        breaker: what ended it: ``until``, ``stop``, ``seconds``, ``ready``,
            ``store``, or ``outer``, a run around it; empty while it runs.
        reason: why, in words.
        polls: how often ``ready`` answered.
        attempts: bodies started.
        succeeded: keys whose success was the end of an attempt.
        dead: keys that an attempt ended otherwise: what `Poller.dead_letters` lists.
        ended_before: tasks that were handed out although their key had ended.
        early: tasks that were handed out before their ``retry_after`` had passed.
        busy: tasks that somebody else was at.
        refused: tasks for which no loop could be made; nothing was started for them.
        ready_failures: how often ``ready`` raised.
        store_failures: steps that the store could not serve.
        in_air: attempts that are running.
        idle: whether the last poll brought nothing that could still be done,
            and nothing is in the air.
        elapsed: seconds since the poller began.
        error: the last exception of ``ready``, of ``until``, of the store, or
            of a refused task.
    """

    status: Status
    breaker: str
    reason: str
    polls: int
    attempts: int
    succeeded: int
    dead: int
    ended_before: int
    early: int
    busy: int
    refused: int
    ready_failures: int
    store_failures: int
    in_air: int
    idle: bool
    elapsed: float
    error: BaseException | None

    @property
    def ok(self) -> bool:
        """Whether ``until`` held."""
        return self.status is Status.SUCCEEDED

    def __str__(self) -> str:
        who = f"{self.breaker}: " if self.breaker else ""
        lines = prose(f"{self.status.name}  poller   ", who + self.reason)
        counts = {
            "succeeded": self.succeeded,
            "dead": self.dead,
            "ended before": self.ended_before,
            "early": self.early,
            "busy": self.busy,
            "refused": self.refused,
            "failures of ready()": self.ready_failures,
            "failures of the store": self.store_failures,
            "in the air": self.in_air,
        }
        words = [f"polls {self.polls}", f"attempts {self.attempts}"]
        words += [f"{what} {count}" for what, count in counts.items() if count]
        lines += filled("  ", [*words, f"alive {in_seconds(self.elapsed)}"], " · ")
        if self.error is not None:
            lines += prose("  last error ", in_words(self.error))
        if self.dead:
            lines.append("  next: poller.dead_letters()")
        return joined(lines)
