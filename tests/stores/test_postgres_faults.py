# SPDX-License-Identifier: MIT
"""What can befall a PostgreSQL server: a named error, nothing lost, and usable again afterwards."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from contextlib import ExitStack, closing, contextmanager
from functools import partial

import anyio
import psycopg
import pytest
from psycopg import sql
from psycopg_pool.base import AttemptWithBackoff

from haltable import ExitCondition, IterationCap, Loop, Operator, StoreError
from haltable.conditions import never
from haltable.stores import AsyncPostgresStore, Conflict, Durability, Entry, PostgresStore
from tests.stores.disks import enlarge, small_disk
from tests.stores.hands import KINDS, opened
from tests.stores.servers import new_postgres

#: Seconds that anything may take that must not hang.
SOON = 20.0


@pytest.fixture(scope="module")
def standing():
    """A server that stands, with the settings that PostgreSQL has by itself."""
    with new_postgres() as server:
        server.start()
        yield server
        server.stop()


@pytest.fixture(scope="module")
def falling():
    """A server for the tests that say how it is ended; each of them starts it."""
    with new_postgres() as server:
        yield server


@pytest.fixture
def server(request):
    """A server with an empty table, which the test may end if it says how."""
    ends = "how" in request.fixturenames
    server = request.getfixturevalue("falling" if ends else "standing")
    if ends:
        server.start()
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS haltable")
        PostgresStore(connection).create_schema()
    yield server
    if ends:
        server.stop()


@pytest.fixture(autouse=True)
def eager_pools(monkeypatch):
    """Has a host's pool, which waits for a second before it connects again, wait for less."""
    monkeypatch.setattr(AttemptWithBackoff, "INITIAL_DELAY", 0.05)


@pytest.fixture(params=KINDS)
def kind(request):
    """Each kind of source."""
    return request.param


@pytest.fixture
def store(kind, server):
    """A store that was written to, with its connection open."""
    with opened(kind, server.url) as store:
        store.write("key", b"value", expected=0)
        yield store


def refusal(call, *arguments, **named):
    """Returns the message of the StoreError that the call raises, which is certain."""
    with pytest.raises(StoreError) as raised:
        call(*arguments, **named)
    assert raised.value.outcome == "refused", str(raised.value)
    return str(raised.value)


def run(server, statement, values=None):
    """Runs a statement beside the store; returns its first value, if any."""
    with psycopg.connect(server.url, autocommit=True) as connection:
        cursor = connection.execute(statement, values)
        return cursor.fetchone()[0] if cursor.description else None


@contextmanager
def locked(server):
    """Holds the lock of the row of "key" for the time of the block."""
    with closing(psycopg.connect(server.url)) as connection:
        connection.execute("SELECT * FROM haltable WHERE key = 'key' FOR UPDATE")
        yield connection


def waiting(server, column, value, unless=None):
    """Waits until some backend waits for something; returns its number.

    None if a write ends before.
    """
    until = time.monotonic() + SOON
    query = sql.SQL("SELECT min(pid) FROM pg_stat_activity WHERE {} = %s")
    while time.monotonic() < until:
        pid = run(server, query.format(sql.Identifier(column)), [value])
        if pid is not None or (unless is not None and not unless.is_alive()):
            return pid
    raise TimeoutError(value)


class Writing(threading.Thread):
    """A write in a thread of its own, and what it came to."""

    def __init__(self, store, value=b"second", expected=1):
        super().__init__()
        self.store, self.value, self.expected = store, value, expected
        self.came_to = None
        self.start()

    def run(self):
        try:
            self.came_to = self.store.write("key", self.value, expected=self.expected)
        except StoreError as error:
            self.came_to = error

    def ended(self):
        """Waits for its end."""
        self.join(SOON)
        assert not self.is_alive()
        return self.came_to


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGQUIT])
def test_a_server_that_was_killed(server, store, how):
    """What was acknowledged is there after it, and the store goes on by itself."""
    server.stop(how)
    messages = [refusal(store.read, "key"), refusal(store.write, "new", b"", expected=0)]
    server.start()
    held = store.read("key")

    assert all("cannot be reached" in message for message in messages)
    assert (held.value, held.version) == (b"value", 1)
    assert store.write("key", b"then", expected=1).version == 2


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGQUIT])
def test_a_server_that_was_killed_in_a_write(server, store, how):
    """Nobody knows whether such a write was done, so that is what the error says."""
    with locked(server):
        writing = Writing(store)
        waiting(server, "wait_event_type", "Lock")
        server.stop(how)
        error = writing.ended()
    server.start()

    assert (type(error), error.outcome) == (StoreError, "unknown")
    assert store.read("key").value == b"value"
    assert store.write("key", b"second", expected=1).version == 2


def test_a_reply_that_was_lost(server, store):
    """A write that was done and never acknowledged is unknown; sent again, it is found done."""
    # Done here and still waiting for a second server: then its connection is ended.
    run(server, "ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
    run(server, "SELECT pg_reload_conf()")
    try:
        # Which begins with the first write after the server has read its settings.
        for version in itertools.count(1):
            writing = Writing(store, expected=version)
            pid = waiting(server, "wait_event", "SyncRep", unless=writing)
            if pid is not None:
                break
        run(server, "SELECT pg_terminate_backend(%s)", [pid])
        error = writing.ended()
    finally:
        run(server, "ALTER SYSTEM RESET synchronous_standby_names")
        run(server, "SELECT pg_reload_conf()")
    again = store.write("key", b"second", expected=version)

    assert (type(error), error.outcome) == (StoreError, "unknown")
    assert isinstance(again, Conflict)
    assert (again.current.value, again.current.version) == (b"second", version + 1)


def test_a_backend_that_was_ended_in_a_write(server, store):
    """An ended connection leaves the write unknown, and the next call has another."""
    with locked(server):
        writing = Writing(store)
        pid = waiting(server, "wait_event_type", "Lock")
        run(server, "SELECT pg_terminate_backend(%s)", [pid])
        error = writing.ended()

    assert (type(error), error.outcome) == (StoreError, "unknown")
    assert "ended this connection" in str(error)
    assert store.write("key", b"second", expected=1).version == 2


def test_a_backend_that_was_ended_between_calls(server, store):
    """A connection that was ended while nobody used it is replaced, and no call notices."""
    ended = run(
        server,
        "WITH others AS MATERIALIZED (SELECT pid FROM pg_stat_activity"
        " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend')"
        " SELECT array_agg(pid) FROM others WHERE pg_terminate_backend(pid)",
    )
    # Until the end has arrived here, no client can know.
    wait_for_ends(server, ended)
    written = store.write("key", b"second", expected=1)

    assert ended
    assert written.version == 2


def wait_for_ends(server, pids):
    """Waits until none of these backends is left; a pool may have others by then."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE pid = ANY(%s)"
    until = time.monotonic() + SOON
    while run(server, query, [pids]):
        assert time.monotonic() < until


def test_a_read_only_server(server, kind, store):
    """A standby, or a server that was set so, refuses writes by name, and reads."""
    closed = f"{server.url} options='-c default_transaction_read_only=on'"
    with opened(kind, closed) as late:
        messages = [
            refusal(late.write, "key", b"never", expected=1),
            refusal(late.write, "new", b"never", expected=0),
            refusal(late.delete, "key", expected=1),
        ]
        held = late.read("key")

    assert all("is read-only: is this a standby" in message for message in messages)
    assert held.value == b"value"
    assert store.write("key", b"then", expected=1).version == 2


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("statement_timeout=50", r"did not answer in time: .*statement_timeout"),
        ("lock_timeout=50", "is locked by another transaction"),
    ],
)
def test_a_write_that_takes_too_long(server, kind, setting, said):
    """The host's own limits end a wait for another's lock: refused, and done when asked again."""
    with opened(kind, f"{server.url} options='-c {setting}'") as store:
        store.write("key", b"value", expected=0)
        with locked(server):
            with pytest.raises(StoreError, match=said) as raised:
                store.write("key", b"second", expected=1)
            held = store.read("key")

        assert (raised.value.outcome, held.version) == ("refused", 1)
        assert store.write("key", b"second", expected=1).version == 2


def test_a_full_disk(server, kind, tmp_path):
    """A full disk refuses a write by name, loses nothing, and is usable when there is room."""
    place = server.home / f"disk of {kind}".replace(" ", "-")
    place.mkdir()
    name = f"small_{kind}".replace(" ", "_")
    with small_disk(place, "2m") as mounted:
        # Who may not mount gets an error of the same kind, from a limit of the server's.
        assert mounted or os.geteuid() != 0
        server.give(place)
        place.chmod(0o700)
        run(server, f"CREATE TABLESPACE {name} LOCATION '{place}'".encode())
        with opened(
            kind, f"{server.url} options='-c default_tablespace={name}'", table="full"
        ) as store:
            store.create_schema()
            acknowledged = {}
            value = os.urandom(60_000)

            def fill():
                while True:
                    store.write(f"key {len(acknowledged)}", value, expected=0)
                    acknowledged[f"key {len(acknowledged)}"] = value

            message = refusal(fill)
            held = {key: entry.value for key, entry in store.scan("")}
            enlarge(place, "16m")

            assert "cannot grow: the server's disk is full" in message
            assert held == acknowledged
            assert len(held) > 2
            assert store.write("key 0", b"shorter", expected=1).version == 2
            assert store.write(f"key {len(acknowledged)}", value, expected=0).version == 1
        run(server, b'DROP TABLE "full"')
        run(server, f"DROP TABLESPACE {name}".encode())


def hanging_loop(server, store, calls, stack):
    """A keyed loop whose first body leaves the server hung, and fails."""

    async def body(iteration):
        calls.append(iteration.starts)
        if len(calls) == 1:
            stack.enter_context(server.hung())
        raise OSError("the printer is out of paper")

    loop = Loop(IterationCap(9), ExitCondition(success=never), key="orders", store=store)
    return loop, body


async def run_and_give_up(loop, body):
    """Runs a loop for half a second; returns how long that took."""
    begun = time.monotonic()
    with anyio.move_on_after(0.5):
        await loop.arun(body)
    return time.monotonic() - begun


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_hung_server_keeps_no_cancelled_run(server, backend):
    """A server that answers nothing is waited for until the grace is over, and no body is lost."""
    calls = []
    with opened("factory", server.url) as store, ExitStack() as stack:
        loop, body = hanging_loop(server, store, calls, stack)
        took = anyio.run(run_and_give_up, loop, body, backend=backend)
        stack.close()
        starts = Operator(store).show("orders").starts
        again = loop.run(lambda: None)

    assert took < SOON / 4
    assert len(calls) <= starts
    assert (calls, again.ran) == ([1], True)


def test_a_hung_server_keeps_no_cancelled_run_of_the_async_store(server):
    """The same over the asynchronous driver, which then drops its connection."""
    calls = []

    async def main(stack):
        connect = partial(psycopg.AsyncConnection.connect, server.url, autocommit=True)
        async with AsyncPostgresStore(connect) as store:
            loop, body = hanging_loop(server, store, calls, stack)
            took = await run_and_give_up(loop, body)
            stack.close()
            return took, await store.write("key", b"", expected=0)

    with ExitStack() as stack:
        took, written = anyio.run(main, stack)
    with opened("factory", server.url) as store:
        starts = Operator(store).show("orders").starts

    assert took < SOON / 4
    assert len(calls) <= starts
    assert (calls, written.version) == ([1], 1)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGQUIT])
def test_a_run_whose_server_was_killed(server, kind, how):
    """The run ends over its store, every body is counted, and the key runs on afterwards."""
    calls = []

    def body():
        calls.append(1)
        if len(calls) == 2:
            server.stop(how)
        raise OSError("the printer is out of paper")

    with opened(kind, server.url) as store:
        loop = Loop(IterationCap(5), key="orders", store=store)
        report = loop.run(body)
        server.start()
        state = Operator(store).show("orders")
        seen = (len(calls), state.starts)
        again = loop.run(body)

    assert (report.breaker, report.durable) == ("store", False)
    assert seen == (2, 2)
    assert (again.starts, len(calls)) == (3, 3)


def test_conflicts_carry_what_won(server, store):
    """A write that waited for another's commit is refused with that, not with what was before."""
    with locked(server) as connection:
        writing = Writing(store, b"late")
        waiting(server, "wait_event_type", "Lock")
        connection.execute("UPDATE haltable SET version = 2, value = 'early'")
        connection.commit()
        conflict = writing.ended()

    assert isinstance(conflict, Conflict)
    assert (conflict.current.value, conflict.current.version) == (b"early", 2)


@pytest.mark.parametrize("isolation", ["repeatable\\ read", "serializable"])
def test_a_stricter_isolation_changes_nothing(server, kind, isolation):
    """Where the server's default fails what lost a race, that is the same conflict."""
    url = f"{server.url} options='-c default_transaction_isolation={isolation}'".replace(
        "\\", "\\\\"
    )
    with opened(kind, url) as store:
        store.write("key", b"value", expected=0)
        with locked(server) as connection:
            writing = Writing(store, b"late")
            waiting(server, "wait_event_type", "Lock")
            connection.execute("UPDATE haltable SET version = 2, value = 'early'")
            connection.commit()
            conflict = writing.ended()

    assert isinstance(conflict, Conflict)
    assert (conflict.current.value, conflict.current.version) == (b"early", 2)


@pytest.mark.parametrize(
    ("setting", "survives"),
    [
        ("synchronous_commit=on", Durability.MACHINE),
        ("synchronous_commit=local", Durability.MACHINE),
        ("synchronous_commit=off", Durability.NOTHING),
    ],
)
def test_what_a_write_survives(server, kind, setting, survives, caplog):
    """The server's settings say it, with the first write; less than was wanted is logged, once."""
    with opened(kind, f"{server.url} options='-c {setting}'") as store:
        before = store.durability
        for version in range(3):
            assert isinstance(store.write("key", b"value", expected=version), Entry)
        warned = [record for record in caplog.records if "is wanted: see" in record.message]

        assert (before, store.durability) == (Durability.MACHINE, survives)
        assert len(warned) == (survives is Durability.NOTHING)
