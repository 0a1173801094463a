# SPDX-License-Identifier: MIT
"""One run as its body, the host and the report see it.

The drivers carry it through; the public `Run` is this with verbs.  It decides
nothing (the kernel does) and does no I/O.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, cast

from haltable import interventions
from haltable._context import here
from haltable._fields import Effects, Settings
from haltable._nesting import Nesting
from haltable._recording import NAMESPACE
from haltable._watched import Watched
from haltable.clock import Clock
from haltable.errors import (
    ConfigurationError,
    LoopBusy,
    LoopInterrupt,
    split_interrupt,
)
from haltable.events import (
    IterationEnded,
    RunEnded,
    StartRefused,
)
from haltable.iteration import Given, Iteration, Port
from haltable.kernel import Kernel
from haltable.model import Done, GiveUp, Outcome, Ruling, Status
from haltable.recollection import Recollection
from haltable.records import LoopRecord
from haltable.report import LoopHalted, halted

__all__ = ["RunState", "Settings"]

#: What is never the cancellation by which a run interrupts its own body.
_NEVER_OURS = (
    BaseExceptionGroup,
    Exception,
    GeneratorExit,
    KeyboardInterrupt,
    LoopInterrupt,
    SystemExit,
)


class RunState(Watched):
    """One execution of a loop: everything that changes lives here."""

    _port: Port | None = None

    def __init__(self, settings: Settings, key: str | None) -> None:
        plan = settings.plan
        if plan.stateful:
            plan = plan.for_run()
        clock = settings.clock
        outer = here.get()
        if outer is not None and not settings.own_clock and outer.ambient_clock is not None:
            clock = outer.ambient_clock
        # First values that are read in every run, however short, are found sooner here.
        self.around = self.outer = None
        self.key = key
        self.settings = settings
        self.clock = clock
        self.now = clock.now
        now = clock.now()
        self.kernel = kernel = Kernel(plan, now)
        if settings.sinks:
            self.listening = kernel.loud = True
        if key is not None:
            kernel.key = key
            self.store_key = f"{NAMESPACE}/loop/{key}"
            self.verb_at = now
            self.memory = Recollection(plan.remembering, apart=False)
            self.apart = Recollection(plan.remembering, apart=True)
        if outer is not None and isinstance(outer, Nesting) and not outer.finished:
            self.around = outer

    def begin_quietly(self, now: float) -> bool:
        """Begins the first iteration of a run that has no key and nobody to ask."""
        if self.around is not None:
            self.nest()
        if self.key is None and self.kernel.begin_quietly(now):
            self.begun = self.ran = True
            return True
        return False

    def end_quietly(self, now: float) -> bool:
        """Ends a run that succeeded, has no key, and nobody listens to."""
        if self.key is not None:
            return False
        self.shut()
        if not self.kernel.rule_quietly(now):
            return False
        self.finished = True
        self.let_go()
        self.ended_at = now
        if self.outer is not None:
            self._leave_outer()
        return True

    # The run seen from inside a body ------------------------------------------

    @property
    def verbs(self) -> Port:
        """What iterations reach of the run; it stands for the run in interrupts too."""
        port = self._port
        if port is None:
            # Whichever thread is first, all get the same.
            port = vars(self).setdefault("_port", Port(self))
        return port

    @property
    def ambient_clock(self) -> Clock | None:
        """The clock that loops begun inside use, if this one's was chosen."""
        return (
            self.clock if self.clock is not self.settings.clock or self.settings.own_clock else None
        )

    def open_iteration(self) -> Iteration | None:
        """Returns the open iteration, None between two."""
        if self.finished or not self.ran or self.kernel.outcome is not None:
            return None
        return self.kernel.current(self.verbs, self.now())

    def claim(self, iteration: Iteration, claim: Done | GiveUp, value: object) -> None:
        """Notes what the body says of itself."""
        self.check(iteration)
        self.kernel.accept(iteration, claim, value)

    def check(self, iteration: Iteration | None = None) -> None:
        """Raises `LoopInterrupt` if the run has ended or was asked to stop."""
        kernel = self.kernel
        if kernel.ruling is None and (kernel.stop is not None or self.finished):
            kernel.ruling = kernel.stop or Ruling(Status.OPEN, "run", "the run is over")
        if kernel.ruling is not None:
            raise self.refusal()
        if iteration is not None and iteration.starts != kernel.starts:
            raise ConfigurationError(f"{iteration!r} is over; its verbs belong into its own time")
        self.verb_at = self.now()

    def refusal(self) -> LoopInterrupt | LoopHalted:
        """Returns what a verb raises once the run has ended.

        An interrupt where one of our frames is around the caller to turn it
        into a `LoopHalted`, and that one itself where none is.
        """
        if self.looping and not self.in_block and not self.entered:
            return halted(self.report)
        kernel = self.kernel
        ruling = kernel.ruling or kernel.stop or Ruling(Status.OPEN, "run", "the run is over")
        return LoopInterrupt(f"{ruling.breaker}: {ruling.reason}", self.verbs)

    def enter(self, iteration: Iteration) -> None:
        """Begins a ``with iteration:`` block."""
        if not self.looping:
            raise ConfigurationError(
                "with iteration: belongs into `for iteration in loop`; "
                "run, step and decorated bodies have their exceptions caught already"
            )
        self.check(iteration)
        self.in_block = True
        if self.oversight is not None:
            self.oversight.arm(exactly=True)

    def leave(self, iteration: Iteration, error: BaseException | None) -> bool:
        """Ends a ``with iteration:`` block; returns whether the exception became an outcome."""
        kernel = self.kernel
        self.in_block = False
        if self.oversight is not None:
            self.oversight.disarm()
        if kernel.starts != iteration.starts or kernel.outcome is not None:
            return False
        ours, rest = split_interrupt(error, self.verbs)
        if rest is not None and not isinstance(rest, Exception):
            kernel.interrupted()
            if ours:
                raise rest from rest.__cause__
            return False
        if ours:
            kernel.killed(rest)
        elif rest is not None:
            kernel.failed(rest)
        else:
            kernel.returned(None)
        return True

    # Effects -------------------------------------------------------------------------

    def once(self, iteration: Iteration, key: str, fn: Callable[..., Any], given: Given) -> Any:
        """Carries out an effect."""
        self.check(iteration)
        return self._effects().once(self, key, fn, given)

    async def aonce(
        self, iteration: Iteration, key: str, fn: Callable[..., Any], given: Given
    ) -> Any:
        """Carries out an async effect."""
        self.check(iteration)
        return await self._effects().aonce(self, key, fn, given)

    def note_effect(self, key: str, *, ran: bool, replayed: bool, unknown: bool) -> None:
        """Counts a call of an effect, and remembers one that nobody knows the end of."""
        kernel = self.kernel
        kernel.effects_ran += ran
        kernel.effects_replayed += replayed
        others = tuple(each for each in self.unknown_effects if each != key)
        self.unknown_effects = (*others, key) if unknown else others

    def _effects(self) -> Effects:
        effects = self.settings.effects
        if effects is None:
            raise ConfigurationError(
                "once(): give the loop an IdempotencyGuard(), and it or the loop a store="
            )
        return effects

    # The end -------------------------------------------------------------------------

    def take_over(self, record: LoopRecord, *, crashed: bool = False, waited: float = 0.0) -> None:
        """Goes on from a record that nobody holds.

        Args:
            record: how the key stands.
            crashed: whether its last run died in a body.
            waited: live seconds of this run that the record does not count.
        """
        book, kernel = self.keyed_book(), self.kernel
        book.record = record
        if self.memory.text != "{}" and kernel.plan.stateful:
            # Admitted once more: what was recalled before may be of another epoch.
            kernel.plan = kernel.plan.for_run()
            self.memory = Recollection(kernel.plan.remembering, apart=False)
            self.apart = Recollection(kernel.plan.remembering, apart=True)
        kernel.carry_on(record, self.now() - waited)
        self.memory.recall(record.past.memory)
        if record.past.stop is not None and kernel.stop is None:
            kernel.stop = interventions.stopped_by(record.past.stop.by, record.past.stop.why)
        if crashed and self.listening:
            self.tell(IterationEnded(self.label, 0, Outcome.CRASHED, record.past.error))

    def refuse(self, ruling: Ruling) -> None:
        """Ends a run that may not start, with what is stored as its report."""
        kernel, record = self.kernel, self.keyed_book().record
        kernel.ruling, self.refused = ruling, True
        kernel.counts, kernel.starts = record, record.starts
        kernel.origin = self.now() - record.elapsed
        if ruling.status is Status.SUCCEEDED:
            self.stored_result = record
        if self.listening:
            self.tell(StartRefused(self.label, ruling))
        self.end(durable=True)

    def step_aside(self, wait: float) -> None:
        """Ends a single step whose loop is not at its end."""
        self.kernel.ruling = Ruling(Status.OPEN, "run", "this step is done, the loop is not")
        self.retry_after = wait or None

    def own_part(self, error: BaseException) -> tuple[bool, BaseException | None]:
        """Says whether this run interrupted its own body, and what else left the body then."""
        ours, rest = split_interrupt(error, self.verbs)
        if not self.interrupted_by_us or rest is None:
            return ours, rest
        # What we cancelled comes back as a cancellation, which the host's may be too.
        left: BaseException = rest
        if isinstance(rest, BaseExceptionGroup):
            group = cast("BaseExceptionGroup[BaseException]", rest)
            return True, group.split(lambda each: not isinstance(each, _NEVER_OURS))[1]
        return True, left if _is_never_ours(left) else None

    def is_refused(self, error: BaseException) -> bool:
        """Whether an exception says that another run holds the key of this one."""
        return isinstance(error, LoopBusy) and not self.ran

    def let_go(self) -> None:
        """Has nobody watch the run any more; what an interrupt left of that is done by another."""
        if self.oversight is not None:
            self.oversight.end()

    def end(self, *, durable: bool) -> None:
        """Closes the run; every further verb of it raises."""
        if self.finished:
            return
        self.finished = True
        self.let_go()
        self.durable = durable
        kernel = self.kernel
        self.ended_at = self.now()
        kernel.interrupt_quiet()
        if self.outer is not None:
            self._leave_outer()
        ruling = kernel.ruling
        if ruling is None or (ruling.status is Status.SUCCEEDED and not self.listening):
            return
        if self.ran or self.book is None or ruling.status.terminal:
            self.tell(
                RunEnded(
                    self.label,
                    ruling,
                    kernel.starts,
                    kernel.counts.failures,
                    kernel.elapsed(self.now()),
                    durable,
                    self.refused,
                )
            )

    @property
    def chance(self) -> Callable[[], float]:
        """The source of the jitter."""
        return random.random


def _is_never_ours(error: BaseException) -> bool:
    return isinstance(error, _NEVER_OURS)
