# SPDX-License-Identifier: MIT
"""What an operator sees of a key, and what is refused in words before anything is written."""

from __future__ import annotations

import datetime as dt

import pytest

from haltable import (
    ConfigurationError,
    ExitCondition,
    IterationCap,
    Loop,
    MemoryStore,
    Operator,
    Status,
    StoreError,
)
from haltable.conditions import never, returned
from haltable.stores import Conflict
from haltable.testing import FakeClock
from tests.faults.faulty import AsyncFaulty

KEY = "job"
RECORD = f"haltable/loop/{KEY}"
ACTS = {
    "stop": {},
    "reset": {},
    "extend": {"starts": 2},
}


def act(ops, name, key=KEY, **changes):
    """Does one of the three acts."""
    return getattr(ops, name)(key, **{"by": "ana", "why": "because", **ACTS[name], **changes})


def loop_on(store, *, key=KEY, success=never, **options):
    """A loop of three starts."""
    return Loop(IterationCap(3), ExitCondition(success=success), key=key, store=store, **options)


@pytest.fixture
def store():
    """A store with one key that has made one of its starts and is free."""
    store = MemoryStore()
    loop_on(store).step(lambda: None)
    return store


@pytest.fixture
def ops(store):
    """Ana's handle."""
    return Operator(store)


# What is refused ---------------------------------------------------------------------


def test_an_operator_needs_a_synchronous_store():
    """A human's handle does not wait for an event loop: an async store is refused in words."""
    with pytest.raises(ConfigurationError, match="give a synchronous store over the same data"):
        Operator(AsyncFaulty(None, 0))


@pytest.mark.parametrize("name", ["show", *ACTS])
def test_a_key_that_never_started_is_none(ops, name):
    """Nothing is made up, and nothing is stopped before it began."""
    do = ops.show if name == "show" else lambda key: act(ops, name, key)
    with pytest.raises(KeyError, match="no loop with the key 'another' ever started"):
        do("another")

    assert [state.key for state in ops.list()] == [KEY]


@pytest.mark.parametrize("key", [3, None, b"job", ""])
@pytest.mark.parametrize("name", ["show", *ACTS])
def test_what_is_no_key_is_refused(store, ops, name, key):
    """A key is a text that says something; another's is told by the act's name and the value."""
    before = store.read(RECORD)
    do = ops.show if name == "show" else lambda key: act(ops, name, key)
    with pytest.raises(ConfigurationError) as refused:
        do(key)

    assert str(refused.value) == f"{name}(key={key!r}): give a non-empty string"
    assert store.read(RECORD).version == before.version


def test_effects_are_listed_by_a_namespace_of_text(ops):
    """A namespace that is none is told in words."""
    with pytest.raises(ConfigurationError, match=r"^effects\(namespace=3\): give the guard's"):
        ops.effects(namespace=3)


@pytest.mark.parametrize("argument", ["by", "why"])
@pytest.mark.parametrize("value", ["", "  ", None, 7])
@pytest.mark.parametrize("name", ACTS)
def test_every_act_says_who_and_why(store, ops, name, argument, value):
    """No act without a name and a reason on record; nothing is written otherwise."""
    before = store.read(RECORD)
    with pytest.raises(ConfigurationError, match=f"{argument}={value!r}: say it in a non-empty"):
        act(ops, name, **{argument: value})

    assert store.read(RECORD).version == before.version


@pytest.mark.parametrize("starts", [0, -1, True, 1.0, "2", None])
def test_an_extension_has_at_least_one_start(store, ops, starts):
    """What would extend nothing, or for ever, is an error that names the value."""
    before = store.read(RECORD)
    with pytest.raises(ConfigurationError, match=f"starts={starts!r}: give a whole number"):
        act(ops, "extend", starts=starts)

    assert store.read(RECORD).version == before.version


def test_a_success_is_not_extended(store, ops):
    """What has succeeded has nothing left to do; a reset is what begins it anew."""
    loop_on(store, success=returned).run(lambda: None)
    with pytest.raises(ConfigurationError, match="it has succeeded; reset it to redo it"):
        act(ops, "extend")

    assert ops.show(KEY).status is Status.SUCCEEDED
    assert act(ops, "reset").status is Status.OPEN


def test_what_has_ended_is_not_stopped(ops):
    """A second stop would rewrite the reason of the first."""
    act(ops, "stop", why="runaway")
    with pytest.raises(ConfigurationError, match=r"stop\('job'\): it has ended already \(stopped"):
        act(ops, "stop", why="something else")

    assert "runaway" in ops.show(KEY).reason


def test_a_status_that_is_none_is_refused(ops):
    """A mistyped filter must not read as an empty list."""
    with pytest.raises(ConfigurationError, match=r"status='triped': give one of .*'tripped'"):
        ops.list(status="triped")


class Busy(MemoryStore):
    """A store whose key somebody else always writes first, until they let go."""

    wins = 0

    def write(self, key, value, *, expected):
        if self.wins > 0:
            self.wins -= 1
            return Conflict(self.read(key))
        return super().write(key, value, expected=expected)


def test_a_lost_race_is_run_again():
    """Whoever wrote in between is no reason for an operator to be told no."""
    store = Busy()
    loop_on(store).step(lambda: None)
    store.wins = 99

    assert act(Operator(store), "stop").status == "stopped"


def test_who_always_loses_is_told_that_nothing_was_done():
    """The end of the patience is an error in words, after which the key is as it was."""
    store = Busy()
    loop_on(store).step(lambda: None)
    store.wins = 100
    with pytest.raises(StoreError, match="written by others 100 times in a row") as error:
        act(Operator(store), "stop")

    assert error.value.outcome == "refused"
    assert Operator(store).show(KEY).status == "open"


# What is seen ------------------------------------------------------------------------


def test_the_list_is_sorted_and_can_be_narrowed(store, ops):
    """All keys by name, or only those with one status, given as a word or as a status."""
    loop_on(store, key="a").run(lambda: None)
    loop_on(store, key="z", success=returned).run(lambda: None)

    assert [state.key for state in ops.list()] == ["a", KEY, "z"]
    assert [state.key for state in ops.list(status="tripped")] == ["a"]
    assert [state.key for state in ops.list(status=Status.SUCCEEDED)] == ["z"]
    assert ops.list(status="gave_up") == []


def test_a_key_that_is_held_says_by_whom_and_who_wants_it_back():
    """While a body runs, its holder, its lease and a stop that was asked for are in the words."""
    clock, said = FakeClock(), []
    store = MemoryStore(clock=clock.now)
    ops = Operator(store)

    def body():
        clock.advance(20)
        said.append(str(ops.show(KEY)))
        act(ops, "stop")
        said.append(str(ops.show(KEY)))

    loop_on(store).step(body)

    assert "  running in process " in said[0]
    assert said[0].endswith(", lease 40 s")
    assert ", lease 40 s, asked to stop by ana\n" in said[1]
    assert "running" not in str(ops.show(KEY))


def test_a_key_that_must_wait_says_for_how_long():
    """Between two steps the wait that is left is shown, by the store's clock."""
    clock = FakeClock()
    store = MemoryStore(clock=clock.now)
    loop_on(store, delay=30).step(lambda: None)
    clock.advance(12)
    waiting = Operator(store).show(KEY)
    clock.advance(20)
    over = Operator(store).show(KEY)

    assert (waiting.retry_after, over.retry_after) == (18, 0)
    assert "  next start in 18 s" in str(waiting).splitlines()
    assert "next start" not in str(over)


def test_a_key_shows_what_was_done_to_it():
    """Counts against limits, the newest failure, and each act with its time, who and why."""
    store = MemoryStore()
    ops = Operator(store)

    def fail():
        raise ValueError("no paper")

    before = dt.datetime.now(dt.UTC).replace(microsecond=0)
    loop_on(store).run(fail)
    state = act(ops, "extend", why="nearly done")
    lines = str(state).splitlines()

    assert lines[0] == "OPEN  job"
    assert lines[1].startswith("  starts 3 of 5 · failures 3, none in a row · crashes 0 · alive ")
    assert lines[2] == "  last error ValueError: no paper, iteration 3"
    assert lines[3] == f"  {state.history[0].at}  extend by ana: nearly done (2 more starts)"
    assert dt.datetime.fromisoformat(state.history[0].at) >= before


def test_a_key_fits_a_terminal():
    """However much was counted and said, no line is longer than 80 columns, and no word is lost."""
    store, words = MemoryStore(), " ".join(f"word{n}" for n in range(40))
    ops = Operator(store)

    def fail():
        raise ValueError(words)

    Loop(IterationCap(10_000, max_consecutive_failures=9_999), key=KEY, store=store).run(fail)
    said = []
    held = loop_on(store, key="held")
    held.run(lambda: said.append(str(act(ops, "stop", "held", why=words))))
    said += [str(ops.show(KEY)), str(ops.show("held")), str(act(ops, "reset", why=words))]

    assert max(len(line) for each in said for line in each.splitlines()) <= 80
    assert [words in " ".join(each.split()) for each in said] == [True] * 4
