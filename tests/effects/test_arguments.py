# SPDX-License-Identifier: MIT
"""Bad input to a guard is one clear error, at construction or at the call, before anything runs."""

from __future__ import annotations

import math

import pytest

from haltable import ConfigurationError, IdempotencyGuard, IterationCap, Loop
from haltable.effects import NothingHappened
from haltable.stores import MemoryStore
from haltable.testing import FakeClock
from tests.faults.faulty import AsyncFaulty

NO_SECONDS = [0, -1, math.nan, math.inf, True, "60"]
NO_COUNT = [0, -1, 1.5, True, "3", math.nan]
#: What cannot be right, by argument.
WRONG = {
    "key": ["order", 7],
    "store": [object(), MemoryStore, "loops.db"],
    "namespace": [None, 7, b"shop", "two\nlines", "\ud800"],
    "semantics": ["exactly_once", None, True, ["at_most_once"]],
    "lease": [*NO_SECONDS, None],
    "reconcile": ["ask", 7],
    "on_held": ["block", None, False],
    "final": [ValueError("one"), "ValueError", KeyboardInterrupt, [int], 7],
    "retention": NO_SECONDS,
    "max_result": [*NO_COUNT, None],
    "max_attempts": [*NO_COUNT, None],
    "max_replays": NO_COUNT,
    "max_hold": NO_SECONDS,
    "grace": [*NO_SECONDS, None],
    "transactional": [None, 1, "yes"],
    "clock": [FakeClock, 7, object()],
}
RIGHT = {
    "store": MemoryStore(),
    "namespace": "shop é",
    "semantics": "at_least_once",
    "lease": 1,
    "reconcile": print,
    "on_held": "skip",
    "final": [ValueError, KeyError],
    "retention": 0.5,
    "max_result": 1,
    "max_attempts": 1,
    "max_replays": 1,
    "max_hold": 0.5,
    "grace": 0.1,
    "transactional": False,
    "clock": FakeClock(),
    "key": print,
}


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name, values in WRONG.items() for value in values],
    ids=repr,
)
def test_an_argument_that_cannot_be_right(name, value):
    """One sentence names the argument and the value, and says what would be right."""
    with pytest.raises(ConfigurationError) as raised:
        IdempotencyGuard(**{name: value})

    text = str(raised.value)
    assert text.startswith(f"{name}=")
    shown = value[0] if name == "final" and isinstance(value, list) else value
    assert repr(shown) in text
    assert "\n" not in text


@pytest.mark.parametrize("name", WRONG)
def test_an_argument_that_is_right(name):
    """What is at the edge of being right is taken."""
    guard = IdempotencyGuard(**{name: RIGHT[name]})

    assert getattr(guard, name) == RIGHT[name]


def test_transactional_needs_a_store_over_a_transaction():
    """The records of such effects lie in the host's transaction, so they need a store that does."""
    with pytest.raises(ConfigurationError, match="give the store over your own transaction"):
        IdempotencyGuard(transactional=True)
    with pytest.raises(ConfigurationError, match=r"transactional=True.*leave transactional= out"):
        IdempotencyGuard(transactional=True, store=MemoryStore())


async def call(guard, verb, key, *args):
    """Calls a guard's verb, which may have to be awaited."""
    if verb == "claimed":
        guard.claimed(key)
    elif verb == "once":
        guard.once(key, *args)
    else:
        await guard.aonce(key, *args)


@pytest.mark.parametrize("key", ["", None, 7, b"charge", ("charge", 7), True, "\ud800", "a\udfff"])
@pytest.mark.parametrize("verb", ["once", "aonce", "claimed"])
async def test_a_bad_key(verb, key):
    """A key is text that any store can hold; anything else is named, and nothing runs."""
    guard, ran = IdempotencyGuard(store=MemoryStore()), []
    with pytest.raises(ConfigurationError) as raised:
        await call(guard, verb, key, ran.append, 1)

    assert str(raised.value).startswith(f"{verb}(key={key!r}): ")
    assert ran == []


def generator():
    """No function that does an effect."""
    yield


async def agenerator():
    """Nor is its async twin."""
    yield


@pytest.mark.parametrize("fn", [None, "charge", 7, generator, agenerator])
@pytest.mark.parametrize("verb", ["once", "aonce"])
async def test_an_effect_that_is_no_function(verb, fn):
    """What cannot be called, and what would only begin when it is iterated, is refused."""
    guard = IdempotencyGuard(store=MemoryStore())
    with pytest.raises(ConfigurationError, match=rf"{verb}\('k', .*give a function"):
        await call(guard, verb, "k", fn)

    assert not guard.claimed("k")


class Charge:
    """A callable whose call is awaited."""

    async def __call__(self):
        """Charges."""


async def charge():
    """An effect that is awaited."""


@pytest.mark.parametrize("effect", [charge, Charge()], ids=["function", "object"])
def test_an_async_effect_called_without_await(effect):
    """It is refused before it is claimed, not left un-awaited."""
    guard = IdempotencyGuard(store=MemoryStore())
    with pytest.raises(ConfigurationError, match=r"the effect is async; await aonce"):
        guard.once("k", effect)

    assert not guard.claimed("k")


def test_an_effect_that_returns_a_coroutine():
    """What only turns out to be async when it is called did nothing yet: its key is free again."""
    guard = IdempotencyGuard(store=MemoryStore())
    with pytest.raises(NothingHappened, match="a coroutine, which nobody awaits"):
        guard.once("k", lambda wanted: wanted and charge(), 1)

    assert not guard.claimed("k")


async def test_an_awaited_call_takes_a_plain_function():
    """`aonce` is for async callers; the effect itself may be either."""
    guard = IdempotencyGuard(store=MemoryStore())
    plain = await guard.aonce("plain", lambda: 7)

    assert (plain, await guard.aonce("async", charge)) == (7, None)


@pytest.mark.parametrize("verb", ["once", "claimed"])
def test_an_async_store_needs_await(verb):
    """The verbs that cannot await say which one can."""
    guard = IdempotencyGuard(store=AsyncFaulty(None, 0))
    with pytest.raises(ConfigurationError, match=rf"is async: .* instead of {verb}\("):
        getattr(guard, verb)("k", *([print] if verb == "once" else []))


async def test_a_guard_without_a_store():
    """Without a loop there is nobody to lend it one."""
    guard = IdempotencyGuard()
    for verb in ("once", "aonce", "claimed"):
        with pytest.raises(ConfigurationError, match="there is no store"):
            await call(guard, verb, "k", print)


def test_two_guards_in_one_loop():
    """One guards all effects of a loop, whatever they are called."""
    with pytest.raises(ConfigurationError, match="two IdempotencyGuards"):
        Loop(IterationCap(3), IdempotencyGuard(), IdempotencyGuard(name="other"))


def test_a_guard_bounds_nothing():
    """A loop with a guard alone would have no end."""
    with pytest.raises(ConfigurationError, match="nothing bounds this loop"):
        Loop(IdempotencyGuard(max_replays=3))
