# SPDX-License-Identifier: MIT
"""The public types: mypy and pyright check this file strictly, and nobody runs it.

Each line is a promise to users about what their own checker will say.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, assert_type

import attrs
import psycopg
import redis
import redis.asyncio

import haltable
from haltable import (
    Backoff,
    Breaker,
    Deadline,
    EffectFailed,
    EffectHeld,
    ExitCondition,
    IdempotencyGuard,
    Iteration,
    IterationCap,
    LeaseLost,
    Loop,
    LoopHalted,
    LoopTripped,
    MemoryStore,
    Operator,
    OutcomeUnknown,
    PayloadMismatch,
    Poller,
    PollerReport,
    Report,
    ResultNotStored,
    Run,
    SQLiteStore,
    StallDetector,
    Status,
    Trip,
    Warn,
    bounded_loop,
    current,
    remembered,
)
from haltable.bodies import Command
from haltable.conditions import idle, never, raised, returned
from haltable.effects import (
    Claim,
    DontKnow,
    Happened,
    NotHappened,
    NothingHappened,
    Verdict,
    claim,
)
from haltable.evidence import Evidence, Files, GitTree, Output, Probe, Rows
from haltable.stores import (
    AsyncRedisStore,
    AsyncStore,
    Conflict,
    Durability,
    Entry,
    RedisStore,
    Store,
)


@attrs.frozen
class Reply:
    """What somebody's work returns."""

    text: str
    cost: float


# Breakers of one's own ---------------------------------------------------------


@attrs.define
class CostCap(Breaker):
    """A policy with a limit and a memory."""

    limit: float
    spent: float = remembered(default=0.0)
    seen: list[str] = remembered(factory=list[str])

    def after(self, iteration: Iteration) -> Trip | None:
        """Adds up the cost."""
        assert_type(iteration.number, int)
        assert_type(iteration.error, BaseException | None)
        if iteration.error is None:
            self.spent += iteration.result.cost
            self.seen.append(iteration.result.text)
        return Trip(f"spent {self.spent:.2f}") if self.spent > self.limit else None

    def before(self, iteration: Iteration) -> Warn | None:
        """Warns early."""
        return Warn("nearly spent") if iteration.remaining == 1 else None


assert_type(CostCap(2.5).spent, float)
assert_type(CostCap(2.5, name="cost").seen, list[str])
assert_type(CostCap(2.5) & IterationCap(50), Breaker)
assert_type(CostCap(2.5) | IterationCap(50), Breaker)

# Loops -------------------------------------------------------------------------

loop = Loop(
    IterationCap(50, max_failures=10, max_consecutive_failures=None),
    StallDetector(after=600, evidence=Files("out/**/*.md") | Probe(lambda: b"seen")),
    Deadline(total=3600),
    ExitCondition(success=lambda: Path("out").exists(), give_up=lambda: False),
    CostCap(2.5),
    key="report-42",
    store=SQLiteStore("loops.db", durability="machine", create=False),
    name="report",
    delay=Backoff(initial=1, factor=2, maximum=300),
    transient=(TimeoutError,),
    fatal=(PermissionError,),
    lease=60,
    max_hold=None,
    grace=1.0,
    sinks=(print,),
    clock=None,
)
assert_type(loop.with_(key="row-7"), Loop)


def key_of(order: str, retries: int) -> str:
    """Names the key of a call, from the body's own arguments."""
    return f"{order}-{retries}"


assert_type(Loop(IterationCap(3), delay=5, store=MemoryStore(), key=key_of), Loop)


def work() -> Reply:
    """A body that takes nothing."""
    assert_type(current(), Iteration)
    return Reply("", 0.0)


def attentive(iteration: Iteration) -> Reply:
    """A body that takes its iteration."""
    assert_type(iteration.remaining, int | None)
    assert_type(iteration.starts, int)
    assert_type(iteration.key, str | None)
    assert_type(iteration.fence, int)
    assert_type(iteration.warnings, tuple[str, ...])
    iteration.check()
    iteration.done(Reply("", 0.0))
    return Reply("", 0.0)


def with_arguments(iteration: Iteration, order: str, retries: int) -> Reply:
    """A body that takes more."""
    return Reply(f"{order} {retries} {iteration.number}", 0.0)


async def awork(iteration: Iteration) -> Reply:
    """A body that is awaited."""
    return Reply(str(iteration.number), 0.0)


assert_type(loop.run(work), Report[Reply])
assert_type(loop.run(attentive), Report[Reply])
assert_type(loop.run(with_arguments, "order", retries=2), Report[Reply])
assert_type(loop.step(work), Report[Reply])
assert_type(loop.step(with_arguments, "order", retries=2), Report[Reply])
assert_type(loop.run(work).unwrap(), Reply)


async def every_way_to_await() -> None:
    """The async half of the surface."""
    assert_type(await loop.arun(awork), Report[Reply])
    assert_type((await loop.arun(awork)).unwrap(), Reply)
    assert_type(await loop.astep(awork), Report[Reply])
    async for iteration in loop:
        with iteration:
            assert_type(iteration, Iteration)
    async for iteration, item in loop.over(agenerated()):
        assert_type(iteration, Iteration)
        assert_type(item, Reply)
    run = loop.start()
    assert_type(await run.arun(awork), Report[Reply])
    async with loop.start() as handle:
        assert_type(handle, Run)


def every_way_to_iterate() -> None:
    """The loops that users write themselves."""
    for iteration in loop:
        with iteration:
            assert_type(iteration, Iteration)
            iteration.give_up("enough")
    for iteration, item in loop.over(["a", "b"]):
        assert_type(iteration, Iteration)
        assert_type(item, str)


def tool(query: str, *, limit: int = 3) -> list[str]:
    """Somebody's tool."""
    return [query] * limit


async def atool(query: str, *, limit: int = 3) -> list[str]:
    """Somebody's awaited tool."""
    return [query] * limit


async def inside_of_somebody_elses_loop() -> None:
    """They drive, we count."""
    with loop.start() as run:
        assert_type(run, Run)
        run.tick()
        assert_type(run.wrap(tool)("query", limit=2), list[str])
        assert_type(await run.wrap(atool)("query", limit=2), list[str])
        assert_type(run.snapshot(), Report[Any])
        run.stop()
    assert_type(loop.start().run(work), Report[Reply])
    for iteration in loop.start():
        assert_type(iteration, Iteration)


# Reports and errors ------------------------------------------------------------


def reading_a_report(report: Report[Reply]) -> None:
    """A report of one type is a report of a wider one."""
    wider: Report[object] = report
    assert_type(wider.ok, bool)
    assert_type(report.status, Status)
    assert_type(report.result, Reply | None)
    assert_type(report.error, BaseException | None)
    assert_type(report.starts, int)
    assert_type(report.retry_after, float | None)
    assert_type(report.elapsed, float)
    assert_type(str(report), str)
    try:
        report.unwrap()
    except LoopTripped as tripped:
        assert_type(tripped.report.status, Status)
    except LoopHalted as halted:
        assert_type(halted.report.reason, str)
    except haltable.HaltableError:
        pass


# Decorated functions -----------------------------------------------------------

retry = bounded_loop(IterationCap(5), ExitCondition(success=returned), transient=(TimeoutError,))


@retry
def fetch(url: str, *, timeout: float = 1.0) -> Reply:
    """A function that is called again until it returns."""
    return Reply(url, timeout)


def has_text(reply: Reply) -> bool:
    """A predicate of the result."""
    return reply.text != ""


@bounded_loop(IterationCap(5), ExitCondition(success=has_text, give_up=raised(OSError)))
async def afetch(url: str) -> Reply:
    """The same, awaited."""
    return Reply(url, 0.0)


@bounded_loop(IterationCap(200), ExitCondition(success=never))
def generated() -> Iterator[Reply]:
    """A generator keeps its own loop; each yield ends an iteration."""
    while True:
        yield Reply("", 0.0)


@bounded_loop(IterationCap(200))
async def agenerated() -> AsyncIterator[Reply]:
    """The same, awaited."""
    while True:
        yield Reply("", 0.0)


assert_type(fetch("url", timeout=2.0), Reply)
assert_type(fetch.report("url", timeout=2.0), Report[Reply])
for reply in generated():
    assert_type(reply, Reply)


class Client:
    """Somebody's class."""

    @retry
    def get(self, url: str) -> Reply:
        """A method."""
        return Reply(url, 0.0)

    @retry
    async def aget(self, url: str) -> Reply:
        """An awaited method."""
        return Reply(url, 0.0)

    @retry
    @staticmethod
    def ping(url: str) -> bool:
        """A static method."""
        return bool(url)

    @bounded_loop(IterationCap(200))
    def rows(self, table: str) -> Iterator[int]:
        """A method that is a generator."""
        yield len(table)


async def decorated(client: Client) -> None:
    """Decorated functions keep exactly their types, and have reports."""
    assert_type(client.get("url"), Reply)
    assert_type(client.get.report("url"), Report[Reply])
    assert_type(Client.get(client, "url"), Reply)
    assert_type(await client.aget("url"), Reply)
    assert_type(await client.aget.report("url"), Report[Reply])
    assert_type(Client.ping("url"), bool)
    assert_type(await afetch("url"), Reply)
    assert_type(await afetch.report("url"), Report[Reply])
    async for reply in agenerated():
        assert_type(reply, Reply)
    for row in client.rows("table"):
        assert_type(row, int)


# Effects ------------------------------------------------------------------------


def looked_up(key: str, record: object) -> Verdict:
    """A reconciler."""
    return Happened(key) if record else DontKnow("closed")


def named_by_order(order: str, **_: object) -> str:
    """A key made of a function's arguments."""
    return f"charge:{order}"


guard = IdempotencyGuard(
    key=None,
    store=MemoryStore(),
    namespace="shop",
    semantics="at_most_once",
    lease=60,
    reconcile=looked_up,
    on_held="wait",
    final=(PermissionError, KeyError),
    retention=None,
    max_result=1024,
    max_attempts=3,
    max_replays=None,
    max_hold=None,
    grace=1.0,
    transactional=False,
    clock=None,
    name="effects",
)
Loop(IterationCap(3), IdempotencyGuard(key=lambda iteration: f"page {iteration.starts}"))
verdicts: list[Verdict] = [Happened(1), NotHappened(), DontKnow()]


def charge(order: str, amount: float, *, currency: str = "EUR") -> Reply:
    """An effect."""
    assert_type(claim(), Claim)
    assert_type(claim().fence, int)
    assert_type(claim().idempotency_key, str)
    if not amount:
        raise NothingHappened("there is nothing to charge")
    return Reply(f"{order} {currency}", amount)


async def acharge(order: str, amount: float, *, currency: str = "EUR") -> Reply:
    """An awaited effect."""
    return Reply(f"{order} {currency}", amount)


async def every_way_to_do_an_effect(iteration: Iteration) -> None:
    """The arguments are the function's own, and so is what comes back."""
    assert_type(guard.once("charge:7", charge, "order", 1.5, currency="USD"), Reply)
    assert_type(guard.once("charge:7", charge, "order", 1.5, payload={"order": 7}), Reply)
    assert_type(guard.once("charge:7", lambda: 7), int)
    assert_type(await guard.aonce("charge:7", acharge, "order", 1.5, currency="USD"), Reply)
    assert_type(await guard.aonce("charge:7", acharge, "order", 1.5, payload="order 7"), Reply)
    assert_type(iteration.once("charge:7", charge, "order", 1.5, currency="USD"), Reply)
    assert_type(iteration.once("charge:7", charge, "order", amount=1.5, payload=None), Reply)
    assert_type(await iteration.aonce("charge:7", acharge, "order", 1.5), Reply)
    assert_type(await iteration.aonce("charge:7", acharge, "order", 1.5, payload=[7]), Reply)
    assert_type(guard.claimed("charge:7"), bool)


@guard.effect(key="charge:{order}")
def charged(order: str, amount: float = 1.5) -> Reply:
    """A function each call of which is an effect."""
    return charge(order, amount)


@guard.effect(key=named_by_order)
async def acharged(order: str, *, amount: float = 1.5) -> Reply:
    """The same, awaited."""
    return await acharge(order, amount)


class Shop:
    """Somebody's class."""

    @guard.effect(key="charge:{order}")
    def charge(self, order: str) -> Reply:
        """A method."""
        return charge(order, 1.5)

    @guard.effect(key="refund:{order}")
    async def refund(self, order: str) -> Reply:
        """An awaited method."""
        return await acharge(order, -1.5)


async def decorated_effects(shop: Shop) -> None:
    """Decorated effects keep exactly their types."""
    assert_type(charged("order", amount=2.5), Reply)
    assert_type(await acharged("order", amount=2.5), Reply)
    assert_type(shop.charge("order"), Reply)
    assert_type(await shop.refund("order"), Reply)


def when_an_effect_does_not_return() -> None:
    """Each of its errors says what it knows."""
    try:
        charged("order")
    except OutcomeUnknown as unknown:
        assert_type((unknown.key, unknown.reason), tuple[str, str])
    except EffectHeld as held:
        assert_type((held.holder, held.lease_left), tuple[str, float])
    except EffectFailed as failed:
        assert_type((failed.kind, failed.message, failed.data), tuple[str, str, str | None])
    except LeaseLost as lost:
        assert_type((lost.value, lost.stored, lost.stored_value), tuple[object, str, object])
    except (PayloadMismatch, ResultNotStored):
        pass


# Evidence -----------------------------------------------------------------------


def looking(opened: sqlite3.Connection, url: str) -> None:
    """Connections, and what makes them, sync or async, are all taken."""
    count = "select count(*) from task"
    assert_type(Rows(count, opened) | Files("*.md"), Evidence)
    Rows(count, lambda: sqlite3.connect("work.db"), name="tasks")
    Rows(f"{count} where state = %s", lambda: psycopg.connect(url), "done")
    Rows(count, lambda: psycopg.AsyncConnection.connect(url))
    Rows(count, psycopg.connect(url))
    assert_type(GitTree(Path("checkout"), timeout=5) & Output(["ls", Path("out")]), Evidence)


# Bodies, stores, operators -----------------------------------------------------

Loop(IterationCap(20), Deadline(total=3600)).run(Command(["./agent.sh"], grace=3))


def stores(store: Store, other: AsyncStore) -> None:
    """What ships is what the contract says."""
    memory: Store = MemoryStore()
    file: Store = SQLiteStore("loops.db")
    client = redis.Redis(host="10.0.0.7")
    shared: Store = RedisStore(client, prefix="loops:", durability=Durability.MACHINE)
    waiting: AsyncStore = AsyncRedisStore(redis.asyncio.Redis(host="10.0.0.7"))
    for each in (memory, file, shared, store):
        assert_type(each.durability, Durability)
        assert_type(each.read("key"), Entry | None)
        assert_type(each.write("key", b"", expected=0), Entry | Conflict)
    for twin in (waiting, other):
        Loop(IterationCap(3), key="k", store=twin)


def operating(store: Store) -> None:
    """The human's handle."""
    operator = Operator(store)
    operator.list(status="tripped")
    operator.show("key")
    operator.stop("key", by="ana", why="runaway")
    operator.reset("key", by="ana", why="fixed the input")
    operator.extend("key", starts=30, by="ana", why="nearly done")


# A poller ------------------------------------------------------------------------------


def poll_orders(orders: Loop, rows: dict[str, int]) -> None:
    """A poller's report is typed, and `until` may be asked with it."""

    def enough(so_far: PollerReport) -> bool:
        return so_far.attempts > 3

    def act(order: int, iteration: Iteration) -> int:
        return order + iteration.number

    poller = Poller(rows.items, act, loop=orders, until=idle, concurrency=8)
    assert_type(poller.run(), PollerReport)
    assert_type(poller.snapshot(), PollerReport | None)
    Poller(rows.items, act, loop=lambda order: orders, until=enough, ended=print).stop()


async def poll_orders_in_tasks(orders: Loop, rows: dict[str, int]) -> None:
    """The async twin has the same report."""

    async def act(order: int) -> int:
        return order

    assert_type(await Poller(rows.items, act, loop=orders, until=never).arun(), PollerReport)
