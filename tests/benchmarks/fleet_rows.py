# SPDX-License-Identifier: MIT
"""Rows: a keyed iteration on Valkey and on PostgreSQL, beside one raw script and one statement.

Both sides talk to one server of the benchmark's own, over its Unix socket: no
network, so that what a store adds shows most; and once more at the distance of
another machine, where a fleet has it.  The raw side is the fastest that
was found with the same client library: one connection that is never given back,
and the very bytes that a keyed loop wrote, one record after the other.  Beside
an effect stands nothing but its two raw writes, or the one raw read of its
replay: what is done by hand for SQLite is in ``effect_rows``.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import uuid
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from haltable import IdempotencyGuard, Loop
from tests.benchmarks.fleet_servers import (
    FarPostgres,
    FarValkey,
    Postgres,
    Server,
    Unprepared,
    Valkey,
    server_of,
)
from tests.benchmarks.measuring import Figures, Goal, Row, Size, paired
from tests.benchmarks.sqlite_rows import Recorder
from tests.benchmarks.subjects import abody, body, four

__all__ = ["ROWS"]


def names(what: str) -> Iterator[str]:
    """Yields keys that nobody has used, no other row either."""
    space = uuid.uuid4().hex
    return (f"{what}-{space}-{number}" for number in itertools.count())


def recorded(store: Any, count: int) -> list[bytes]:
    """Returns what a keyed loop of so many iterations writes while it goes on."""
    recorder = Recorder(store)
    Loop(*four(count), key=next(names("recorded")), store=recorder).run(body)
    return recorder.written[1:-1]  # All but the first start and the tombstone.


def keyed(kind: type[Server]) -> Callable[[Size], Figures]:
    """Returns a row's samples: an iteration over one raw write."""

    def samples(size: Size) -> Figures:
        count = size.synced
        with contextlib.ExitStack() as stack:
            server = server_of(kind, stack)
            store, (write, _) = server.store(), server.raw()
            values, keys = recorded(store, count), names("loop")

            def ours() -> None:
                Loop(*four(count), key=next(keys), store=store).run(body)

            def theirs() -> None:
                key = f"haltable/loop/{next(keys)}"
                for value in itertools.islice(itertools.cycle(values), count):
                    write(key, value)

            yield from paired(ours, theirs)

    return samples


def keyed_later(kind: type[Server]) -> Callable[[Size], Figures]:
    """Returns the same on asyncio, where nobody else wants to run."""

    def samples(size: Size) -> Figures:
        count = size.synced
        with contextlib.ExitStack() as stack:
            server = server_of(kind, stack)
            values, keys = recorded(server.store(), count), names("loop")
            runner = stack.enter_context(asyncio.Runner())
            later = contextlib.AsyncExitStack()
            stack.callback(lambda: runner.run(later.aclose()))
            store = runner.run(server.store_later(later))
            write: Callable[[str, bytes], Awaitable[Any]] = runner.run(server.raw_later(later))

            async def ours() -> None:
                await Loop(*four(count), key=next(keys), store=store).arun(abody)

            async def theirs() -> None:
                key = f"haltable/loop/{next(keys)}"
                for value in itertools.islice(itertools.cycle(values), count):
                    await write(key, value)

            yield from paired(lambda: runner.run(ours()), lambda: runner.run(theirs()))

    return samples


def charge(order: int) -> dict[str, int]:
    """The effect: it does nothing, and returns a small object."""
    return {"id": order}


def first(kind: type[Server]) -> Callable[[Size], Figures]:
    """Returns a row's samples: a first call over its claim and its finish, raw."""

    def samples(size: Size) -> Figures:
        with contextlib.ExitStack() as stack:
            server = server_of(kind, stack)
            store, (write, _) = server.store(), server.raw()
            recorder = Recorder(store)
            IdempotencyGuard(store=recorder).once(next(names("charge")), charge, 7)
            claimed, done = recorder.written
            guard, keys = IdempotencyGuard(store=store), names("charge")

            def ours() -> None:
                for key in itertools.islice(keys, size.synced):
                    guard.once(key, charge, 7)

            def theirs() -> None:
                for key in itertools.islice(keys, size.synced):
                    write(key, claimed)
                    write(key, done)

            yield from paired(ours, theirs)

    return samples


def replay(kind: type[Server]) -> Callable[[Size], Figures]:
    """Returns a row's samples: an effect's replay over one raw read."""

    def samples(size: Size) -> Figures:
        with contextlib.ExitStack() as stack:
            server = server_of(kind, stack)
            store, (write, read) = server.store(), server.raw()
            recorder = Recorder(store)
            guard, key = IdempotencyGuard(store=store), next(names("charge"))
            IdempotencyGuard(store=recorder).once(key, charge, 7)
            write(key, recorder.written[-1])

            def ours() -> None:
                for _ in range(size.synced):
                    guard.once(key, charge, 7)

            def theirs() -> None:
                for _ in range(size.synced):
                    read(key)

            yield from paired(ours, theirs)

    return samples


ROWS = (
    Row("keyed iteration on Valkey", "one raw EVALSHA", Goal(1.3), keyed(Valkey)),
    Row("the same on asyncio", "one raw EVALSHA", Goal(1.3), keyed_later(Valkey)),
    Row("the same, 0.5 ms away", "one raw EVALSHA", Goal(1.3), keyed(FarValkey)),
    Row("keyed iteration on PostgreSQL", "one UPSERT .. RETURNING", Goal(1.3), keyed(Postgres)),
    Row("the same on asyncio", "one UPSERT .. RETURNING", Goal(1.3), keyed_later(Postgres)),
    Row("the same, 0.5 ms away", "one UPSERT .. RETURNING", Goal(1.3), keyed(FarPostgres)),
    Row("the same, nothing prepared", "one UPSERT .. RETURNING", None, keyed(Unprepared)),
    Row("first call of an effect on Valkey", "two raw EVALSHA", None, first(Valkey)),
    Row("its replay", "one raw EVALSHA", None, replay(Valkey)),
    Row("first call on PostgreSQL", "two UPSERT .. RETURNING", None, first(Postgres)),
    Row("its replay", "one SELECT", None, replay(Postgres)),
)
