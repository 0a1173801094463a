# SPDX-License-Identifier: MIT
"""What child processes of the tests do: hang in a body, or run many short loops into a verdict.

Each function is the whole work of one process, which says by how it ends
whether all went well.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Empty, SimpleQueue

import coverage

from haltable import (
    Breaker,
    Deadline,
    ExitCondition,
    Iteration,
    IterationCap,
    Loop,
    LoopTripped,
    MemoryStore,
    Report,
    SQLiteStore,
    bounded_loop,
)
from haltable.conditions import never
from tests.watching.bodies import until

__all__ = ["FINE", "KEY", "WAYS", "fork_in_a_body", "hang_until", "try_often"]

KEY = "k"
#: How a process ends in which all went well.
FINE = 7


def hang_until(store: Path, free: Path) -> None:
    """Goes on in a body that nobody can interrupt, until a file appears."""

    def work() -> None:
        while not free.exists():
            with contextlib.suppress(BaseException):
                until(free.exists)

    deadline = Deadline(iteration=0.1)
    with SQLiteStore(store) as kept:
        report = Loop(IterationCap(9), deadline, key=KEY, store=kept, grace=0.1).run(work)
    os._exit(FINE if report.ran else 1)


def handlers() -> dict[int, object]:
    """Returns the handlers of all signals."""
    return {number: signal.getsignal(number) for number in signal.valid_signals()}


class Trial:
    """One loop that runs into its deadline, with bodies as short as it is.

    Args:
        chance: decides how long the limit and the bodies are.
        keyed: whether it has a key.
    """

    def __init__(self, chance: random.Random, *, keyed: bool) -> None:
        self.limit = chance.uniform(0.001, 0.03)
        self.seconds = chance.choice([0.0, 0.0005, 0.001, 0.003])
        self.spins = chance.random() < 0.5
        self.chance, self.bodies = chance, 0
        self.place = {"key": KEY, "store": MemoryStore()} if keyed else {}
        self.deadline = Deadline(total=self.limit)
        self.loop = Loop(self.deadline, **self.place)

    def work(self) -> None:
        """The body."""
        self.bodies += 1
        end = time.monotonic() + self.seconds
        if not self.spins:
            time.sleep(self.seconds)
        while time.monotonic() < end:
            pass

    def check(self, report: Report[object]) -> None:
        """Raises unless the loop ended as it should."""
        if (report.status, report.breaker) != ("tripped", "Deadline"):
            raise AssertionError(str(report))
        if abs(report.starts - self.bodies) > 1:
            raise AssertionError(f"{self.bodies} bodies: {report}")


def _run(trial: Trial) -> None:
    trial.check(trial.loop.run(trial.work))


def _nested(trial: Trial) -> None:
    def work() -> None:
        trial.bodies += 1
        for _ in range(10):
            Loop(IterationCap(2), Deadline(total=60)).run(lambda: None)

    trial.check(trial.loop.run(work))


def _step(trial: Trial) -> None:
    until_tripped = ExitCondition(success=never)
    loop = Loop(Deadline(total=trial.limit), until_tripped, key=KEY, store=MemoryStore())
    while not (report := loop.step(trial.work)).status.terminal:
        pass
    trial.check(report)


def _for(trial: Trial) -> None:
    run = trial.loop.start()
    with contextlib.suppress(LoopTripped):
        for _ in run:
            trial.work()
    trial.check(run.report)


def _for_with(trial: Trial) -> None:
    run = trial.loop.start()
    with contextlib.suppress(LoopTripped):
        for iteration in run:
            with iteration:
                trial.work()
    trial.check(run.report)


def _tick(trial: Trial) -> None:
    run = trial.loop.start()
    with contextlib.suppress(LoopTripped), run:
        while True:
            run.tick()
            trial.work()
    trial.check(run.report)


def _wrap(trial: Trial) -> None:
    run = trial.loop.start()
    with contextlib.suppress(LoopTripped), run:
        tool = run.wrap(trial.work)
        while True:
            tool()
    trial.check(run.report)


def _generator(trial: Trial) -> None:
    @bounded_loop(trial.deadline, **trial.place)
    def items() -> Iterator[int]:
        while True:
            trial.work()
            yield 1

    try:
        for _ in items():
            pass
    except LoopTripped as tripped:
        trial.check(tripped.report)


def _exits(trial: Trial) -> None:
    # What the body raises at the very moment of the verdict goes through.
    end = time.monotonic() + trial.limit - 0.0005
    kinds = (SystemExit, KeyboardInterrupt, GeneratorExit, ValueError)

    def work() -> None:
        trial.work()
        if time.monotonic() > end:
            raise trial.chance.choice(kinds)

    run = trial.loop.start()
    with contextlib.suppress(*kinds):
        run.run(work)
    if not run.finished:
        raise AssertionError(str(run.report))


def _interrupted(trial: Trial) -> None:
    # Ctrl-C at about the moment of the verdict.
    main, run = threading.main_thread().ident, trial.loop.start()
    # Unlike an event, neither is left locked by what is raised in whoever tells of it.
    begun, over = SimpleQueue[None](), SimpleQueue[None]()

    def work() -> None:
        begun.put(None)
        trial.work()

    def press() -> None:
        begun.get()
        try:
            over.get(timeout=max(0.0, trial.limit + trial.chance.uniform(-0.003, 0.003)))
        except Empty:
            signal.pthread_kill(main, signal.SIGINT)

    presser = threading.Thread(target=press)
    presser.start()
    with contextlib.suppress(KeyboardInterrupt):
        try:
            run.run(work)
        finally:
            over.put(None)
            begun.put(None)
            presser.join()
    if trial.bodies and not run.finished:
        raise AssertionError(str(run.report))


#: By name, what is done with a loop that runs into its deadline.
WAYS: dict[str, Callable[[Trial], None]] = {
    "run": _run,
    "nested": _nested,
    "step": _step,
    "for": _for,
    "for, with iteration": _for_with,
    "tick": _tick,
    "wrap": _wrap,
    "generator": _generator,
    "exits": _exits,
    "interrupted": _interrupted,
}


def try_often(way: str, seed: int, trials: int, threads: int, *keyed: str) -> None:
    """Runs many trials, in the main thread or in several others, and looks what they left."""
    logging.disable(logging.CRITICAL)
    measuring = coverage.Coverage.current()
    if way == "interrupted" and measuring is not None:
        # A Ctrl-C would leave a lock of the measuring held, for which all then wait for ever.
        measuring.stop()
    before, wrong = handlers(), list[BaseException]()

    def work(number: int) -> None:
        chance = random.Random(1000 * seed + number)
        for _ in range(trials):
            try:
                WAYS[way](Trial(chance, keyed=bool(keyed)))
            except BaseException as error:
                logging.disable(logging.NOTSET)
                logging.getLogger(__name__).exception("a trial went wrong")
                wrong.append(error)
                return

    if threads:
        workers = [threading.Thread(target=work, args=(n,)) for n in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    else:
        work(0)
    gc.collect()
    until(lambda: not [t for t in threading.enumerate() if "haltable" in t.name])
    os._exit(FINE if not wrong and handlers() == before else 1)


class _Slow(Breaker):
    """Looks at bodies for so long that a fork finds it looking."""

    patience = 0.01

    def __init__(self, looking: threading.Event) -> None:
        super().__init__()
        self.looking = looking

    def during(self, iteration: Iteration) -> None:
        """Says that it looks, and takes its time."""
        del iteration
        self.looking.set()
        time.sleep(0.1)


def fork_in_a_body() -> None:
    """Forks while somebody looks at the body; both must come to their ends."""
    looking = threading.Event()
    children: list[int] = []

    def work(iteration: Iteration) -> None:
        if iteration.number == 1:
            looking.wait()
            children.append(os.fork())

    report = Loop(IterationCap(2), _Slow(looking)).run(work)
    fine = report.starts == 2
    if children[0]:
        fine = fine and os.waitpid(children[0], 0)[1] == FINE << 8
    os._exit(FINE if fine else 1)
