# SPDX-License-Identifier: MIT
"""The same acts have the same consequences on every store, to the last word that can be seen.

What can be seen: reports, events, what an operator is shown, errors, and the
records themselves but for tokens and moments.  `MemoryStore` says what is
right.  A store's clock is moved on by hand, by tens of seconds, and what is
seen of seconds is rounded to tens, so that a slow machine changes nothing.
"""

from __future__ import annotations

import re
import sqlite3

import anyio
import hypothesis.strategies as st
import psycopg
import pytest
import redis
from hypothesis import HealthCheck, Phase, example, given, settings

from haltable import (
    ExitCondition,
    HaltableError,
    IdempotencyGuard,
    IterationCap,
    Loop,
    MemoryStore,
    Operator,
    StallDetector,
)
from haltable.effect_records import decode_effect
from haltable.effects import NothingHappened
from haltable.encoding import decode_loop
from haltable.evidence import Probe
from haltable.testing import FakeClock
from tests.effects.sites import STRANGER, Site
from tests.faults.places import Place

LEASE = 60.0
PAYLOAD = "7.50 EUR"
KEYS = st.sampled_from(["first", "second"])
EFFECTS = st.sampled_from(["charge", "mail"])
OUTCOMES = st.sampled_from(["returns", "fails", "later", "succeeds", "charges", "is overtaken"])
ENDS = st.sampled_from(["returns", "fails", "nothing", "refused"])
ACTS = st.one_of(
    st.tuples(st.just("step"), KEYS, OUTCOMES),
    st.tuples(st.just("run"), KEYS, OUTCOMES),
    st.tuples(st.sampled_from(["stop", "reset", "extend"]), KEYS, st.none()),
    st.tuples(st.just("age"), st.none(), st.sampled_from([10, 30, 100])),
    st.tuples(st.just("call"), EFFECTS, ENDS),
    st.tuples(st.just("left"), EFFECTS, st.none()),
    st.tuples(st.just("resolve"), EFFECTS, st.sampled_from(["done", "free", "failed"])),
    st.tuples(st.just("purge"), st.none(), st.none()),
)
#: What differs between two lives of the same: tokens, moments of the wall, and drops of time.
TOKEN = re.compile(r"[0-9a-f]{32}")
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\+00:00|Z)?")
SECONDS = re.compile(r"\d+\.\d+(?:e-?\d+)?|\d+(?= s\b)")


class Life:
    """What is done to one store, and what was seen."""

    def __init__(self, store, ops_store, move):
        self.store, self.plain, self.move = store, ops_store, move
        self.ops, self.clock = Operator(ops_store), FakeClock()
        self.guard = IdempotencyGuard(
            store=store, lease=LEASE, final=PermissionError, retention=50.0
        )
        self.site = Site("once", ops_store, ops_store, move)
        self.seen = []

    def loop(self, key):
        return Loop(
            IterationCap(4),
            StallDetector(after=600, evidence=Probe(lambda: b"as ever")),
            ExitCondition(success=lambda result: result == "done"),
            self.guard,
            key=key,
            store=self.store,
            transient=TimeoutError,
            clock=self.clock,
            lease=LEASE,
            delay=0,
            sinks=[self.see],
        )

    def see(self, what):
        self.seen.append(normal(what))

    async def live(self, acts):
        for act in acts:
            self.see(act)
            try:
                self.see(await self.do(*act))
            except (HaltableError, KeyError, ValueError, PermissionError) as error:
                self.see(f"{type(error).__name__}: {error}")
            self.look()
        return self.seen

    async def do(self, act, name, how):
        if act in ("step", "run"):
            return facts(await self.carried(act, self.loop(name), name, how))
        if act == "call":
            return await self.called(name, how)
        by, ops = {"by": "ana", "why": "because"}, self.ops
        return {
            "stop": lambda: ops.stop(name, **by),
            "reset": lambda: ops.reset(name, **by),
            "extend": lambda: ops.extend(name, starts=2, **by),
            "age": lambda: self.move(how),
            "left": lambda: self.site.leave(name, STRANGER, payload=PAYLOAD, lease=LEASE),
            "resolve": lambda: ops.resolve(name, how, **by),
            "purge": lambda: ops.purge(older_than=0),
        }[act]()

    async def carried(self, act, loop, key, how):
        """Runs or steps a loop; its body does what is said at first, and then returns."""
        if not self.is_async:
            todo = iter([how])

            def body(iteration):
                what = next(todo, "returns")
                if what == "is overtaken":
                    self.move(100)
                    self.see(facts(self.loop(key).step(lambda: "another's")))
                elif what == "charges":
                    iteration.once(f"charge of {key}", lambda: {"receipt": 7})
                return result_of(what)

            return getattr(loop, act)(body)
        later = iter([how])

        async def abody(iteration):
            what = next(later, "returns")
            if what == "is overtaken":
                self.move(100)
                self.see(facts(await self.loop(key).astep(returns_late)))
            elif what == "charges":
                await iteration.aonce(f"charge of {key}", receipt_late)
            return result_of(what)

        return await getattr(loop, f"a{act}")(abody)

    async def called(self, name, how):
        if not self.is_async:
            return self.guard.once(name, end_of, how, payload=PAYLOAD)

        async def end_late(how):
            await anyio.lowlevel.checkpoint()
            return end_of(how)

        return await self.guard.aonce(name, end_late, how, payload=PAYLOAD)

    def look(self):
        """Sees all that an operator is shown, and every record."""
        self.see([repr(state) for state in sorted(self.ops.list(), key=lambda state: state.key)])
        self.see([repr(view) for view in sorted(self.ops.effects(), key=lambda view: view.key)])
        for key, entry in sorted(self.plain.scan("haltable/"), key=lambda found: found[0]):
            decode = decode_effect if key.startswith("haltable/effect/") else None
            decode = decode_loop if key.startswith("haltable/loop/") else decode
            self.see((key, repr(entry.value if decode is None else decode(entry.value))))

    @property
    def is_async(self):
        return self.store is not self.plain


async def returns_late():
    """What another run's body does."""
    await anyio.lowlevel.checkpoint()
    return "another's"


async def receipt_late():
    """The effect of an asynchronous body."""
    await anyio.lowlevel.checkpoint()
    return {"receipt": 7}


def result_of(what):
    """Ends a body as it is said to."""
    if what == "fails":
        raise ValueError("no such order")
    if what == "later":
        raise TimeoutError("the shop is slow")
    return "done" if what == "succeeds" else "more"


def end_of(how):
    """Ends an effect as it is said to."""
    if how == "fails":
        raise ValueError("it broke off")
    if how == "nothing":
        raise NothingHappened("the shop is closed")
    if how == "refused":
        raise PermissionError("no funds")
    return {"receipt": 7}


def facts(report):
    """Returns a report as words; its error by its own words, not by its place in memory."""
    return sorted((name, repr(value)) for name, value in report.to_dict().items())


def normal(what):
    """Returns what was seen in words, without what differs from one life to the next."""
    text = TOKEN.sub("TOKEN", MOMENT.sub("MOMENT", what if isinstance(what, str) else repr(what)))
    return SECONDS.sub(lambda found: f"{round(float(found[0]) / 10) * 10}", text)


def on_memory():
    """Returns the life on the store that says what is right."""
    clock = FakeClock()
    store = MemoryStore(clock=clock.now)
    return Life(store, store, clock.advance)


def moved(place, seconds):
    """Lets a place's records be older by so many seconds."""
    if place.kind == "sqlite":
        connection = sqlite3.connect(place.file)
        with connection:
            connection.execute("UPDATE haltable SET written = written - ?", (seconds,))
        connection.close()
    elif place.kind == "redis":
        with redis.Redis(unix_socket_path=place.address) as client:
            for name in client.scan_iter(f"{place.space}:*"):
                client.hincrby(name, "written", -round(seconds * 1_000_000))
    else:
        with psycopg.connect(place.address, autocommit=True) as connection:
            connection.execute(f"SET search_path TO {place.space}")
            connection.execute(
                "UPDATE records SET written = written - make_interval(secs => %s)",
                (seconds,),
            )


#: A life in which everything happens that is worth looking at.
FULL = [
    *(("step", "first", "fails"), ("step", "first", "later"), ("stop", "first", None)),
    *(("step", "first", "returns"), ("reset", "first", None), ("step", "first", "is overtaken")),
    *(("run", "first", "charges"), ("step", "first", "returns"), ("extend", "first", None)),
    *(("step", "first", "succeeds"), ("run", "first", "returns"), ("extend", "first", None)),
    *(("stop", "second", None), ("run", "second", "fails"), ("step", "second", "returns")),
    *(("call", "charge", "returns"), ("call", "charge", "fails"), ("age", None, 100)),
    *(("purge", None, None), ("call", "charge", "fails"), ("call", "charge", "returns")),
    *(("resolve", "charge", "free"), ("call", "charge", "refused"), ("call", "charge", "returns")),
    *(("left", "mail", None), ("call", "mail", "returns"), ("age", None, 30)),
    *(("call", "mail", "returns"), ("age", None, 100), ("call", "mail", "returns")),
    *(("resolve", "mail", "done"), ("call", "mail", "returns")),
]
WORTH_IT = (
    *("crashed", "tripped", "stopped", "succeeded", "lost the key", "StartRefused"),
    *("KeyError", "ConfigurationError", "OutcomeUnknown", "EffectHeld", "EffectFailed"),
    *("ValueError", "EffectState.FREE", "EffectState.DONE", "EffectState.CLAIMED"),
)


def test_a_full_life_is_full():
    """What no life ever shows would be compared in vain: one of them shows all."""
    seen = "\n".join(anyio.run(on_memory().live, FULL))

    assert [words for words in WORTH_IT if words not in seen] == []


async def live_at(place, acts, *, natively):
    """Lives a life at a place; returns what was seen."""
    with place.open() as plain:
        store = place.open_async() if natively else plain
        try:
            return await Life(store, plain, lambda seconds: moved(place, seconds)).live(acts)
        finally:
            if natively:
                await (store.aclose if place.kind == "redis" else store.close)()


@pytest.mark.parametrize(
    ("home", "natively"),
    [
        ("sqlite", False),
        ("redis", False),
        ("redis", True),
        ("postgres", False),
        ("postgres", True),
    ],
    indirect=["home"],
)
def test_a_life_is_the_same_on_every_store(home, natively):
    """Whatever is done, in whichever order, nobody can tell from what he sees which store it is."""

    @settings(
        max_examples=15,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(acts=st.lists(ACTS, min_size=8, max_size=25))
    @example(acts=FULL)
    def same(acts):
        place = Place(home.kind, home.address)
        place.make()
        try:
            found = anyio.run(lambda: live_at(place, acts, natively=natively))
        finally:
            place.clear()

        assert found == anyio.run(on_memory().live, acts)

    same()
