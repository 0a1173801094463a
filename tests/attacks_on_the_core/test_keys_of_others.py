# SPDX-License-Identifier: MIT
"""What ends one run leaves the keys, the locks and the pauses of others as they are."""

from __future__ import annotations

import gc
import os
import threading

import anyio

from haltable import (
    Breaker,
    ConfigurationError,
    ExitCondition,
    IterationCap,
    Loop,
    MemoryStore,
    StallDetector,
    Status,
)
from haltable._owner import is_dead, new_owner
from haltable._watch import Watcher
from haltable.encoding import decode_loop
from haltable.events import IterationEnded
from haltable.evidence import Probe

LOOP, APART = "haltable/loop/k", "haltable/apart/k"


def test_a_loop_begun_in_a_stopped_run_leaves_its_key_open():
    """P3: only an operator ends a key; the end of the run around it does not."""
    store = MemoryStore()
    outer = Loop(IterationCap(3)).start()
    inner = []

    def body():
        outer.stop()
        inner.append(Loop(IterationCap(3), key="k", store=store).run(lambda: 1))

    outer.run(body)
    again = Loop(IterationCap(3), key="k", store=store).run(lambda: 1)

    assert inner[0].status is Status.OPEN
    assert again.starts == 3


def test_evidence_of_a_record_that_is_gone_is_not_seen_again():
    """Rule 6: absent reads as never started, in what lies apart, too."""
    store, states = MemoryStore(), iter(range(9))
    loop = Loop(
        IterationCap(1),
        StallDetector(after=60, evidence=Probe(lambda: b"%d" % next(states))),
        key="k",
        store=store,
    )
    loop.run(lambda: None)
    gone = store.read(LOOP)
    assert gone is not None
    assert store.read(APART) is not None
    store.delete(LOOP, expected=gone.version)
    run = loop.start()
    seen = []

    run.run(lambda: seen.append(run.kernel.plan.breakers[1].memory(apart=True)["seen"]))

    assert [len(known) for known in seen[0].values()] == [1]


def test_a_renewal_in_a_pause_does_not_begin_the_wait_again():
    """A pause that is renewed and then left by a crash is waited for once."""
    store = MemoryStore()
    run = Loop(IterationCap(3), delay=100, key="k", store=store).start()
    iterator = iter(run)
    next(iterator)
    moment = run.now()
    store_record = decode_loop(store.read(LOOP).value)

    paused = run.pausing(moment, 100.0)(store_record)
    renewed = run.renewing(moment + 60.0)(paused)

    assert (paused.wait, renewed.wait) == (100.0, 40.0)
    iterator.close()


def test_a_process_that_proc_hides_is_not_known_dead(monkeypatch):
    """Rule 1: where /proc hides other users' processes, absence there is no death."""
    owner = new_owner()
    parent = type(owner)(owner.boot, owner.space, os.getppid(), "1", "another")

    def hidden(path, *args, **kwargs):
        raise FileNotFoundError(path)

    monkeypatch.setattr("pathlib.Path.read_text", hidden)

    assert not is_dead(parent, alive=())


def test_a_run_that_ends_in_a_garbage_collection_does_not_lock_the_watcher():
    """P5: a dropped run may be ended by any thread, also by one that holds the lock."""
    watcher = Watcher()

    class Dropped:
        def __del__(self):
            watcher.remove("dropped")

    class Token(str):
        """Collects garbage while the watcher holds its lock."""

        __slots__ = ()

        def __hash__(self):
            gc.collect()
            return 7

    def add():
        cycle = [Dropped()]
        cycle.append(cycle)
        del cycle
        watcher.add(Token("mine"), None)

    thread = threading.Thread(target=add, daemon=True)
    thread.start()
    thread.join(20)

    assert not thread.is_alive()


async def test_a_task_that_outlives_its_wrapped_call_waits_for_the_end_of_it():
    """P1: while a call ends, its own tasks take turns like all others; no iteration ends twice."""
    asked, done, told, after = anyio.Event(), anyio.Event(), [], []

    class Counting(Breaker):
        def after(self, iteration):
            after.append(iteration.number)

    async def not_yet(_result):
        asked.set()
        await anyio.wait_all_tasks_blocked()
        return False

    def sink(event):
        if isinstance(event, IterationEnded):
            told.append(event.number)

    policy = (IterationCap(5), Counting(), ExitCondition(success=not_yet))
    run = Loop(*policy, sinks=[sink]).start()

    @run.wrap
    async def later():
        await anyio.lowlevel.checkpoint()

    async def outlive():
        await asked.wait()
        await later()
        done.set()

    @run.wrap
    async def tool():
        group.start_soon(outlive)

    async with anyio.create_task_group() as group, run:
        await tool()
        with anyio.fail_after(20):
            await done.wait()

    assert (told, after) == ([1, 2], [1, 2])
    assert run.report.starts == 2


async def test_a_wrapped_tool_that_waits_for_another_is_refused():
    """Rule 12: tasks begun inside a wrapped call do not wait for its end, which awaits theirs."""
    run = Loop(IterationCap(5)).start()
    refused = []

    async def inner():
        return 1

    wrapped = run.wrap(inner)

    async def call():
        try:
            await wrapped()
        except ConfigurationError as error:
            refused.append(error)

    @run.wrap
    async def outer():
        async with anyio.create_task_group() as group:
            group.start_soon(call)
            group.start_soon(call)

    async with run:
        with anyio.fail_after(20):
            await outer()

    assert len(refused) == 2
    assert run.report.starts == 1
