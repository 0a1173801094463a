# SPDX-License-Identifier: MIT
"""P9 with bodies that are cancelled, swallow it, fail beside siblings, or interrupt the program."""

from __future__ import annotations

import asyncio
import threading

import anyio
import pytest

from haltable import IterationCap, Loop, LoopHalted, MemoryStore, Operator
from haltable._watch import shared
from tests.faults.faulty import AsyncFaulty

KEY = "job"
CAP = 20
#: Seconds that no test waits for; a hang is found by them.
LONG = 10.0


@pytest.fixture
def store():
    """A store in memory."""
    return MemoryStore()


def keyed(store, **options):
    """A loop that writes."""
    return Loop(IterationCap(CAP), key=KEY, store=store, **options)


def unkeyed(store, **options):
    """A loop that does not."""
    return Loop(IterationCap(CAP), **options)


LOOPS = pytest.mark.parametrize("make", [keyed, unkeyed])


class Sleeper:
    """A body that sleeps until it is cancelled, and may swallow that."""

    def __init__(self, swallows=0):
        self.swallows = swallows
        self.inside = anyio.Event()
        self.bodies = self.cancelled = 0

    async def __call__(self):
        self.bodies += 1
        self.inside.set()
        try:
            await anyio.sleep(LONG)
        except anyio.get_cancelled_exc_class():
            self.cancelled += 1
            if self.cancelled > self.swallows:
                raise


def check_interrupted(run, store, bodies):
    """Holds the report and the record of a run that was cancelled in its last body."""
    report = run.report
    assert (report.status, report.starts, report.failures) == ("open", bodies, 0)
    assert "interrupted by Cancel" in report.reason
    assert not shared.tokens()
    if report.key is not None:
        state = Operator(store).show(KEY)
        assert (state.running, state.starts) == (None, bodies)
        assert (state.failures, state.crashes) == (0, 0)
        assert report.durable


@LOOPS
async def test_cancelled_in_the_body(make, store):
    """P9: it is neither failure nor success, and the key is free at once."""
    body = Sleeper()
    run = make(store).start()
    async with anyio.create_task_group() as group:
        group.start_soon(run.arun, body)
        await body.inside.wait()
        group.cancel_scope.cancel()

    check_interrupted(run, store, bodies=1)
    assert (await make(store).arun(_nothing)).starts == CAP


@LOOPS
async def test_cancelled_in_a_pause(make, store):
    """P9: a pause is cut short by a cancellation; the iteration before it counts as it ended."""
    paused = anyio.Event()

    def hear(event):
        if type(event).__name__ == "LoopPaused":
            paused.set()

    run = make(store, delay=LONG, sinks=[hear]).start()
    async with anyio.create_task_group() as group:
        group.start_soon(run.arun, _nothing)
        await paused.wait()
        group.cancel_scope.cancel()

    check_interrupted(run, store, bodies=1)


@LOOPS
async def test_swallowed_once(make, store):
    """P9: a body that swallows the cancellation of its scope does not get another turn."""
    body = Sleeper(swallows=1)
    run = make(store).start()
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as group:

            async def cancel():
                await body.inside.wait()
                scope.cancel()

            group.start_soon(cancel)
            await run.arun(body)

    assert scope.cancelled_caught
    # The next body may begin where nothing is awaited between, and learns of it there.
    assert body.bodies <= 2
    check_interrupted(run, store, bodies=body.bodies)


@LOOPS
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_swallowed_timeout_still_ends_the_run(make, store):
    """P9: asyncio asks only once; a body that swallows it does not keep the loop alive."""
    body = Sleeper(swallows=CAP)
    run = make(store).start()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await run.arun(body)

    assert body.bodies == 1
    check_interrupted(run, store, bodies=1)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_swallowed_task_cancellation_still_ends_the_run(store):
    """P9: the same of a task that is cancelled by its name, as frameworks do at shutdown."""
    body = Sleeper(swallows=CAP)
    run = keyed(store).start()
    task = asyncio.create_task(run.arun(body))
    await body.inside.wait()
    task.cancel()
    await asyncio.wait([task])

    assert task.cancelled()
    assert body.bodies == 1
    check_interrupted(run, store, bodies=1)


@LOOPS
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_cancellation_that_the_body_took_back_is_none(make, store):
    """P9: a body that uncancels what it caught, as asyncio asks of it, goes on."""
    bodies = []

    async def body():
        bodies.append(1)
        task = asyncio.current_task()
        task.cancel()
        try:
            await asyncio.sleep(LONG)
        except asyncio.CancelledError:
            task.uncancel()
        async with asyncio.timeout(LONG):
            await asyncio.sleep(0)
        with anyio.move_on_after(0):
            await anyio.sleep(LONG)

    report = await make(store).arun(body)

    assert (report.status, len(bodies)) == ("tripped", CAP)


@LOOPS
async def test_a_sibling_fails(make, store):
    """P9: a group keeps its exceptions: the sibling's alone, and not the run's cancellation."""
    body = Sleeper()
    run = make(store).start()

    async def fail():
        await body.inside.wait()
        raise KeyError("sibling")

    with pytest.raises(ExceptionGroup) as caught:
        await _side_by_side(lambda: run.arun(body), fail)

    assert [type(error) for error in caught.value.exceptions] == [KeyError]
    check_interrupted(run, store, bodies=1)


@LOOPS
async def test_a_halted_loop_beside_a_sibling(make, store):
    """P9: a trip that is unwrapped in a group comes out of it as itself."""

    async def work():
        (await make(store).arun(_nothing)).unwrap()

    with pytest.raises(ExceptionGroup) as caught:
        await _side_by_side(work, anyio.lowlevel.checkpoint)

    [halted] = caught.value.exceptions
    assert isinstance(halted, LoopHalted)
    assert halted.report.status == "tripped"


@LOOPS
async def test_a_body_whose_own_group_fails(make, store):
    """P9: what a body's own tasks raise is its outcome, the group unchanged."""

    async def fail():
        raise KeyError("child")

    async def body():
        async with anyio.create_task_group() as group:
            group.start_soon(fail)
            group.start_soon(anyio.sleep, LONG)

    report = await make(store).arun(body)

    assert (report.status, report.failures) == ("tripped", 3)
    assert isinstance(report.error, ExceptionGroup)
    assert [type(error) for error in report.error.exceptions] == [KeyError]


INTERRUPTS = pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])


@LOOPS
@INTERRUPTS
async def test_an_interrupt_in_an_async_body_is_bare(make, store, kind):
    """P9: it leaves `arun` as the body raised it, in no group, and counts as nothing."""
    error = kind("stop it all")
    seen = []

    async def body():
        seen.append(1)
        await anyio.lowlevel.checkpoint()
        if len(seen) == 3:
            raise error
        if len(seen) == 2:
            raise ValueError("the second one fails")

    run = make(store).start()
    with pytest.raises(kind) as caught:
        await run.arun(body)

    assert caught.value is error
    _check_bare(run, store, kind)


@LOOPS
@INTERRUPTS
def test_an_interrupt_in_a_body_is_bare(make, store, kind):
    """P9: the same of `run`."""
    error = kind("stop it all")
    seen = []

    def body():
        seen.append(1)
        if len(seen) == 3:
            raise error
        if len(seen) == 2:
            raise ValueError("the second one fails")

    run = make(store).start()
    with pytest.raises(kind) as caught:
        run.run(body)

    assert caught.value is error
    _check_bare(run, store, kind)


@LOOPS
async def test_an_interrupt_in_a_group_of_the_body(make, store):
    """P9: a group that holds more than an `Exception` is no outcome; it leaves whole."""

    async def body():
        raise BaseExceptionGroup("both", [KeyboardInterrupt(), ValueError()])

    run = make(store).start()
    with pytest.raises(BaseExceptionGroup) as caught:
        await run.arun(body)

    assert [type(e) for e in caught.value.exceptions] == [KeyboardInterrupt, ValueError]
    assert (run.report.status, run.report.failures) == ("open", 0)


def _check_bare(run, store, kind):
    report = run.report
    assert (report.status, report.starts, report.failures_in_row) == ("open", 3, 1)
    assert kind.__name__ in report.reason
    assert not shared.tokens()
    if report.key is not None:
        state = Operator(store).show(KEY)
        assert (state.running, state.starts) == (None, 3)
        assert (state.failures, state.failures_in_row, state.crashes) == (1, 1, 0)


async def test_a_blocking_store_that_hangs_is_left_behind():
    """P11: a synchronous store's thread cannot be stopped; a cancelled run does not wait for it."""
    store, bodies = Blocking(), []

    async def body():
        bodies.append(store.calls)

    loop = Loop(IterationCap(CAP), key=KEY, store=store, grace=0.1)
    try:
        with anyio.fail_after(LONG), anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:

                async def cancel():
                    await anyio.to_thread.run_sync(store.hung.wait)
                    scope.cancel()

                group.start_soon(cancel)
                await loop.arun(body)
    finally:
        store.released.set()

    assert scope.cancelled_caught
    assert bodies == [1]


class Blocking:
    """A synchronous store whose third write hangs until it is released."""

    blocks = True

    def __init__(self):
        self.inner = MemoryStore()
        self.durability = self.inner.durability
        self.hung, self.released = threading.Event(), threading.Event()
        self.calls = 0

    def read(self, key):
        return self.inner.read(key)

    def write(self, key, value, *, expected):
        self.calls += 1
        if self.calls == 2:
            self.hung.set()
            self.released.wait(LONG)
        return self.inner.write(key, value, expected=expected)

    def scan(self, prefix):
        return self.inner.scan(prefix)

    def delete(self, key, *, expected):
        return self.inner.delete(key, expected=expected)


async def _side_by_side(*works):
    async with anyio.create_task_group() as group:
        for work in works:
            group.start_soon(work)


async def _nothing():
    pass


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
@pytest.mark.parametrize("make_store", [MemoryStore, lambda: AsyncFaulty(None, 0)])
def test_interrupted_in_a_cancelled_scope(backend, kind, make_store):
    """P9: what interrupts the program comes out of a cancelled scope, which must not swallow it."""

    async def work():
        with anyio.CancelScope() as scope:

            async def body():
                scope.cancel()
                try:
                    await anyio.sleep(LONG)
                finally:
                    raise kind("from outside")

            await keyed(make_store()).arun(body)

    with pytest.raises(kind, match="from outside"):
        anyio.run(work, backend=backend)
