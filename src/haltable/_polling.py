# SPDX-License-Identifier: MIT
"""One execution of a poller, as its sync and its async driver share it.

It makes the loop of a task and asks for the end; how tasks are fetched, run
beside one another and waited for is in the ports.  It decides nothing about keys.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from typing import Any

import attrs

from haltable._call import Call
from haltable._rounds import SLIPS, Landing, Rounds
from haltable._tasks import Task
from haltable.clock import Clock
from haltable.errors import ConfigurationError, in_words
from haltable.loop import Loop
from haltable.model import Status
from haltable.probe import Condition, Due
from haltable.report import Report
from haltable.run import Run
from haltable.sinks.log import log_listener_failure, log_refused_task, log_store_failure

__all__ = ["LOOK", "MOMENT", "Plan", "Polling", "no_promise"]

#: Seconds between two looks at the clock while all hands are full.
LOOK = 1.0
#: Real seconds that attempts in the air get before a clock of a test is moved on.
MOMENT = 0.02
# Two moments that are computed in different ways may differ by a rounding.
_ROUNDING = 1e-6


@attrs.frozen(eq=False)
class Plan:
    """What a poller was given, checked."""

    ready: Callable[..., Any]
    skip: bool
    calling: Callable[[Any], Call]
    loop: Loop | Callable[[Any], Loop]
    until: Condition
    every: float
    concurrency: int
    seconds: float
    asking: Loop
    ended: Callable[[Report[Any]], object] | None


class Polling:
    """What changes while a poller runs."""

    def __init__(self, plan: Plan, clock: Clock) -> None:
        self.plan = plan
        self.clock = clock
        self.now = clock.now
        self.rounds = Rounds(every=plan.every, seconds=plan.seconds, now=clock.now())
        self.in_air = 0
        self.landings: deque[tuple[str, Run | Exception]] = deque()
        #: What left an attempt and is no outcome of one; the caller of the poller gets it.
        self.fatal: BaseException | None = None
        self._asking: Run | None = None

    def stop(self, why: str) -> None:
        """Has nothing more started; from any thread."""
        self.rounds.end(Status.STOPPED, "stop", why, self.now())
        asking = self._asking
        if asking is not None:
            asking.stop(why)
        self.wake()

    def wake(self) -> None:
        """Cuts a rest short; from any thread."""
        raise NotImplementedError

    @property
    def chance(self) -> Callable[[], float]:
        """The source of the jitter."""
        return random.random

    @property
    def is_full(self) -> bool:
        """Whether no attempt more may be in the air."""
        return self.in_air >= self.plan.concurrency

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to be started; takes note of what has landed."""
        if self.landings:
            self.take_note()
        return self.fatal is not None or self.rounds.over(self.now())

    def _landed(self, key: str, outcome: Run | Exception) -> None:
        if isinstance(outcome, Exception):
            self.rounds.landed(key, outcome, self.now())
            return
        landing = _landing(outcome)
        self.rounds.landed(key, landing, self.now())
        if landing.breaker == "store" and not landing.ran and not landing.durable:
            # No run began whose end would be in the log.
            log_store_failure(key, landing.error)
        ended = self.plan.ended
        if ended is not None and landing.status is not Status.OPEN:
            try:
                ended(outcome.report)
            except Exception as error:
                log_listener_failure(ended, error)

    def take_note(self) -> None:
        """Takes note of what has landed."""
        while self.landings:
            self.in_air -= 1
            self._landed(*self.landings.popleft())

    # For the ports -------------------------------------------------------------------

    def _skips(self) -> dict[str, Any]:
        return {"skip": self.rounds.skips(self.now())} if self.plan.skip else {}

    def _start(self, task: Task) -> tuple[Run, Call]:
        """Returns the run of one step, and its body."""
        key, payload = task
        loop = self.plan.loop
        if not isinstance(loop, Loop):
            made: object = loop(payload)
            if not isinstance(made, Loop):
                raise ConfigurationError(f"loop= returned {made!r}: return a Loop")
            loop = made
            loop.demand_success_condition("loop=")
        run = loop.start_as(key)
        run.known = self.rounds.knows(key)
        return run, self.plan.calling(payload)

    def _refused(self, key: str, error: Exception) -> Exception:
        """Returns why a task has no step; the other tasks go on."""
        log_refused_task(key, error)
        return error

    def _ask(self) -> Run:
        """Returns the run in which the source is asked."""
        run = self._asking = self.plan.asking.start()
        now = self.now()
        if self.rounds.over(now):
            run.stop("the poller ends")
        # The poller is around it as an outer run would be: a back-off ends with its time.
        run.kernel.outer_end = run.now() + self.rounds.left(now) + _ROUNDING
        return run

    def _answer(self, report: Report[Task | None]) -> Task | None:
        """Returns what the source has answered; ends the poller if it cannot."""
        self._asking = None
        if report.ok:
            return report.result
        if report.breaker == "outer" and self.rounds.over(self.now()):
            return None
        if report.status is Status.STOPPED:
            # A run around this poller has ended.
            self.rounds.end(Status.STOPPED, report.breaker, report.reason, self.now())
            return None
        why = f"{report.breaker}: {report.reason}"
        self.rounds.end(Status.TRIPPED, "ready", why, self.now(), report.error)
        return None

    def _broke(self, error: Exception) -> None:
        """Notes that the source raised in the middle of an answer."""
        if self.rounds.broke(error):
            why = f"{SLIPS} answers in a row broke off"
            self.rounds.end(Status.TRIPPED, "ready", why, self.now(), error)

    def _condition(self) -> object:
        return self.plan.until.at(Due.RETURN, self.rounds.report(self.now()))

    def _fulfilled(self) -> bool:
        self.rounds.end(Status.SUCCEEDED, "until", f"{self.plan.until} holds", self.now())
        return True

    def _faulted(self, error: Exception) -> bool:
        self.rounds.end(Status.TRIPPED, "until", in_words(error), self.now(), error)
        return True


def _landing(run: Run) -> Landing:
    """Returns how a step has ended; a report of all would cost as much as a tenth of the step."""
    ruling = run.kernel.ruling
    status, breaker = (Status.OPEN, "") if ruling is None else (ruling.status, ruling.breaker)
    return Landing(status, breaker, run.ran, run.durable, run.newest_error, run.retry_after)


def no_promise(what: str) -> ConfigurationError:
    """Returns what is raised where only an async poller could wait."""
    return ConfigurationError(f"{what} is async: await poller.arun() instead")
