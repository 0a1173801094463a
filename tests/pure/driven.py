# SPDX-License-Identifier: MIT
"""A kernel driven by hand: the order of a driver's calls, without any of its I/O.

It knows the kernel's verbs and nothing of runs, stores or clocks.
"""

from __future__ import annotations

from haltable.backoff import as_delay
from haltable.kernel import GO, HALT, PAUSE, Kernel
from haltable.model import Outcome
from haltable.plan import Plan
from haltable.probe import Answer


def planned(*breakers, delay=0, transient=(), fatal=()):
    """Returns the plan of a loop with these breakers."""
    return Plan.of(breakers, delay=as_delay(delay), transient=transient, fatal=fatal)


class Driven:
    """One run of a kernel, whose bodies are what a test says they are.

    Attributes:
        kernel: the kernel.
        now: the moment.
        bodies: how many bodies have begun.
        pauses: the pauses so far.
        seen: how each iteration was seen by a body that takes it.
    """

    def __init__(
        self, *breakers, delay=0, transient=(), fatal=(), key=None, loud=False, now=0.0, chance=1.0
    ):
        plan = planned(*breakers, delay=delay, transient=transient, fatal=fatal)
        self.kernel = Kernel(plan.for_run() if plan.stateful else plan, now, key=key, loud=loud)
        self.now = now
        self.bodies = 0
        self.pauses = []
        self.full_turns = 0
        self._chance = lambda: chance
        self._going = True

    @property
    def ruling(self):
        """The verdict, as its status, who said it, and why; None while it runs."""
        ruling = self.kernel.ruling
        return ruling and (ruling.status.value, ruling.breaker, ruling.reason)

    def start(self):
        """Begins the first iteration; returns whether a body has control."""
        if self.kernel.begin_quietly(self.now):
            self.bodies += 1
            return True
        return self.turn(each_asked=True)

    def end(self, outcome=None, *, seconds=1.0, interrupted=False, killed=False):
        """Ends the open iteration and begins the next; returns whether a body has control.

        Args:
            outcome: the result, or the exception that is raised.
            seconds: how long the body took.
            interrupted: whether it was interrupted instead.
            killed: whether it was killed instead.
        """
        kernel = self.kernel
        self.now += seconds
        if interrupted or killed:
            kernel.interrupted() if interrupted else kernel.killed()
        elif isinstance(outcome, Exception):
            kernel.failed(outcome)
        else:
            for ask, asked in kernel.plan.each_return:
                try:
                    if ask(outcome):
                        kernel.hold(asked, outcome)
                except Exception as fault:
                    kernel.returned(outcome)
                    kernel.hear(asked, Answer(fault=fault), None)
            if kernel.quiet(outcome, self.now):
                self.bodies += 1
                return True
            kernel.returned(outcome)
            if kernel.rule_quietly(self.now):
                return False
        return self.turn(each_asked=True)

    def run(self, *outcomes, seconds=1.0):
        """Starts, and ends one iteration after the other until the verdict; returns itself."""
        going = self.start()
        for outcome in outcomes:
            if not going:
                break
            going = self.end(outcome, seconds=seconds)
        return self

    def turn(self, *, each_asked=False, last=False):
        """Takes a full turn; returns whether a body has control."""
        kernel = self.kernel
        self.full_turns += 1
        for asked in kernel.due(self.now, each_asked=each_asked):
            try:
                answer = Answer(asked.ask(kernel.subject()))
            except Exception as fault:
                answer = Answer(fault=fault)
            kernel.hear(asked, answer, None)
        step = kernel.decide(self.now, None, self._chance, last=last)
        if step is PAUSE:
            self.pauses.append(kernel.pause)
            self.now += kernel.pause
            step = kernel.resume(self.now, None)
        if step is HALT:
            return False
        assert step is GO
        if last:
            return True
        kernel.begin(self.now)
        self.bodies += 1
        return True


def ended(outcome):
    """Returns the outcome that an iteration had which was ended with this."""
    return Outcome.FAILED if isinstance(outcome, Exception) else Outcome.RETURNED
