# SPDX-License-Identifier: MIT
"""What a poller remembers of keys and counts, and when it polls again.

1. Time is cut into rounds of one interval.  A key that an attempt has left open
   is not attempted again before the next round, or before its ``retry_after``.
2. What had its attempt, or cannot have one now, is skipped; who brings nothing
   else is asked again in the next round, also if only a look into the store told
   so.  So nobody is starved, and nothing spins.
3. All memory is bounded.  What is forgotten costs a look into the store, which
   knows better anyway.

It knows how steps ended, and no loop, source, thread or clock.
"""

from __future__ import annotations

from collections import OrderedDict

import attrs

from haltable.backoff import Backoff
from haltable.errors import LoopBusy
from haltable.model import Status
from haltable.poller_report import PollerReport

__all__ = ["LOOK_AGAIN", "MEMORY", "SLIPS", "Landing", "Rounds"]

#: So many keys are remembered.
MEMORY = 10_000
#: Seconds after which a key that had ended is looked at again, for an operator may reopen it.
LOOK_AGAIN = 30.0
#: So many rounds in a row may be spoilt by the store, and so many answers may break off.
SLIPS = 10
#: So many tasks in a row that cannot be done now are taken from a source in one round.
_SKIPS = 1_000

_COUNTED = (
    *("polls", "attempts", "succeeded", "dead", "ended_before", "early", "busy", "refused"),
    *("ready_failures", "store_failures"),
)
_AFTER_FAULTS = Backoff(maximum=60)


@attrs.frozen
class Landing:
    """How a step ended, as far as a poller needs to know of each; the step's report says all.

    Args:
        status: how the key stands.
        breaker: who said so.
        ran: whether an attempt was made.
        durable: whether the store has confirmed it.
        error: what went wrong, if something did.
        retry_after: seconds before which the next attempt is too early.
    """

    status: Status
    breaker: str
    ran: bool
    durable: bool
    error: BaseException | None
    retry_after: float | None


class Rounds:
    """A poller's memory: which keys wait for when, and what happened.

    Args:
        every: seconds of a round.
        seconds: after which the poller is out of time.
        now: the moment at which it begins.
    """

    def __init__(self, *, every: float, seconds: float, now: float) -> None:
        self._every = every
        self._limit = seconds
        self._began = now
        self._next_round = now + every
        #: When a key may be attempted again, and whether it has ended.
        self._later: OrderedDict[str, tuple[float, bool]] = OrderedDict()
        #: Whether each key in the air is one that was met before.
        self._in_air: dict[str, bool] = {}
        #: What was handed out one by one in this round, for nothing.
        self._skipped: set[str] = set()
        #: What was looked at in the store in this round, for nothing.
        self._looked: set[str] = set()
        # The hand, which is what one answer of the source brings.
        self._single = False
        self._attempted = self._fresh = self._waiting = self._through = False
        self._resume = now
        self._troubled = False
        self._slips = self._broken = 0
        self._ended: tuple[Status, str, str] | None = None
        self._end = now
        self._counts: dict[str, int] = dict.fromkeys(_COUNTED, 0)
        self._error: BaseException | None = None

    # What the source hands out ----------------------------------------------------

    def asked(self, *, single: bool) -> None:
        """Notes that the source has answered.

        Args:
            single: whether it hands out one task at a time.
        """
        self._counts["polls"] += 1
        self._single = single
        self._attempted = self._fresh = self._waiting = self._through = False

    def wants(self, key: str, now: float) -> bool:
        """Says whether a task is to be attempted now; it then is in the air."""
        if self.over(now):
            # A source may take its time over what it hands out.
            return False
        self._roll(now)
        due, ended = self._later.get(key, (now, False))
        if key not in self._in_air and now >= due:
            self._in_air[key] = self._later.pop(key, None) is not None
            return True
        self._in_vain(key, self._skipped, ended=ended)
        return False

    def knows(self, key: str) -> bool:
        """Says whether a key in the air was met before, so that the store has heard of it."""
        return self._in_air.get(key, False)

    def pause(self, now: float, chance: float) -> float:
        """Returns for how many seconds to rest after what was handed out is through.

        Args:
            now: the present moment.
            chance: a random number from 0 to 1.
        """
        self._roll(now)
        self._through = True
        seconds = self._next_round - now
        if self._troubled:
            self._troubled = self._attempted = self._fresh = False
            self._slips += 1
            if self._slips >= SLIPS:
                why = f"it failed in {SLIPS} rounds in a row"
                self.end(Status.TRIPPED, "store", why, now, self._error)
            back_off = _AFTER_FAULTS.seconds(slips=self._slips, chance=chance)
            seconds = max(seconds, back_off)
        self._resume = now + seconds
        return self.rest(now)

    def rest(self, now: float) -> float:
        """Returns for how many seconds to rest on; less once an attempt has landed.

        Args:
            now: the present moment.
        """
        return 0.0 if self._again or self._troubled else max(0.0, self._resume - now)

    @property
    def _again(self) -> bool:
        """Whether whoever is asked at once may bring something to do."""
        return self._attempted or (self._single and self._fresh)

    @property
    def troubled(self) -> bool:
        """Whether the store has failed in this round."""
        return self._troubled

    def skips(self, now: float) -> frozenset[str]:
        """Returns the keys that are not to be attempted now."""
        later = (key for key, (due, _) in self._later.items() if now < due)
        return frozenset((*later, *self._in_air))

    # What became of it ------------------------------------------------------------

    def landed(self, key: str, outcome: Landing | Exception, now: float) -> None:
        """Notes how a step ended.

        Args:
            key: the task's.
            outcome: that, or why there was no step.
            now: the present moment.
        """
        self._roll(now)
        self._in_air.pop(key, None)
        if isinstance(outcome, LoopBusy):
            self._counts["busy"] += 1
            self._in_vain(key, self._looked)
            self._postpone(key, self._next_round)
        elif isinstance(outcome, Exception):
            self._counts["refused"] += 1
            self._error = outcome
            self._in_vain(key, self._looked, ended=True)
            self._postpone(key, now + max(LOOK_AGAIN, self._every), ended=True)
        else:
            self._stepped(key, outcome, now)

    def _stepped(self, key: str, landing: Landing, now: float) -> None:
        terminal = landing.status is not Status.OPEN
        if landing.ran:
            self._counts["attempts"] += 1
            self._attempted = True
        else:
            self._in_vain(key, self._looked, ended=terminal)
        if landing.breaker == "store" and not landing.durable:
            self._counts["store_failures"] += 1
            self._troubled = self._waiting = True
            self._error = landing.error
            self._postpone(key, self._next_round)
            return
        self._slips = 0
        if terminal:
            ended = "succeeded" if landing.status is Status.SUCCEEDED else "dead"
            self._counts[ended if landing.ran else "ended_before"] += 1
            self._postpone(key, now + max(LOOK_AGAIN, self._every), ended=True)
            return
        if not landing.ran:
            self._counts["early"] += 1
        self._postpone(key, max(self._next_round, now + (landing.retry_after or 0.0)))

    def failed(self, error: BaseException | None) -> None:
        """Notes that the source raised."""
        self._counts["ready_failures"] += 1
        self._error = error

    def broke(self, error: Exception) -> bool:
        """Notes that the source raised in the middle of an answer; says whether it does ever."""
        self.failed(error)
        # What it would have brought is still to be done.
        self._waiting = True
        self._broken += 1
        return self._broken >= SLIPS

    def read(self) -> None:
        """Notes that an answer was read to its end."""
        self._broken = 0

    # The end ----------------------------------------------------------------------

    def end(
        self, status: Status, who: str, why: str, now: float, error: BaseException | None = None
    ) -> None:
        """Notes why the poller ends; the first reason stands."""
        if self._ended is None:
            self._ended, self._end = (status, who, why), now
            self._error = error or self._error

    def over(self, now: float) -> bool:
        """Says whether nothing more is to be started."""
        if now - self._began >= self._limit:
            self.end(Status.TRIPPED, "seconds", f"{self._limit:g} s have passed", now)
        return self._ended is not None

    def left(self, now: float) -> float:
        """Returns the seconds until the poller is out of time."""
        return max(0.0, self._began + self._limit - now)

    def report(self, now: float) -> PollerReport:
        """Returns what happened so far."""
        status, who, why = self._ended or (Status.OPEN, "", "still running")
        in_air = len(self._in_air)
        over = self._ended is not None and not in_air
        return PollerReport(
            status=status,
            breaker=who,
            reason=why,
            **self._counts,
            in_air=in_air,
            idle=self._through and not (self._again or self._waiting or in_air),
            elapsed=(self._end if over else now) - self._began,
            error=self._error,
        )

    def _in_vain(self, key: str, before: set[str], *, ended: bool = False) -> None:
        if not ended:
            self._waiting = True
        if key not in before and len(before) < _SKIPS:
            before.add(key)
            self._fresh = True

    def _roll(self, now: float) -> None:
        if now >= self._next_round:
            self._next_round = now + self._every
            self._skipped.clear()
            self._looked.clear()

    def _postpone(self, key: str, due: float, *, ended: bool = False) -> None:
        self._later.pop(key, None)
        self._later[key] = due, ended
        if len(self._later) > MEMORY:
            # A plain dict looks for its first item among all that were deleted before.
            self._later.popitem(last=False)
