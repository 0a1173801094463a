# SPDX-License-Identifier: MIT
"""What a poller does with what its source hands out: one attempt each, in rounds, to the end."""

from __future__ import annotations

import contextvars

import anyio
import pytest

from haltable import ExitCondition, IterationCap, Loop, LoopBusy, MemoryStore, Operator, Status
from haltable.conditions import never, returned
from haltable.testing import FakeClock
from tests.poller.sources import Attempts, in_order, policy, polled

AB = [("a", 1), ("b", 2)]


@pytest.mark.parametrize("concurrency", [1, 3])
@pytest.mark.parametrize("handed", [[AB], [*AB], [tuple(AB)], [None, AB], [dict(AB).items()]])
def test_a_source_may_hand_out_one_several_or_none(handed, concurrency):
    """None, a pair, and any iterable of pairs are answers."""
    act = Attempts()
    source = in_order(*handed)
    poller = polled(
        source, act, until=lambda so_far: so_far.succeeded == 2, concurrency=concurrency
    )
    report = poller.run()

    assert sorted(act.made) == [1, 2]
    assert (report.status, report.attempts) == (Status.SUCCEEDED, 2)


async def test_an_async_source_may_hand_out_one_several_or_none():
    """The same, of coroutine functions, async generators and plain functions."""

    async def answers():
        return handed()

    async def items():
        for item in handed() or ():
            yield item

    for source in (answers, items, None):
        handed = in_order(AB, None)
        act = Attempts()
        report = await polled(source or handed, act.awaited).arun()

        assert act.made == [1, 2]
        assert (report.status, report.succeeded) == (Status.SUCCEEDED, 2)


@pytest.mark.parametrize("concurrency", [1, 2])
def test_a_key_that_is_left_open_waits_for_the_next_round(concurrency):
    """A failed task is attempted once a round, and no more when it is dead."""
    clock, act = FakeClock(), Attempts(1)
    times = []

    def noting(payload):
        times.append(clock.now())
        return act(payload)

    report = polled(lambda: AB, noting, every=7, clock=clock, concurrency=concurrency).run()

    assert act.counts == {1: 3, 2: 1}
    assert [times[0], *times[-2:]] == [0, 7, 14]
    assert (report.attempts, report.succeeded, report.dead) == (4, 1, 1)


@pytest.mark.parametrize("concurrency", [1, 2])
async def test_tasks_wait_for_the_next_round_too(concurrency):
    """The same on an event loop."""
    clock, act = FakeClock(), Attempts(1)
    poller = polled(lambda: AB, act.awaited, every=7, clock=clock, concurrency=concurrency)
    report = await poller.arun()

    assert act.counts == {1: 3, 2: 1}
    assert (report.attempts, report.succeeded, report.dead) == (4, 1, 1)


def test_a_retry_after_holds_up_no_other_key():
    """While one key waits for its delay, the rounds of the others go on."""
    clock = FakeClock()
    loop = policy(delay=30, clock=clock, store=MemoryStore(clock=clock.now))
    times = {"slow": [], "quick": []}
    work = [("slow", "slow")]

    def act(payload):
        times[payload].append(clock.now())
        if payload == "slow":
            work.extend((f"quick-{n}", "quick") for n in range(len(work), len(work) + 2))
            raise ValueError

    polled(lambda: work, act, loop=loop, every=2, clock=clock).run()

    assert len(times["slow"]) == 3
    assert all(b - a >= 30 for a, b in zip(times["slow"], times["slow"][1:], strict=False))
    assert times["quick"][:2] == [0, 0]


def test_iteration_is_handed_over_where_it_is_asked_for():
    """An act takes the payload, and the iteration before or after it, or by name only."""
    seen = []

    def first(iteration, payload):
        seen.append((payload, iteration.key))

    def last(payload, iteration):
        seen.append((payload, iteration.key))

    def named(payload, *, iteration):
        seen.append((payload, iteration.key))

    for act in (first, last, named):
        polled(in_order(("k", 5)), act).run()

    assert seen == [(5, "k")] * 3


def test_a_finished_key_starves_nobody():
    """A source of single tasks with finished keys among them has its others done in one round."""
    clock, act = FakeClock(), Attempts("dead")
    turns = [("dead", "dead"), ("one", 1), ("dead", "dead"), ("two", 2), ("dead", "dead")]
    polled(in_order(*turns), act, clock=clock).run()

    assert act.counts == {"dead": 1, 1: 1, 2: 1}
    assert clock.now() <= 1


def test_a_source_that_clings_to_one_key_does_not_spin():
    """A source that has nothing but a dead key to offer is asked a few times a round."""
    clock, act = FakeClock(), Attempts("dead")
    asked = []

    def ready():
        asked.append(clock.now())
        return ("dead", "dead")

    poller = polled(ready, act, clock=clock, until=never, seconds=100, every=1)
    report = poller.run()

    assert act.counts == {"dead": 3}
    assert len(asked) <= 3 * 100
    assert (report.breaker, report.status) == ("seconds", Status.TRIPPED)


def test_a_source_is_told_what_it_need_not_hand_out():
    """With a parameter `skip` even a source that always takes its first row gets through."""
    rows, act = ["dead", "good"], Attempts("dead")

    def ready(skip):
        return next(((row, row) for row in rows if row not in skip), None)

    report = polled(ready, act, loop=policy(delay=0), until=lambda so_far: so_far.dead).run()

    assert act.counts == {"dead": 3, "good": 1}
    assert report.succeeded == 1


def test_a_busy_key_is_skipped():
    """A key that somebody else is at is left alone, and attempted when it is free."""
    loop, act = policy(), Attempts()
    polls = []

    def elsewhere():
        polled(lambda: [("held", 1), ("free", 2)], act, loop=loop, until=two).run()

    def two(so_far):
        polls.append(so_far.busy)
        return so_far.busy >= 2

    loop.with_(key="held").step(elsewhere)

    assert act.made == [2]
    assert polls[-1] == 2


@pytest.mark.parametrize("concurrency", [1, 2])
async def test_tasks_may_be_busy_or_refused(concurrency):
    """On an event loop too both are skipped, and the others are done."""
    loop, act = policy(), Attempts()
    tasks = [("held", 1), ("bad\nkey", 2), ("free", 3)]
    options = {"loop": loop, "until": lambda so_far: so_far.busy, "concurrency": concurrency}
    reports = []

    async def elsewhere():
        reports.append(await polled(lambda: tasks, act.awaited, **options).arun())

    await loop.with_(key="held").astep(elsewhere)
    (report,) = reports

    assert act.made == [3]
    assert (report.busy, report.refused, report.succeeded) == (1, 1, 1)


def test_an_operators_reset_is_seen():
    """A key that has ended is looked at again after a while."""
    store, clock = MemoryStore(), FakeClock()
    act = Attempts("x")

    def until(so_far):
        if so_far.dead == 1 and len(act.made) == 3:
            Operator(store).reset("x", by="ana", why="mended")
        return so_far.dead == 2

    polled(lambda: ("x", "x"), act, loop=policy(store=store), clock=clock, until=until).run()

    assert act.counts == {"x": 6}
    assert clock.now() >= 30


def test_a_loop_may_depend_on_the_payload():
    """A function of the payload makes each task's own policy."""
    store, act = MemoryStore(), Attempts(1, 4)

    def loop(cap):
        return Loop(IterationCap(cap), ExitCondition(success=returned), key="any", store=store)

    report = polled(lambda: [("a", 1), ("b", 4)], act, loop=loop).run()

    assert act.counts == {1: 1, 4: 3}
    assert report.dead == 2


def test_a_task_without_a_loop_is_refused_and_told(caplog):
    """One unusable task is logged and counted, and the others are done."""
    act = Attempts()
    report = polled(lambda: [("bad\nkey", 1), ("good", 2)], act).run()

    assert act.made == [2]
    assert (report.refused, report.succeeded) == (1, 1)
    assert "bad" in caplog.text
    assert "printable" in str(report)


def test_a_function_that_makes_no_loop_is_told_in_words():
    """The operator reads what the function returned, and what it should have."""
    report = polled(lambda: [("k", 1)], Attempts(), loop=lambda payload: "no loop").run()

    assert report.refused == 1
    assert "loop= returned 'no loop': return a Loop" in str(report)


@pytest.mark.parametrize("concurrency", [1, 2])
def test_ends_are_told(concurrency, caplog):
    """Whoever wants to hear of ends hears of each, and cannot end the poller by raising."""
    told, loop = [], policy()

    def ended(report):
        told.append((report.key, report.status.value, report.ran))
        raise LookupError("nobody at home")

    options = {"loop": loop, "ended": ended, "concurrency": concurrency}
    tasks = [("bad", "bad"), ("good", "good")]
    first = polled(lambda: tasks, Attempts("bad"), **options).run()
    second = polled(lambda: tasks, Attempts(), **options).run()
    known = {("bad", "tripped"), ("good", "succeeded")}

    assert (first.ok, second.ok) == (True, True)
    assert set(told) == {(*each, ran) for each in known for ran in (True, False)}
    assert len(told) == 4
    assert "nobody at home" in caplog.text


def test_memory_is_bounded(monkeypatch):
    """What is forgotten is asked of the store, which knows that it has ended."""
    monkeypatch.setattr("haltable._rounds.MEMORY", 3)
    act, tasks = Attempts(), [(f"k{n}", n) for n in range(10)]
    poller = polled(lambda: tasks, act, until=lambda so_far: so_far.polls >= 5)
    report = poller.run()

    assert act.made == [*range(10)]
    assert report.ended_before > 0
    assert report.succeeded == 10


@pytest.mark.parametrize("concurrency", [1, 2])
@pytest.mark.parametrize("way", ["sync", "async"])
def test_more_ended_keys_than_are_remembered_are_no_work(monkeypatch, way, concurrency):
    """A source that keeps handing them out is asked once a round, and leaves the poller idle."""
    monkeypatch.setattr("haltable._rounds.MEMORY", 3)
    act, tasks = Attempts(), [(f"k{n}", n) for n in range(10)]
    options = {"every": 5, "concurrency": concurrency}
    options["until"] = lambda so_far: so_far.idle or so_far.polls == 50
    if way == "sync":
        report = polled(lambda: tasks, act, **options).run()
    else:
        report = anyio.run(polled(lambda: tasks, act.awaited, **options).arun)

    assert report.idle
    assert report.elapsed <= 5
    assert sorted(act.made) == [*range(10)]


def test_a_task_handed_out_twice_hides_no_other():
    """A queue that repeats itself is asked on: what it repeats is not all that it has."""
    act = Attempts()
    polled(in_order(("a", 1), ("a", 1), ("b", 2)), act).run()

    assert act.made == [1, 2]


def test_an_iterable_is_taken_as_slots_become_free():
    """A cursor is not read further than there are attempts to make."""
    act, taken = Attempts(), []

    def ready():
        for n in range(5):
            taken.append((n, len(act.made)))
            yield f"k{n}", n

    polled(ready, act, until=lambda so_far: so_far.succeeded == 5).run()

    assert taken == [(n, n) for n in range(5)]


def test_dead_letters_are_a_listing():
    """Keys that ended without success are listed, others not."""
    act = Attempts("bad", "worse")
    poller = polled(lambda: [("bad", "bad"), ("good", "good"), ("worse", "worse")], act)
    report = poller.run()

    assert [letter.key for letter in poller.dead_letters()] == ["bad", "worse"]
    assert [letter.key for letter in poller.dead_letters(prefix="w")] == ["worse"]
    assert "next: poller.dead_letters()" in str(report)


@pytest.mark.parametrize("concurrency", [1, 2])
def test_attempts_have_the_context_of_the_poller(concurrency):
    """What the caller has set is there in threads too."""
    word, seen = contextvars.ContextVar("word", default="none"), []
    token = word.set("set")
    poller = polled(AB.copy, lambda payload: seen.append(word.get()), concurrency=concurrency)
    poller.run()
    word.reset(token)

    assert seen == ["set", "set"]


def test_a_body_that_is_interrupted_ends_the_poller():
    """What is no outcome of an attempt leaves the poller, from the same thread or another."""

    def act(payload):
        raise SystemExit(payload)

    for concurrency in (1, 2):
        with pytest.raises(SystemExit, match="7"):
            polled(lambda: ("k", 7), act, concurrency=concurrency).run()


async def test_what_interrupts_an_async_poller_leaves_it():
    """In its own task it comes out as it went in, and no group around it."""

    def until():
        raise SystemExit(7)

    with pytest.raises(SystemExit, match="7"):
        await polled(lambda: AB, Attempts().awaited, until=until).arun()


def test_a_builtin_may_act():
    """What has no signature is taken at its word."""
    report = polled(in_order(("k", "word")), str.upper).run()

    assert report.succeeded == 1


@pytest.mark.parametrize("concurrency", [1, 2])
async def test_a_task_that_is_interrupted_ends_the_poller(concurrency):
    """The same on an event loop."""

    async def act(payload):
        raise SystemExit(payload)

    with pytest.raises(SystemExit, match="7"):
        await polled(lambda: ("k", 7), act, concurrency=concurrency).arun()


def test_a_busy_error_of_the_body_is_an_outcome():
    """Only the key's own lease makes a task busy; what its body raises is its failure."""

    def act(payload):
        raise LoopBusy("another", "somebody", 5)

    report = polled(lambda: ("k", 1), act).run()

    assert (report.busy, report.dead, report.attempts) == (0, 1, 3)
