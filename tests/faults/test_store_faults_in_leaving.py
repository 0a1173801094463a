# SPDX-License-Identifier: MIT
"""P7 where a loop is left by its host: a store that fails just then changes nothing else."""

from __future__ import annotations

import contextlib
import functools
import itertools

import anyio
import pytest

from haltable import ExitCondition, IterationCap, Loop, LoopHalted, Operator, bounded_loop
from haltable._watch import shared
from haltable.conditions import never
from tests.faults.faulty import DOWN, FAULTS, AsyncFaulty, Faulty
from tests.faults.ways import by_run

KEY = "job"
CAP = 4
#: Bodies after which the host has had enough.
TWO = 2


class Enough(Exception):
    """Why somebody's block is left."""


class Life:
    """A key over a faulty store, whose run its host leaves after two iterations."""

    def __init__(self, kind, fault, at):
        self.store = kind(fault, at)
        self.bodies, self.report = 0, None
        cap = IterationCap(CAP, max_consecutive_failures=None)
        policy = {"key": KEY, "store": self.store, "clock": self.store.clock}
        self.loop = Loop(cap, **policy)
        self.decorate = bounded_loop(cap, **policy)
        self.again = Loop(cap, ExitCondition(success=never), **policy)

    def body(self):
        self.bodies += 1
        return self.bodies == TWO

    @property
    def starts(self):
        """What is really stored."""
        found = Operator(self.store.inner).list()
        return found[0].starts if found else 0


def by_break(life):
    """`break`, which looks like an exception from there."""
    run = life.loop.start()
    for _ in run:
        if life.body():
            break
    life.report = run.report


def by_break_in_block(life):
    """`break` within `with iteration`."""
    run = life.loop.start()
    for iteration in run:
        with iteration:
            if life.body():
                break
    life.report = run.report


def by_end_of_items(life):
    """The items are at their end."""
    over = life.loop.over(range(TWO))
    try:
        for _ in over:
            life.body()
    finally:
        life.report = over.run.report


def by_break_over_items(life):
    """`break` with items left."""
    over = life.loop.over(range(CAP))
    pairs = iter(over)
    for _ in pairs:
        if life.body():
            break
    pairs.close()
    life.report = over.run.report


def by_end_of_block(life):
    """A block around a loop of the host's own ends."""
    run = life.loop.start()
    try:
        with run:
            for _ in range(TWO):
                run.tick()
                life.body()
    finally:
        life.report = run.report


def by_error_in_block(life):
    """An exception leaves that block."""
    run = life.loop.start()
    try:
        with contextlib.suppress(Enough), run:
            run.tick()
            if not life.body():
                raise Enough
    finally:
        life.report = run.report


def by_no_items(life):
    """There were no items: the key is opened to write that down."""
    over = life.loop.over(())
    try:
        list(over)
    finally:
        life.report = over.run.report


def by_idle_block(life):
    """Nothing began in the block: the key is opened to write that down."""
    run = life.loop.start()
    try:
        with run:
            pass
    finally:
        life.report = run.report


def by_end_of_generator(life):
    """A decorated generator returns."""

    @life.decorate
    def work():
        for _ in range(TWO):
            yield life.body()

    for _ in work():
        pass


def by_closing_a_generator(life):
    """A decorated generator is closed."""

    @life.decorate
    def work():
        while True:
            yield life.body()

    values = work()
    for enough in values:
        if enough:
            break
    values.close()


async def by_async_break(life):
    """`break` out of an `async for`, which nothing can await."""
    run = life.loop.start()
    iterations = aiter(run)
    async for _ in iterations:
        if life.body():
            break
    del iterations
    life.report = run.report


async def by_async_break_in_block(life):
    """`break` within a block that a task attends."""
    run = life.loop.start()
    try:
        async with run:
            async for iteration in run:
                with iteration:
                    if life.body():
                        break
    finally:
        life.report = run.report


async def numbers(last):
    """Async items."""
    for number in range(last):
        await anyio.lowlevel.checkpoint()
        yield number


async def by_end_of_async_items(life):
    """Async items are at their end."""
    over = life.loop.over(numbers(TWO))
    try:
        async for _ in over:
            life.body()
    finally:
        life.report = over.run.report


async def by_break_over_async_items(life):
    """`break` with async items left."""
    async with contextlib.aclosing(numbers(CAP)) as items:
        over = life.loop.over(items)
        run = over.run
        async for _ in over:
            if life.body():
                break
        del over
        life.report = run.report


async def by_end_of_async_block(life):
    """An async block ends."""
    run = life.loop.start()
    try:
        async with run:
            for _ in range(TWO):
                await run.atick()
                life.body()
    finally:
        life.report = run.report


async def by_error_in_async_block(life):
    """An exception leaves an async block."""
    run = life.loop.start()
    try:
        with contextlib.suppress(Enough):
            async with run:
                await run.atick()
                if not life.body():
                    raise Enough
    finally:
        life.report = run.report


async def by_no_async_items(life):
    """There were no async items."""
    over = life.loop.over(numbers(0))
    try:
        async for _ in over:
            life.body()
    finally:
        life.report = over.run.report


async def by_idle_async_block(life):
    """Nothing began in the async block."""
    run = life.loop.start()
    try:
        async with run:
            await anyio.lowlevel.checkpoint()
    finally:
        life.report = run.report


async def by_end_of_async_generator(life):
    """A decorated async generator returns."""

    @life.decorate
    async def work():
        for _ in range(TWO):
            yield life.body()

    async for _ in work():
        pass


async def by_closing_an_async_generator(life):
    """A decorated async generator is closed."""

    @life.decorate
    async def work():
        while True:
            yield life.body()

    async with contextlib.aclosing(work()) as values:
        async for enough in values:
            if enough:
                break


SYNC = [
    by_break,
    by_break_in_block,
    by_end_of_items,
    by_break_over_items,
    by_end_of_block,
    by_error_in_block,
    by_no_items,
    by_idle_block,
    by_end_of_generator,
    by_closing_a_generator,
]
#: What an async store allows, too: a task attends the run.
ATTENDED = [
    by_async_break_in_block,
    by_end_of_async_block,
    by_error_in_async_block,
    by_idle_async_block,
]
BARE = [
    by_no_async_items,
    by_async_break,
    by_end_of_async_items,
    by_break_over_async_items,
    by_end_of_async_generator,
    by_closing_an_async_generator,
]
EACH = [
    *((leave, Faulty, None) for leave in SYNC),
    *((leave, Faulty, loop) for leave in ATTENDED + BARE for loop in ("asyncio", "trio")),
    *((leave, AsyncFaulty, loop) for leave in ATTENDED for loop in ("asyncio", "trio")),
]


@pytest.mark.parametrize("fault", FAULTS + DOWN, ids=str)
@pytest.mark.parametrize(
    ("leave", "kind", "backend"),
    EACH,
    ids=[f"{leave.__name__}, {kind.__name__}, {loop}" for leave, kind, loop in EACH],
)
def test_the_store_fails_while_a_loop_is_left(leave, kind, backend, fault):
    """P1, P7: nothing but a verdict leaves the loop; every body is counted, and the key goes on."""
    for at in itertools.count(1):
        life = Life(kind, fault, at)
        with contextlib.suppress(LoopHalted):
            if backend is None:
                leave(life)
            else:
                anyio.run(leave, life, backend=backend)
        if not life.store.struck:
            break
        assert life.bodies <= life.starts, f"call {at}"
        assert not shared.tokens(), f"call {at}"
        check_report(life, f"call {at}")
        life.store.mend()
        # Whoever held it is dead by now, or its lease has lapsed.
        life.store.clock.advance(60)
        carry = by_run if kind is Faulty else functools.partial(anyio.run, arun)
        last = carry(life.again, life.body)
        assert last.status.terminal, f"call {at}"
        assert life.bodies <= life.starts <= CAP, f"call {at}"

    assert at > 1


async def arun(loop, body):
    """Runs it to its end."""

    async def work():
        return body()

    return await loop.arun(work)


def check_report(life, where):
    """Holds the report, where there is a handle to ask, against what is really stored."""
    report = life.report
    if report is None:
        return
    [state] = Operator(life.store.inner).list() or [None]
    if report.durable and report.ran:
        assert state.running is None, where
        assert report.status is state.status, where
    if not report.durable:
        assert (report.status, report.breaker) == ("open", "store"), where
