# SPDX-License-Identifier: MIT
"""What a task costs the store: a key that nobody has started is charged without a look at it."""

from __future__ import annotations

import attrs
import pytest

from haltable import Backoff, ExitCondition, IterationCap, Loop, MemoryStore, Operator, Status
from haltable.errors import LoopBusy
from haltable.stores import Conflict, Entry
from haltable.testing import FakeClock
from tests.poller.sources import Attempts, policy, polled


class Listed(MemoryStore):
    """A store that lists the calls made of it."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def read(self, key):
        self.calls.append("read")
        return super().read(key)

    def write(self, key, value, *, expected):
        self.calls.append(f"write over {expected}")
        return super().write(key, value, expected=expected)


def stepped(store, act=lambda: None, **options):
    """Makes one step of the key, and returns its report and the calls that it took."""
    del store.calls[:]
    report = policy(store=store, **options).with_(key="k").step(act)
    return report, store.calls[:]


def a_success(so_far):
    """Whether a task has succeeded."""
    return so_far.succeeded == 1


def fails():
    """A body that fails."""
    raise OSError


def test_the_first_step_of_a_key_takes_two_calls():
    """It is charged as one that nobody has started, and ended."""
    report, calls = stepped(Listed())

    assert report.ok
    assert calls == ["write over 0", "write over 1"]


def test_a_later_step_goes_on_from_what_the_refusal_brought():
    """The store refuses the charge of a new key and shows the record: three calls, none a read."""
    store = Listed()
    stepped(store, fails)
    report, calls = stepped(store)

    assert (report.starts, report.failures, report.ok) == (2, 1, True)
    assert calls == ["write over 0", "write over 2", "write over 3"]


def test_a_step_of_an_ended_key_runs_nothing():
    """The refusal shows that it has ended, a look makes sure, and nothing is written over it."""
    store = Listed()
    stepped(store)
    report, calls = stepped(store, fails)

    assert (report.status, report.ran, report.starts) == (Status.SUCCEEDED, False, 1)
    assert calls == ["write over 0", "read"]


class Vague(MemoryStore):
    """A store whose refusals do not say how old the entry is that they show."""

    def write(self, key, value, *, expected):
        reply = super().write(key, value, expected=expected)
        if isinstance(reply, Entry) or reply.current is None:
            return reply
        return Conflict(attrs.evolve(reply.current, age=0.0))


def test_a_wait_is_over_when_it_is_over_in_the_store():
    """What a refusal shows may be stale: a step is not put off over it."""
    clock = FakeClock()
    store = Vague(clock=clock.now)
    loop = policy(store=store, delay=Backoff(initial=1, maximum=1), clock=clock).with_(key="k")
    loop.step(fails)
    clock.advance(1)

    assert loop.step(lambda: None).ok


def test_a_reset_is_seen_behind_an_old_refusal():
    """What a refusal shows may be stale: a key that was opened again is not refused over it."""

    class Late(MemoryStore):
        old = None

        def write(self, key, value, *, expected):
            reply = super().write(key, value, expected=expected)
            return reply if isinstance(reply, Entry) or expected else Conflict(self.old)

    store = Late()
    loop = policy(store=store).with_(key="k")
    loop.step(lambda: None)
    store.old = store.read("haltable/loop/k")
    Operator(store).reset("k", by="ana", why="once more")
    report = loop.step(lambda: None)

    assert (report.ok, report.ran, report.starts) == (True, True, 1)


def test_a_step_beside_another_is_busy():
    """A key that another run holds is not charged."""
    store = Listed()

    def again():
        policy(store=store).with_(key="k").step(lambda: None)

    report, _ = stepped(store, again)

    assert isinstance(report.error, LoopBusy)
    assert Operator(store).show("k").starts == 1


def test_a_stop_before_the_first_look_is_obeyed():
    """An operator's stop stands in the record that the refusal brings."""
    store = Listed()
    stepped(store, fails)
    Operator(store).stop("k", by="me", why="test")
    report, _ = stepped(store)

    assert (report.status, report.ran, report.starts) == (Status.STOPPED, False, 1)


def test_what_is_asked_before_the_first_start_is_asked_of_the_record():
    """With a question before the start, or somebody who listens, the key is read first."""
    store = Listed()
    asking = Loop(IterationCap(5), ExitCondition(success=lambda: True), key="k", store=store)
    asking.step(lambda: None)
    _, heard = stepped(store, sinks=[lambda event: None])

    assert store.calls[0] == "read"
    assert heard[0] == "read"


@pytest.mark.parametrize("concurrency", [1, 2])
def test_a_poller_reads_the_keys_it_has_met(concurrency):
    """The first attempt takes two calls; the next looks first, and is refused nothing."""
    store, act = Listed(), Attempts("a")
    options = {"loop": policy(store=store), "concurrency": concurrency, "until": a_success}
    polled(lambda: ("k", "b" if act.made else "a"), act, **options).run()

    assert act.made == ["a", "b"]
    assert store.calls == ["write over 0", "write over 1", "read", "write over 2", "write over 3"]


async def test_the_same_on_an_event_loop():
    """Both kinds of step, and a poller that awaits."""
    store, act = Listed(), Attempts("a")

    async def nothing():
        pass

    single = Listed()
    await policy(store=single).with_(key="k").astep(nothing)
    options = {"loop": policy(store=store), "until": a_success}
    await polled(lambda: ("k", "b" if act.made else "a"), act.awaited, **options).arun()

    assert single.calls == ["write over 0", "write over 1"]
    assert store.calls == ["write over 0", "write over 1", "read", "write over 2", "write over 3"]
