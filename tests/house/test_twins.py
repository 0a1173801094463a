# SPDX-License-Identifier: MIT
"""The sync driver and the async one are twins, and a drift between two twins is seen."""

from __future__ import annotations

import ast
import re

import pytest

from tests.house.tree import PACKAGE
from tests.house.twins import Twins, drifts, world_verbs

pytestmark = pytest.mark.one_python

#: What the async driver asks of the world must be awaited, and so must the body.
PORTS = world_verbs(ast.parse((PACKAGE / "_ports_async.py").read_text()))
VERBS = frozenset(f"ports.{name}" for name in PORTS) | {"body", "call.body"}

#: What redis-py's connections and clients have the async store await.
LINK = frozenset(
    {
        *("link.send_command", "link.read_response", "link.disconnect"),
        *("self._pool.get_connection", "self._pool.release", "self._pool.disconnect"),
        *("self._client.execute_command", "client.initialize"),
    }
)

SYNC = '''
LIMIT = 3

class Ports:
    """What a run needs of the world."""

    def write(self, value: bytes) -> int: ...
    def pause(self, seconds: float) -> None: ...

def drive(ports: Ports, body: Callable[[], R]) -> R:
    """Carries one run."""
    for number in range(LIMIT):
        ports.write(b"start")
        try:
            result = body()
        except Exception as error:
            note(error)
        with ports.lock:
            ports.pause(number)
    return result

def items(source: Iterator[T]) -> list[T]:
    return [item for item in source]
'''

ASYNC = '''
LIMIT = 3

class AsyncPorts:
    """What a run needs of the world, to be awaited."""

    async def write(self, value: bytes) -> int: ...
    async def pause(self, seconds: float) -> None: ...

async def adrive(ports: AsyncPorts, body: Callable[[], Awaitable[R]]) -> R:
    for number in range(LIMIT):
        await ports.write(b"start")
        try:
            result = await body()
        except Exception as error:
            note(error)
        async with ports.lock:
            await ports.pause(number)
    return result

async def items(source: AsyncIterator[T]) -> list[T]:
    """Lists them."""
    return [item async for item in source]
'''

RENAMED = {"AsyncPorts": "Ports", "adrive": "drive"}


#: What a body's twins ask of the world: how they wait.
WAITS = frozenset({"waits.breathe", "waits.ready"})
#: What a poller's twins ask of the world.
AIR = frozenset({"air.fetch", "air.is_done", "air.land", "air.launch", "air.rest"})


@pytest.mark.parametrize("room", ["_drive", "_claim", "_effects", "_oversee", "_sending"])
def test_the_drivers_have_not_drifted(room):
    """What one driver does, the other does, in the same order, and awaits it."""
    sync, awaiting = (PACKAGE / f"{room}_sync.py", PACKAGE / f"{room}_async.py")
    found = drifts(Twins(sync.read_text(), awaiting.read_text(), verbs=VERBS))

    assert {"read", "write", "rest"} <= PORTS
    assert not found, "\n".join(found)


@pytest.mark.parametrize("room", ["_child", "_talk"])
def test_the_bodies_have_not_drifted(room):
    """What a thread does with a child, a task does, in the same order, and awaits it."""
    sync, awaiting = (PACKAGE / "bodies" / f"{room}_{way}.py" for way in ("sync", "async"))
    # An effect is awaited where its function is.
    given = {"renamed": {"aonce": "once"}, "verbs": WAITS}
    found = drifts(Twins(sync.read_text(), awaiting.read_text(), **given))

    assert not found, "\n".join(found)


def test_the_pollers_have_not_drifted():
    """What a poller does with threads, it does with tasks, in the same order, and awaits it."""
    sync, awaiting = (PACKAGE / f"_poll_{way}.py" for way in ("sync", "async"))
    names = {"AsyncAir": "Air", "_poll_ports_async": "_poll_ports_sync"}
    given = {"renamed": names, "verbs": AIR}
    found = drifts(Twins(sync.read_text(), awaiting.read_text(), **given))

    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("sync", "awaiting", "alone"),
    [
        (
            "redis.py",
            "redis_async.py",
            {
                "only_sync": frozenset({"RedisStore.blocks"}),
                "only_async": frozenset({"RedisStore.event_loop"}),
            },
        ),
        (
            "_redis_routes_sync.py",
            "_redis_routes_async.py",
            {"only_async": frozenset({"known"})},
        ),
    ],
)
def test_the_stores_on_redis_have_not_drifted(sync, awaiting, alone):
    """What one store asks of a server, the other does, in the same order, and awaits it."""
    ours, theirs = ((PACKAGE / "stores" / name).read_text() for name in (sync, awaiting))
    # A store says its own name in texts too.
    theirs = theirs.replace("AsyncRedisStore", "RedisStore")
    names = {"_redis_routes_async": "_redis_routes_sync"}
    found = drifts(Twins(ours, theirs, renamed=names, verbs=LINK, **alone))

    assert not found, "\n".join(found)


def test_true_twins_have_no_drift():
    """Waiting, its types and docstrings are the only things that may differ."""
    assert drifts(Twins(SYNC, ASYNC, renamed=RENAMED)) == []


@pytest.mark.parametrize(
    ("before", "after", "seen"),
    [
        ("await ports.write(", "ports.write(", "ports.write() is not awaited"),
        ("await ports.pause(", "ports.pause(", "ports.pause() is not awaited"),
        ("range(LIMIT)", "range(4)", "drive differs"),
        ("LIMIT = 3", "LIMIT = 4", "LIMIT differs"),
        ('await ports.write(b"start")', "pass", "drive differs"),
        ("note(error)", "raise", "drive differs"),
        ("except Exception", "except BaseException", "drive differs"),
        ("await ports.pause(number)", "await ports.pause(number); number += 1", "drive differs"),
        ("async with ports.lock", "async with ports.other", "drive differs"),
        ("seconds: float", "seconds: int", "Ports.pause differs"),
        ("async for item in source", "async for item in source if item", "items differs"),
        ("async def items", "async def things", "items has no async twin"),
        ("async def items", "async def things", "things has no sync twin"),
    ],
)
def test_a_planted_drift_is_seen(before, after, seen):
    """Each way in which one twin can be changed alone is a drift, and is named."""
    assert before in ASYNC
    found = drifts(Twins(SYNC, ASYNC.replace(before, after), renamed=RENAMED))

    assert seen in "\n".join(found)


def test_another_order_is_a_drift():
    """Twins stand line under line, so that they can be read side by side."""
    head, tail = ASYNC.split("async def items")
    first, second = head.split("async def adrive")
    found = drifts(
        Twins(SYNC, f"{first}async def items{tail}\nasync def adrive{second}", renamed=RENAMED)
    )

    assert ["the order differs" in drift for drift in found] == [True]


def test_what_has_no_twin_is_listed():
    """A function with no twin is allowed by name only, and only while it has none."""
    alone = f"{ASYNC}\nasync def shield(): ...\n"
    twins = {"renamed": RENAMED, "only_async": frozenset({"shield"})}

    assert drifts(Twins(SYNC, alone, **twins)) == []
    assert drifts(Twins(SYNC, ASYNC, **twins)) == ["shield is not there"]
    both = f"{SYNC}\ndef shield(): ...\n"
    assert drifts(Twins(both, alone, **twins)) == ["shield has a twin after all"]


def test_verbs_of_another_file_are_awaited():
    """World verbs that another file defines count as the file's own do, and nothing else does."""
    ports = "async def read(): ...\ndef close(): ...\nasync def scan(): yield"
    verbs = world_verbs(ast.parse(ports))
    calls = "ports.read(); read(); await ports.read(); kernel.f()"
    found = drifts(
        Twins(
            f"def f(): {calls.replace('await ', '')}",
            f"async def f(): {calls}",
            verbs=frozenset(f"ports.{name}" for name in verbs),
        )
    )

    assert verbs == {"read"}
    assert found == ["line 1: ports.read() is not awaited"]


def test_a_call_of_the_file_itself_is_awaited():
    """One driver's function that calls another of the same file awaits it."""
    found = drifts(Twins("def f(): pass\ndef g(): f()", "async def f(): pass\nasync def g(): f()"))

    assert found == ["line 2: f() is not awaited"]


#: What the stores on PostgreSQL, and their driver, have the async ones await.
OF_POSTGRES = frozenset({"cursor.execute", "cursor.fetchall", "settled"})


@pytest.mark.parametrize(
    ("room", "only_async"),
    [
        ("postgres", {"PostgresStore.event_loop"}),
        ("postgres_transaction", {"PostgresTransaction.event_loop"}),
        ("_postgres_source", set()),
    ],
)
def test_the_stores_on_postgres_have_not_drifted(room, only_async):
    """What one store asks of a server, the other does, in the same order, and awaits it."""
    ours, theirs = (
        (PACKAGE / "stores" / f"{name}.py").read_text() for name in (room, f"{room}_async")
    )
    # What has two kinds is called so in the driver, in Python and here; a store says its own name.
    theirs = re.sub(r"Async(?=Connection|Cursor|ExitStack|Postgres|Source|ContextM)", "", theirs)
    names = {"enter_async_context": "enter_context"}
    alone = {"only_async": frozenset(only_async)}
    found = drifts(Twins(ours, theirs, renamed=names, verbs=OF_POSTGRES, **alone))

    assert not found, "\n".join(found)
