# SPDX-License-Identifier: MIT
"""`for` and `over`: what ends them, what leaving them means, and that dropping one ends its run."""

from __future__ import annotations

import contextlib
import gc
import itertools

import anyio
import pytest

from haltable import (
    ConfigurationError,
    ExitCondition,
    IterationCap,
    Loop,
    LoopBusy,
    LoopHalted,
    LoopTripped,
    MemoryStore,
    Status,
)
from haltable.conditions import never, returned
from haltable.model import Outcome

CAP = IterationCap(3)


class AwaitedStore:
    """A host's store that has to be awaited."""

    def __init__(self):
        self._held = MemoryStore()
        self.durability = self._held.durability

    async def read(self, key):
        await anyio.lowlevel.checkpoint()
        return self._held.read(key)

    async def write(self, key, value, *, expected):
        await anyio.lowlevel.checkpoint()
        return self._held.write(key, value, expected=expected)

    async def delete(self, key, *, expected):
        return self._held.delete(key, expected=expected)

    async def scan(self, prefix):
        for each in self._held.scan(prefix):
            yield each


class Heard:
    """A sink that keeps how iterations ended, and how the run did."""

    def __init__(self):
        self.outcomes = []
        self.rulings = []

    def __call__(self, event):
        if hasattr(event, "outcome"):
            self.outcomes.append(event.outcome)
        if hasattr(event, "ruling"):
            self.rulings.append(event.ruling)


def leave(iterable, *, how="break", block=False, at=1):
    """Leaves a `for` in the iteration of this number."""
    with contextlib.suppress(ZeroDivisionError):
        for each in iterable:
            iteration = each[0] if isinstance(each, tuple) else each
            with iteration if block else contextlib.nullcontext():
                if iteration.number == at:
                    if how == "break":
                        break
                    assert iteration.number / 0


async def aleave(iterable, *, how="break", block=False):
    """Leaves an `async for` in its first iteration."""
    with contextlib.suppress(ZeroDivisionError):
        async for each in iterable:
            iteration = each[0] if isinstance(each, tuple) else each
            with iteration if block else contextlib.nullcontext():
                await anyio.lowlevel.checkpoint()
                if how == "break":
                    break
                assert iteration.number / 0


async def letters():
    """Yields a few items."""
    for letter in "abc":
        await anyio.lowlevel.checkpoint()
        yield letter


def keyed(**options):
    """Returns a loop with a key and its own store."""
    return Loop(CAP, key="key", **{"store": MemoryStore(), **options})


# What ends a `for` ------------------------------------------------------------


def test_each_for_is_a_fresh_run():
    """A loop can be iterated again and again; each has the whole cap."""
    loop, numbers = Loop(CAP), []
    for _ in range(2):
        with pytest.raises(LoopTripped):
            numbers.extend(iteration.number for iteration in loop)

    assert numbers == [1, 2, 3, 1, 2, 3]


def test_a_run_is_iterated_once():
    """The second use of a handle says what the first was."""
    run = Loop(CAP).start()
    leave(run)
    with pytest.raises(ConfigurationError, match="used already \\(by for\\)"):
        iter(run)


def test_done_ends_a_for_after_its_iteration():
    """done() does not interrupt, and its value is the result."""
    run, reached = Loop(CAP).start(), []
    for iteration in run:
        iteration.done("reply")
        reached.append(iteration.number)

    assert (reached, run.report.result, run.report.ok) == ([1], "reply", True)


def test_give_up_is_raised_out_of_a_for():
    """A cap never looks like a finished loop, and neither does giving up."""

    def use():
        for iteration in Loop(CAP):
            iteration.give_up("nothing left")

    with pytest.raises(LoopHalted, match="nothing left") as halted:
        use()

    assert halted.value.report.status is Status.GAVE_UP


def test_a_block_makes_an_exception_an_outcome():
    """Inside `with iteration` a failure is counted, and the loop goes on to its limit."""
    run = Loop(IterationCap(9)).start()

    def use():
        for iteration in run:
            with iteration:
                assert iteration.number / 0

    with pytest.raises(LoopTripped) as halted:
        use()

    assert (run.report.starts, run.report.failures) == (3, 3)
    assert isinstance(halted.value.__cause__, ZeroDivisionError)


def test_a_block_belongs_to_a_for():
    """In a body of run() exceptions are outcomes already, and a block there is refused."""
    report = Loop(CAP).run(lambda iteration: iteration.__enter__())

    assert "with iteration: belongs into" in str(report.error)


def test_the_iterator_goes_on_raising():
    """P8: asked again after its end, a `for`'s iterator gives nothing more."""
    iterator = iter(Loop(IterationCap(1)))
    next(iterator)
    with pytest.raises(LoopTripped):
        next(iterator)
    with pytest.raises(StopIteration):
        next(iterator)


async def test_the_async_iterator_goes_on_raising():
    """P8: asked again after its end, it says the same once more and asks nobody."""
    asked, heard = [], Heard()
    loop = Loop(IterationCap(1), ExitCondition(success=lambda: asked.append(1)), sinks=[heard])
    iterator = aiter(loop)
    await anext(iterator)
    for _ in range(3):
        with pytest.raises(LoopTripped):
            await anext(iterator)

    assert (len(asked), heard.outcomes) == (2, [Outcome.RETURNED])


async def test_an_async_iterator_that_succeeded_stays_at_its_end():
    """P8: asked again after success it is at its end, as any iterator would be."""
    iterator = aiter(Loop(IterationCap(3), ExitCondition(success=returned)))
    await anext(iterator)
    for _ in range(3):
        with pytest.raises(StopAsyncIteration):
            await anext(iterator)


async def test_an_async_iterator_is_its_own():
    """What `aiter` gives may be iterated, too, as Python asks of every iterator."""
    iterator, numbers = aiter(Loop(CAP)), []
    with contextlib.suppress(LoopTripped):
        async for iteration in iterator:
            with iteration:
                numbers.append(iteration.number)

    assert numbers == [1, 2, 3]


def test_a_stop_is_raised_where_a_bare_for_asks():
    """P8: without a block no frame of ours is around it, so it gets what a caller may catch."""
    run, heard = Loop(CAP).start(), []
    with contextlib.suppress(LoopHalted):
        for iteration in run:
            run.stop("enough")
            try:
                iteration.check()
            except LoopHalted as halted:
                heard.append(halted.report)

    assert [report.reason for report in heard] == ["enough"]
    assert (run.report.status, run.report.starts) == (Status.STOPPED, 1)


# Leaving a `for` ----------------------------------------------------------------


@pytest.mark.parametrize("how", ["break", "raise"])
def test_leaving_a_for_without_a_key_is_an_interruption(how):
    """Nobody can tell `break` from an exception; without a key nothing depends on it."""
    heard = Heard()
    run = Loop(CAP, sinks=[heard]).start()
    leave(run, how=how)

    assert (run.report.status, run.report.failures) == (Status.OPEN, 0)
    assert heard.outcomes == [Outcome.INTERRUPTED]


@pytest.mark.parametrize("how", ["break", "raise"])
def test_leaving_a_keyed_for_counts_as_a_failure_and_says_so(how):
    """On a key a `for` left in the open could hide an exception, so it counts as one."""
    loop = keyed()
    run = loop.start()
    leave(run, how=how)

    assert (run.report.status, run.report.failures) == (Status.OPEN, 1)
    assert "with iteration" in str(run.report.error)
    assert "look the same" in str(run.report.error)


def test_a_keyed_for_that_is_left_three_times_is_tripped():
    """The host that dies of the same exception at every restart is stopped after three."""
    loop = Loop(IterationCap(9), key="host", store=MemoryStore())
    for _ in range(3):
        leave(loop, how="raise")
    with pytest.raises(LoopTripped, match="3 failures in a row"):
        leave(loop)


@pytest.mark.parametrize("act", ["done", "give_up"])
def test_leaving_a_keyed_for_after_a_claim_is_no_failure(act):
    """Whoever said done() or give_up() may `break`; the claim decides."""
    run = keyed().start()
    for iteration in run:
        iteration.done("reply") if act == "done" else iteration.give_up("nothing left")
        break

    assert run.report.status is (Status.SUCCEEDED if act == "done" else Status.GAVE_UP)
    assert run.report.failures == 0


def test_breaking_out_of_a_block_is_no_failure():
    """A block sees that no exception came, and the iteration returned."""
    run = keyed().start()
    leave(run, block=True)

    assert (run.report.status, run.report.failures, run.report.durable) == (Status.OPEN, 0, True)


@pytest.mark.parametrize("block", [True, False])
def test_a_for_that_is_left_gives_its_key_back(block):
    """The next run starts at once, with what is left of the cap."""
    loop = keyed()
    leave(loop, block=block)

    assert loop.run(lambda iteration: iteration.starts).result == 3


def test_an_iterator_that_is_dropped_gives_its_key_back():
    """One that nobody holds any more has ended its run, wherever it was."""
    loop = keyed()
    iterator = iter(loop)
    next(iterator)
    with pytest.raises(LoopBusy):
        loop.run(len, "")
    del iterator
    gc.collect()

    assert loop.run(lambda iteration: iteration.starts).result == 3


def test_an_iterator_that_was_never_asked_holds_nothing():
    """The lease is taken at the first start, not by making the iterator."""
    loop = keyed()
    iterator = iter(loop)
    handle = loop.start()

    assert loop.run(lambda: None).starts == 3
    assert handle.report.ran is False
    del iterator


async def test_a_bare_async_for_over_an_async_store_is_refused():
    """Nobody could renew its lease; the error says what to write, and that works."""
    loop = Loop(IterationCap(2), key="key", store=AwaitedStore())
    with pytest.raises(ConfigurationError, match="async with"):
        async for _ in loop:
            pass
    starts = []

    async def attended():
        async with loop.start() as run:
            async for iteration in run:
                with iteration:
                    starts.append(iteration.starts)

    with pytest.raises(LoopTripped):
        await attended()

    assert starts == [1, 2]


async def test_an_async_for_that_is_left_gives_its_key_back():
    """Without waiting for an event loop's finaliser the next run starts at once."""
    loop = Loop(IterationCap(4), key="key", store=MemoryStore())

    async def body(iteration):
        return iteration.starts

    await aleave(loop)
    await aleave(loop, how="raise", block=False)
    report = await loop.arun(body)

    assert (report.result, report.status) == (4, Status.TRIPPED)


async def test_an_async_iterator_that_is_dropped_over_an_async_store_is_known_dead():
    """Nothing can be awaited there: its claim is a dead owner's, and the next start takes over."""
    store = AwaitedStore()
    loop = Loop(CAP, ExitCondition(success=never), key="key", store=store)

    async def body(iteration):
        return iteration.starts

    async with loop.start() as run:
        iterator = aiter(run)
        await anext(iterator)
        with pytest.raises(LoopBusy):
            await loop.astep(body)
        del iterator
        gc.collect()
        step = await loop.astep(body)

    assert (step.result, step.failures) == (2, 1)
    assert (run.report.status, run.report.durable) == (Status.OPEN, False)
    assert "lost the key" in run.report.reason


async def test_an_async_for_that_is_left_without_a_key_is_an_interruption():
    """As in its twin, nothing counts."""
    run = Loop(CAP).start()
    await aleave(run)

    assert (run.report.status, run.report.failures) == (Status.OPEN, 0)


# Over ----------------------------------------------------------------------------


def test_the_end_of_the_items_is_success():
    """All items were passed, each with its iteration."""
    pairs = Loop(CAP).over("abc")
    seen = [(iteration.number, item) for iteration, item in pairs]

    assert seen == [(1, "a"), (2, "b"), (3, "c")]
    assert (pairs.run.report.status, pairs.run.report.starts) == (Status.SUCCEEDED, 3)


def test_no_items_are_success_with_nothing_run():
    """There was nothing to do."""
    pairs = Loop(CAP).over(())
    assert list(pairs) == []
    assert (pairs.run.report.ok, pairs.run.report.ran) == (True, False)


def test_a_refused_item_is_pending():
    """The item that the cap refused is in the report, and the rest is still in the iterable."""
    items = iter("abcde")
    with pytest.raises(LoopTripped) as halted:
        list(Loop(CAP).over(items))

    assert halted.value.report.pending == "d"
    assert list(items) == ["e"]


def test_over_keeps_no_cursor():
    """The next run over the same key begins with the items it is given."""
    loop = Loop(IterationCap(4), key="key", store=MemoryStore())
    leave(loop.over("abc"), block=True, at=2)
    seen = []
    with pytest.raises(LoopTripped):
        seen.extend(item for _, item in loop.over("abc"))

    assert seen == ["a", "b"]


def test_over_ends_where_the_loop_does():
    """done() ends it before the items do, and nothing is pending."""
    pairs = Loop(CAP).over(itertools.count())
    for iteration, item in pairs:
        if item == 1:
            iteration.done(item)

    assert (pairs.run.report.result, pairs.run.report.pending) == (1, None)


def test_an_error_of_the_items_passes():
    """What the iterable raises is no outcome of an iteration, and is not swallowed."""

    def items():
        yield "a"
        raise OSError("no more")

    pairs = keyed().over(items())
    with pytest.raises(OSError, match="no more") as error:
        list(pairs)

    assert error.value.__cause__ is None
    assert (pairs.run.report.status, pairs.run.report.failures) == (Status.OPEN, 0)


def test_a_busy_key_among_the_items_ends_this_run_too():
    """LoopBusy from the iterable is somebody else's, and this key is given back."""
    loop, other = keyed(), keyed()
    held = iter(other)
    next(held)

    def items():
        yield "a"
        other.run(len, "")

    with pytest.raises(LoopBusy):
        list(loop.over(items()))

    del held
    assert loop.run(lambda iteration: iteration.starts).result == 3


def test_over_is_iterated_once():
    """Its run is used once, like any."""
    pairs = Loop(CAP).over("abc")
    list(pairs)
    with pytest.raises(ConfigurationError, match="used already"):
        iter(pairs)


async def test_over_async_items_does_the_same():
    """Its end is success, a refused item is pending, leaving it gives the key back."""
    whole = Loop(CAP).over(letters())
    seen = [(iteration.number, item) async for iteration, item in whole]
    source = letters()
    short = Loop(IterationCap(2)).over(source)
    with pytest.raises(LoopTripped) as halted:
        assert [pair async for pair in short]
    await source.aclose()
    loop, source = Loop(CAP, key="key", store=MemoryStore()), letters()
    await aleave(loop.over(source), block=True)
    await source.aclose()

    async def body(iteration):
        return iteration.starts

    assert seen == [(1, "a"), (2, "b"), (3, "c")]
    assert whole.run.report.ok
    assert halted.value.report.pending == "c"
    assert (await loop.arun(body)).result == 3


async def test_an_error_of_async_items_passes():
    """The same when they are awaited: no outcome, not swallowed, and the key is given back."""

    async def items():
        yield "a"
        raise OSError("no more")

    loop = keyed()
    source = items()
    pairs = loop.over(source)
    with pytest.raises(OSError, match="no more") as error:
        assert [pair async for pair in pairs]
    await source.aclose()

    assert error.value.__cause__ is None
    assert (pairs.run.report.status, pairs.run.report.failures) == (Status.OPEN, 0)
    assert loop.run(lambda iteration: iteration.starts).result == 3


async def test_cancelled_while_it_waits_for_an_item():
    """P9: the cancellation goes on, and the key is given back at once."""
    loop = keyed()

    async def items():
        yield "a"
        scope.cancel()
        await anyio.sleep_forever()

    source = items()
    pairs = loop.over(source)
    with anyio.CancelScope() as scope:
        async for _ in pairs:
            pass
    await source.aclose()

    assert scope.cancelled_caught
    assert (pairs.run.report.status, pairs.run.report.failures) == (Status.OPEN, 0)
    assert loop.run(lambda iteration: iteration.starts).result == 3


async def test_sync_items_in_async_code_are_iterated_as_they_are():
    """over() of a plain iterable is a plain `for`, also inside a coroutine."""
    pairs = Loop(CAP).over("ab")
    for iteration, item in pairs:
        await anyio.lowlevel.checkpoint()
        assert (iteration.number, item) in {(1, "a"), (2, "b")}

    assert pairs.run.report.ok
