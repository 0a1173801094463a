# SPDX-License-Identifier: MIT
"""Runs of a keyed loop as workers: the real drivers, over ports that stop and ask.

The async drivers, whose every act is awaited; that the sync ones do the same is
what the twins' test is for, and the replays of this room.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any
from unittest import mock

import attrs

from haltable import ExitCondition, IterationCap, Loop, _claim_async, _drive_async, _sending_async
from haltable._book import Book
from haltable._state import RunState
from haltable.conditions import never
from haltable.errors import StoreError
from haltable.records import new_record
from haltable.stores import Durability
from tests.model.automaton import Automaton
from tests.model.shapes import Shapes, decoded
from tests.model.strands import FAULTS, TICK, Request, Worker, owner_of
from tests.model.worlds import LEASE

KEY = "k"
CAP = 2


class NoStore:
    """What a loop is given for a store: the ports are all that asks one."""

    durability = Durability.PROCESS
    blocks = False

    def read(self, key):
        raise NotImplementedError

    def write(self, key, value, *, expected):
        raise NotImplementedError

    def scan(self, prefix):
        raise NotImplementedError

    def delete(self, key, *, expected):
        raise NotImplementedError


class Ports:
    """The world of runs, as a request for each thing that is done to it."""

    def __init__(self, *, elsewhere: bool) -> None:
        self.elsewhere = elsewhere

    def each_return(self, run):
        return run.kernel.plan.each_return

    async def ask(self, asked, subject):
        return asked.ask(subject)

    async def settle(self, answer):
        return answer

    def is_forked(self, owner):
        return False

    def locked(self, run):
        return run.worker.lock

    async def breathe(self, run):
        pass

    def sheltered(self, run):
        return contextlib.nullcontext()

    async def read(self, run, key):
        answer = await Request("read")
        if isinstance(answer, str):
            raise StoreError("reading failed", outcome=FAULTS[answer])
        return answer

    async def write(self, run, key, value, expected):
        answer = await Request("write", decoded(key, value), expected)
        if isinstance(answer, str):
            raise StoreError("writing failed", outcome=FAULTS[answer])
        return answer

    async def rest(self, run, seconds):
        run.waker = Waker()
        try:
            if run.kernel.stop is None:
                await Request("rest", run.waker)
        finally:
            run.waker = None

    def new_book(self, run, look):
        owner = owner_of(run.worker, elsewhere=self.elsewhere)
        book = run.book = Book(owner, new_record(run.label))
        return book

    def oversee(self, run, glance):
        pass

    def forget(self, run):
        pass

    def is_dead(self, run, owner):
        return bool(owner.boot) and owner.token in run.worker.dead


class Waker:
    """Wakes a pause."""

    def __init__(self) -> None:
        self.woken = False

    def __call__(self) -> None:
        self.woken = True


@attrs.frozen
class Manner:
    """How the loop is run.

    Args:
        way: ``"run"``, or ``"step"`` for one iteration each.
        pausing: whether there is a pause between iterations.
        watched: whether anybody looks after the lease meanwhile.
    """

    way: str = "run"
    pausing: bool = False
    watched: bool = False


def loop_of(manner: Manner) -> Loop:
    """Returns the loop that all runs are of."""
    more = (ExitCondition(success=never),) if manner.way == "step" else ()
    return Loop(
        IterationCap(CAP, max_consecutive_failures=None),
        *more,
        key=KEY,
        store=NoStore(),
        lease=LEASE * TICK,
        delay=TICK if manner.pausing else 0,
        sinks=(),
    )


def make_run(loop: Loop, manner: Manner) -> Callable[[str], Worker]:
    """Returns what makes a run of the loop, with a token."""

    def begin(worker: Worker) -> Any:
        run = worker.own = loop.start()
        run.worker = worker
        run.clock = worker.clock
        run.now = worker.clock.now
        run.kernel.origin = run.now()

        async def body() -> None:
            # The number and the epoch of its start, for the auditor.
            book = run.book
            how = await Request("body", book.charged_epoch, book.charged_starts)
            if how == "fails":
                raise ValueError("no")
            if how == "is interrupted":
                raise KeyboardInterrupt

        if manner.way == "step":
            run.single_step = True
            return _drive_async.single(run, body, takes=False)
        return _drive_async.drive(run, body, takes=False)

    def look(worker: Worker) -> Any:
        return _claim_async.watch(worker.own)

    return lambda token: Worker(token, begin=begin, look=look, watched=manner.watched)


def facts(worker: Worker) -> Any:
    """Returns what the auditor wants to know of a run: how its report reads once it is over."""
    run = worker.own
    book = run.book
    claimed = book is not None and book.claimed and not run.finished
    if "main" in worker.strands:
        return SimpleNamespace(claimed=claimed, finished=run.finished, report=None)
    report = run.report
    return SimpleNamespace(claimed=claimed, finished=run.finished, report=report)


@contextlib.contextmanager
def driven(*, elsewhere: bool = False) -> Iterator[None]:
    """Gives the drivers their ports, while it lasts."""
    ports = Ports(elsewhere=elsewhere)
    with (
        # What a run would say of its end is no part of the protocol.
        mock.patch.object(logging.getLogger("haltable"), "disabled", new=True),
        # A pause is as long as the last one was.
        mock.patch.object(RunState, "chance", property(lambda run: lambda: 1.0)),
        mock.patch.object(_claim_async, "ports", ports),
        mock.patch.object(_sending_async, "ports", ports),
        mock.patch.object(_drive_async, "ports", ports),
    ):
        yield


def automaton(shapes: Shapes, manner: Manner, *, twin: bool = False) -> Automaton:
    """Returns the runs of one loop; made and used where they are `driven`."""
    return Automaton(make_run(loop_of(manner), manner), shapes, facts, twin=twin)
