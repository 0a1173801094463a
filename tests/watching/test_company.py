# SPDX-License-Identifier: MIT
"""Watched runs among others: nested, in several threads, dropped, in every way of running."""

from __future__ import annotations

import gc
import threading
import time

import anyio
import pytest

from haltable import (
    Deadline,
    ExitCondition,
    IterationCap,
    Loop,
    LoopInterrupt,
    LoopTripped,
    MemoryStore,
    Operator,
    _watch,
    bounded_loop,
)
from haltable.conditions import returned
from haltable.events import RunEnded
from tests.watching.bodies import INTERRUPTIBLE, Witness, until

LIMIT, LATE = 0.1, 0.5
LONG = 10


def hang():
    """A body that does nothing for long."""
    threading.Event().wait(LONG)


def limited(witness=None, **given):
    """Returns a loop that gives an iteration a tenth of a second."""
    sinks = [] if witness is None else [witness]
    return Loop(IterationCap(9), Deadline(iteration=LIMIT), sinks=sinks, **given)


@pytest.mark.parametrize("inner_is_watched", [True, False])
@pytest.mark.parametrize("store", [None, MemoryStore()])
def test_the_outer_deadline_interrupts_the_inner_body(inner_is_watched, store):
    """The inner run ends open, interrupted, and its key is given back; the outer one trips."""
    inner_runs, key = [], {} if store is None else {"key": "inner", "store": MemoryStore()}
    limits = [Deadline(total=60)] if inner_is_watched else []

    def work():
        run = Loop(IterationCap(9), *limits, **key).start()
        inner_runs.append(run)
        run.run(hang)

    start = time.monotonic()
    report = limited().run(work)

    assert time.monotonic() - start <= LIMIT + LATE
    assert (report.status, report.breaker, report.starts) == ("tripped", "Deadline", 1)
    inner = inner_runs[0].report
    assert inner_runs[0].finished
    assert (inner.starts, inner.failures) == (1, 0)
    if key:
        state = Operator(key["store"]).show("inner")
        assert (inner.status, state.status, state.running) == ("open", "open", None)


def test_an_inner_run_that_swallows_its_stop_writes_no_verdict():
    """The inner key stays open, although its body goes on after the outer verdict."""
    store = MemoryStore()

    def body(iteration):
        try:
            hang()
        except LoopInterrupt:
            with pytest.raises(LoopInterrupt):
                iteration.check()
            threading.Event().wait(0.3)
            raise

    inner = Loop(IterationCap(9), Deadline(iteration=1), key="inner", store=store)
    report = limited().run(lambda: inner.run(body))
    state = Operator(store).show("inner")

    assert report.breaker == "Deadline"
    assert (state.status, state.breaker, state.running) == ("open", None, None)
    assert inner.run(lambda iteration: iteration.done(1)).status == "succeeded"


def test_the_inner_deadline_leaves_the_outer_run_alone():
    """Only the inner body is struck; the outer one goes on with its report."""
    report = Loop(IterationCap(9), Deadline(total=60)).run(
        lambda iteration: iteration.done(limited().run(hang))
    )

    assert report.status == "succeeded"
    assert (report.result.status, report.result.breaker) == ("tripped", "Deadline")


def test_of_two_threads_only_the_right_one_is_struck():
    """A verdict on one run is nothing to another one beside it."""
    reports, over = {}, threading.Event()

    def patient():
        def work(iteration):
            while not over.is_set():
                pass
            return iteration.done("patient")

        reports["patient"] = Loop(IterationCap(9), Deadline(total=60)).run(work)

    def hasty():
        reports["hasty"] = limited().run(INTERRUPTIBLE["bare loop"], None)

    threads = [threading.Thread(target=work) for work in (patient, hasty)]
    for thread in threads:
        thread.start()
    reports["main"] = limited().run(hang)
    threads[1].join()
    over.set()
    threads[0].join()

    assert (reports["patient"].status, reports["patient"].result) == ("succeeded", "patient")
    assert reports["hasty"].status == reports["main"].status == "tripped"


def test_a_dropped_run_is_looked_at_no_more():
    """Whoever forgets a handle leaves no look and no thread behind."""
    run = Loop(Deadline(total=60)).start()
    run.tick()
    watchers = [thread for thread in threading.enumerate() if "haltable" in thread.name]
    del run
    gc.collect()

    assert len(watchers) == 1
    until(lambda: not watchers[0].is_alive())
    assert _watch.bodies.tokens() == frozenset()


def tripped(act):
    """Returns the report that a way of running raises."""
    with pytest.raises(LoopTripped) as caught:
        act()
    return caught.value.report


def for_with(loop, witness):
    """A `for` whose iterations are entered."""
    for iteration in loop:
        with iteration:
            hang()


def block(loop, witness):
    """A block around somebody else's loop."""
    with loop.start() as run:
        run.tick()
        hang()


def wrapped(loop, witness):
    """A wrapped tool in a block."""
    with loop.start() as run:
        run.wrap(hang)()


def generator(loop, witness):
    """A decorated generator."""

    @bounded_loop(IterationCap(9), Deadline(iteration=LIMIT), sinks=[witness])
    def items():
        hang()
        yield 1

    list(items())


def decorated(loop, witness):
    """A decorated function."""
    limits = IterationCap(9), Deadline(iteration=LIMIT), ExitCondition(success=returned)
    bounded_loop(*limits, sinks=[witness])(hang)()


def over_items(loop, witness):
    """A `for` over items."""
    for iteration, _ in loop.over([1, 2]):
        with iteration:
            hang()


STRUCK = [for_with, block, wrapped, generator, decorated, over_items]


@pytest.mark.parametrize("way", STRUCK)
def test_every_way_that_can_be_struck_is(way):
    """In the main thread a body is interrupted in blocks, generators and iterations, too."""
    witness, start = Witness(), time.monotonic()
    report = tripped(lambda: way(limited(witness), witness))

    assert time.monotonic() - start <= LIMIT + LATE
    assert (report.status, report.breaker, report.starts) == ("tripped", "Deadline", 1)
    assert len(witness.verdicts()) == 1


def bare_for(loop, witness):
    """A `for` whose iterations nobody enters."""
    for _ in loop:
        until(witness.fell.is_set)


def bare_tick(loop, witness):
    """A handle that is ticked, without a block."""
    run = loop.start()
    run.tick()
    until(witness.fell.is_set)
    run.tick()


def bare_wrap(loop, witness):
    """A wrapped tool, without a block."""
    run = loop.start()
    tool = run.wrap(lambda: until(witness.fell.is_set))
    tool()
    tool()


@pytest.mark.parametrize("way", [bare_for, bare_tick, bare_wrap])
@pytest.mark.parametrize("place", [{}, {"key": "k", "store": None}])
def test_every_other_way_is_judged_and_told(way, place):
    """Where nobody of ours is around the body it is not struck, but told, stored and refused."""
    place = {**place, "store": MemoryStore()} if place else {}
    witness = Witness()
    report = tripped(lambda: way(limited(witness, **place), witness))

    assert (report.breaker, report.starts) == ("Deadline", 1)
    assert len(witness.verdicts()) == 1
    assert witness.verdicts()[0].durable is bool(place)
    assert isinstance(witness.events[-1], RunEnded)
    if place:
        assert Operator(place["store"]).show("k").running is None


@pytest.mark.anyio
@pytest.mark.parametrize("way", ["arun", "astep"])
async def test_async_steps_are_interrupted(way):
    """One iteration of an async key is watched like any other."""
    store = MemoryStore()
    limits = IterationCap(9), Deadline(iteration=LIMIT), ExitCondition(success=returned)
    loop = Loop(*limits, key="k", store=store)
    start = time.monotonic()
    report = await getattr(loop, way)(anyio.sleep, LONG)

    assert time.monotonic() - start <= LIMIT + LATE
    assert (report.status, report.breaker) == ("tripped", "Deadline")
    assert Operator(store).show("k").running is None


@pytest.mark.anyio
async def test_the_outer_async_deadline_interrupts_the_inner_body():
    """Cancellation reaches the inner run, whose report says so."""
    runs = []

    async def work():
        runs.append(Loop(IterationCap(9), Deadline(total=60)).start())
        await runs[0].arun(anyio.sleep, LONG)

    start = time.monotonic()
    report = await limited().arun(work)

    assert time.monotonic() - start <= LIMIT + LATE
    assert (report.status, report.breaker) == ("tripped", "Deadline")
    assert runs[0].finished
