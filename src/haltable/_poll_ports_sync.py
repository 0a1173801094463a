# SPDX-License-Identifier: MIT
"""What a poller's sync driver does to the world: fetch, launch, rest; with threads.

With one attempt at a time it is made where the poller runs, so that on the main
thread a deadline can interrupt it.  It decides nothing.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self

from haltable._call import Call
from haltable._polling import LOOK, MOMENT, Plan, Polling
from haltable._standby import Standby
from haltable._tasks import NO_MORE, Task, checked, is_task, several
from haltable.clock import Clock
from haltable.errors import LoopBusy
from haltable.run import Run

__all__ = ["Air"]


class Air(Polling):
    """A poller's attempts that are running, and how it waits."""

    def __init__(self, plan: Plan, clock: Clock) -> None:
        super().__init__(plan, clock)
        #: A signal for the attempts that are made where the poller runs.
        self.standby = Standby()
        self._asked = Call(self._first, takes=False)
        self._woken = threading.Event()
        self._hand: Iterator[object] | None = None
        self._pool: ThreadPoolExecutor | None = None

    def wake(self) -> None:
        """Cuts a rest short; from any thread."""
        self._woken.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._hand = None
        if self._pool is not None:
            self._pool.shutdown()
        self.take_note()
        if self.fatal is not None and error is None:
            raise self.fatal

    @property
    def is_to_ask(self) -> bool:
        """Whether the next task must be asked for."""
        return self._hand is None

    def is_done(self) -> bool:
        """Says whether the poller's own condition holds."""
        if self.is_over:
            return True
        try:
            return bool(self._condition()) and self._fulfilled()
        except Exception as error:
            return self._faulted(error)

    def fetch(self) -> Task | None:
        """Returns the next task; None where the source has no more for now."""
        if self.rounds.troubled:
            self._hand = None
        elif self._hand is not None:
            try:
                return self._next(self._hand)
            except Exception as error:
                self._broke(error)
                self._hand = None
        else:
            run = self._ask()
            run.carry(self._asked)
            return self._answer(run.report)
        return None

    def _first(self) -> Task | None:
        try:
            handed = self.plan.ready(**self._skips())
            self.rounds.asked(single=is_task(handed))
            self._hand = iter(several(handed))
            return self._next(self._hand)
        except Exception as error:
            self.rounds.failed(error)
            self._hand = None
            raise

    def _next(self, hand: Iterator[object]) -> Task | None:
        item = next(hand, NO_MORE)
        if item is not NO_MORE:
            return checked(item)
        self._hand = None
        self.rounds.read()
        return None

    def launch(self, task: Task) -> None:
        """Has the task attempted."""
        if self.plan.concurrency == 1:
            self._landed(task[0], self._attempt(task))
            return
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self.plan.concurrency, "haltable-poller")
        self.in_air += 1
        self._pool.submit(contextvars.copy_context().run, self._fly, task)

    def land(self) -> None:
        """Waits until an attempt has ended, or for a moment."""
        self._woken.clear()
        if not self.landings:
            self._woken.wait(LOOK)

    def rest(self, seconds: float) -> None:
        """Waits, until something has happened at the latest."""
        self._woken.clear()
        if self.landings or self.rounds.over(self.now()):
            return
        if self.clock.virtual and self.in_air and self._woken.wait(MOMENT):
            return
        seconds = min(seconds, self.rounds.left(self.now()), threading.TIMEOUT_MAX)
        self.clock.wait(seconds, self._woken)

    def _fly(self, task: Task) -> None:
        try:
            self.landings.append((task[0], self._attempt(task)))
        except BaseException as error:
            self.fatal = self.fatal or error
        finally:
            self.wake()

    def _attempt(self, task: Task) -> Run | Exception:
        try:
            run, call = self._start(task)
            run.standby = self.standby
            run.carry_once(call)
        except LoopBusy as busy:
            return busy
        except Exception as error:
            return self._refused(task[0], error)
        return run
