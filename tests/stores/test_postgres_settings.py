# SPDX-License-Identifier: MIT
"""What a host may give a PostgreSQL store, what it may not, and what the store leaves behind."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import uuid

import anyio
import psycopg
import pytest
from psycopg.rows import dict_row

from haltable import ConfigurationError, StoreError
from haltable.stores import (
    AsyncPostgresStore,
    AsyncStore,
    Conflict,
    Durability,
    PostgresStore,
    Store,
)
from haltable.stores._postgres_place import ThreadLock
from tests.stores.hosts import HOSTS, Calling


@pytest.fixture
def connect(postgres_url):
    """Opens connections to the server, where the table is."""
    with Calling(postgres_url) as beside:
        PostgresStore(beside.connect()).create_schema()
        yield beside.connect


@pytest.fixture(params=HOSTS)
def host(request, postgres_url, connect):
    """Who has the store: a host that calls its driver, or one that awaits it."""
    with request.param(postgres_url) as host:
        yield host


@pytest.fixture
def key():
    """A key of the test's own."""
    return uuid.uuid4().hex


def refusal(call, *arguments, **named):
    """Returns the message of the StoreError that the call raises, which is certain."""
    with pytest.raises(StoreError) as raised:
        call(*arguments, **named)
    assert raised.value.outcome == "refused", str(raised.value)
    return str(raised.value)


def test_what_the_stores_say_of_themselves(connect):
    """Each states its contract, that it waits, what it survives, and who it is."""
    store = PostgresStore(connect, table="loops", schema="shop")
    twin = AsyncPostgresStore(connect)

    assert isinstance(store, Store)
    assert isinstance(twin, AsyncStore)
    assert (store.blocks, store.durability) == (True, Durability.MACHINE)
    assert (twin.event_loop, twin.durability) == ("asyncio", Durability.MACHINE)
    assert repr(store) == '<PostgresStore: table "shop"."loops">'
    assert repr(twin) == '<AsyncPostgresStore: table "haltable">'


@pytest.mark.parametrize("store", [PostgresStore, AsyncPostgresStore])
@pytest.mark.parametrize("wrong", [None, "dbname=shop", 7, object()])
def test_what_is_no_source_is_refused(store, wrong):
    """It is named at once, with what would be right."""
    with pytest.raises(ConfigurationError, match=r"give a psycopg\..*Connection in autocommit"):
        store(wrong)


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ({"table": ""}, "table=''"),
        ({"table": None}, "table=None"),
        ({"table": "a\0b"}, "give a name"),
        ({"table": "é" * 32}, "at most 63 bytes"),
        ({"schema": ""}, "schema=''"),
        ({"schema": b"shop"}, "schema=b'shop'"),
        ({"durability": "disk"}, "durability='disk'"),
        ({"durability": "nothing"}, "durability='nothing'"),
    ],
)
def test_bad_arguments(named, said, connect):
    """An argument that cannot be right is one clear error."""
    with pytest.raises(ConfigurationError, match=said):
        PostgresStore(connect, **named)


def test_a_connection_outside_autocommit_is_refused(host):
    """A store writes at once; what belongs to the host's transaction has a store of its own."""
    connection = host.connect(autocommit=False)
    with pytest.raises(ConfigurationError, match=r"autocommit=True.*PostgresTransaction"):
        host.store(connection)


def test_a_connection_in_a_transaction_is_refused(host, key):
    """Nothing slips into a transaction that the host may roll back; after it the store goes on."""
    connection = host.connect()
    store = host.store(connection)
    connection.execute("BEGIN")
    messages = [
        refusal(store.read, key),
        refusal(store.write, key, b"1", expected=0),
        refusal(store.delete, key, expected=1),
        refusal(lambda: list(store.scan(key))),
    ]
    connection.commit()

    assert all("stands in a transaction" in message for message in messages)
    assert all("PostgresTransaction" in message for message in messages)
    assert store.write(key, b"1", expected=0).version == 1


def test_a_closed_connection_is_refused(host, key):
    """A connection that was given is not replaced, and that is said."""
    connection = host.connect()
    store = host.store(connection)
    connection.close()

    assert "the connection is closed" in refusal(store.write, key, b"1", expected=0)


def test_a_connection_that_broke_is_refused_from_then_on(host, connect, key):
    """The first call after the break may be unknown, the next ones are refused."""
    connection = host.connect()
    store = host.store(connection)
    connect().execute("SELECT pg_terminate_backend(%s)", [connection.info.backend_pid])
    with pytest.raises(StoreError) as raised:
        store.write(key, b"1", expected=0)

    assert raised.value.outcome == "unknown"
    assert "the connection is closed" in refusal(store.write, key, b"1", expected=0)
    assert PostgresStore(connect()).read(key) is None


def test_a_closed_store_is_refused(host, key):
    """Closing closes what a factory opened, nothing of the host's, and twice does nothing."""
    given = host.connect()
    with host.store(host.open) as store, host.store(given) as other:
        store.read(key)
        other.read(key)
    store.close()

    assert [connection.closed for connection in host.made] == [False, True]
    assert "the store is closed" in refusal(store.read, key)
    assert "the store is closed" in refusal(other.read, key)


def test_a_factory_that_makes_something_else(connect, key):
    """What is no connection is refused by name, and a promise is not left alone."""

    async def promised():
        raise AssertionError("nobody awaits it")

    for factory in (lambda: 7, promised):
        message = refusal(PostgresStore(factory).read, key)

        assert "which is no psycopg.Connection" in message

    async def read():
        return await AsyncPostgresStore(connect).read(key)

    assert "which is no psycopg.AsyncConnection" in refusal(anyio.run, read)


def test_a_factory_keeps_its_connections(host, key):
    """One caller after another uses one connection; callers at once have eight at most."""
    with host.store(host.open) as store:
        for _ in range(5):
            store.read(key)
        one = len(host.made)
        threads = [
            threading.Thread(target=store._run, args=("wait", b"SELECT pg_sleep(0.2)"))
            for _ in range(12)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert one == 1
    assert 2 <= len(host.made) <= 8


class Raced(list):
    """A list that another thread empties, after it was looked at and before it was taken from."""

    def __bool__(self):
        found = len(self) > 0
        self.clear()
        return found


def test_a_connection_that_another_thread_took_first(host, key):
    """Who finds the connection gone that it saw opens another, and waits for nobody."""
    with host.store(host.open) as store:
        store.write(key, b"1", expected=0)
        for kept in store._source._kept.values():
            kept.idle = Raced(kept.idle)
        seen = store.read(key)

    assert (seen.value, len(host.made)) == (b"1", 2)


def test_a_factory_that_is_not_in_autocommit(host, connect, key):
    """What it opens is set to write at once: all others see each write."""

    def opened():
        return host.open(autocommit=False)

    with host.store(opened) as store:
        store.write(key, b"1", expected=0)
        seen = PostgresStore(connect()).read(key)

    assert (seen.value, len(host.made)) == (b"1", 1)


def test_a_pool_that_is_not_in_autocommit(host, connect, key):
    """A store writes at once on its connection too, and gives it back as the host has it."""
    with host.pool(autocommit=False) as pool:
        store, beside = host.store(pool), connect()
        store.write(key, b"1", expected=0)
        seen = PostgresStore(beside).read(key)
        lent = pool.getconn()
        given_back = lent.autocommit
        pool.putconn(lent)
        beside.execute("SELECT pg_terminate_backend(%s)", [lent.info.backend_pid])
        refusal(store.read, key)
        again = store.write(key, b"2", expected=1)

    assert (seen.value, given_back) == (b"1", False)
    assert again.version == 2


def test_threads_that_begin_together_leave_nothing_open(connect, key):
    """Whoever makes the first call, all that was opened for a store is closed with it."""
    before, made = sys.getswitchinterval(), []

    def opened():
        made.append(connect())
        return made[-1]

    sys.setswitchinterval(1e-6)
    try:
        for _ in range(20):
            store, gate = PostgresStore(opened), threading.Barrier(4)

            def call(store=store, gate=gate):
                gate.wait(60)
                store.read(key)

            threads = [threading.Thread(target=call) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            store.close()
    finally:
        sys.setswitchinterval(before)

    assert made
    assert [connection for connection in made if not connection.closed] == []


def test_nothing_is_prepared(host, key):
    """However often a statement comes, and however keen the connection is on preparing."""
    connection = host.connect(prepare_threshold=0)
    store = host.store(connection)
    for version in range(8):
        store.write(key, b"1", expected=version)
        store.read(key)
        list(store.scan(key))
    prepared = connection.execute(
        "SELECT count(*) FROM pg_prepared_statements", prepare=False
    ).fetchone()

    assert prepared == (0,)


def test_statements_are_prepared_for_who_asks(host, key):
    """Once for a connection: each kind of statement, and none twice."""
    connection = host.connect(prepare_threshold=100)
    store = host.store(connection, prepare=True)
    for version in range(8):
        store.write(key, b"1", expected=version)
        store.read(key)
    prepared = connection.execute(
        "SELECT count(*) FROM pg_prepared_statements", prepare=False
    ).fetchone()

    assert prepared == (3,)


@pytest.mark.parametrize("kind", [PostgresStore, AsyncPostgresStore])
def test_whether_to_prepare_is_a_truth(kind):
    """A threshold, as psycopg's own setting is, would be taken for a yes."""
    with pytest.raises(ConfigurationError, match="prepare=5: give True or False"):
        kind(lambda: None, prepare=5)


@pytest.mark.parametrize("act", ["DEALLOCATE ALL", "PREPARE _pg3_0 AS SELECT 1"])
def test_a_session_that_others_are_given_is_named(host, key, act):
    """Behind a pooler a session loses its statements, or holds another's: nothing is done then."""
    connection = host.connect()
    store = host.store(connection, prepare=True)
    if act.startswith("DEALLOCATE"):
        store.read(key)
        connection.pgconn.exec_(act.encode())
    else:
        connection.execute(act, prepare=False)
    with pytest.raises(StoreError, match="through a pooler") as caught:
        store.read(key)

    assert caught.value.outcome == "refused"


def test_any_connection_will_do(host, key):
    """Whatever rows and cursors the host has set up, the store has its own."""
    connection = host.connect(row_factory=dict_row, cursor_factory=host.client_cursor)
    store = host.store(connection)
    written = store.write(key, b"\0\xff", expected=0)

    assert store.read(key).value == b"\0\xff"
    assert [name for name, _ in store.scan(key)] == [key]
    assert store.delete(key, expected=written.version)
    assert connection.execute("SELECT 1 AS one").fetchone() == {"one": 1}


@pytest.mark.parametrize(
    "name", ['a"b', "a%b", "a%s'b", "%(key)s", "Ünï", "select", "a.b", "a b;--"]
)
def test_any_name_will_do(connect, key, name):
    """A table's and a schema's name are quoted, whatever stands in them."""
    quoted = psycopg.sql.Identifier(name)
    connection = connect()
    connection.execute(psycopg.sql.SQL("CREATE SCHEMA {}").format(quoted))
    store = PostgresStore(connection, table=name, schema=name)
    store.create_schema()
    written = store.write(key, b"1", expected=0)
    found = [entry.version for _, entry in store.scan("")]
    deleted = store.delete(key, expected=written.version)
    names = connection.execute(
        "SELECT table_schema, table_name FROM information_schema.tables WHERE table_name = %s",
        [name],
    ).fetchall()
    connection.execute(psycopg.sql.SQL("DROP SCHEMA {} CASCADE").format(quoted))

    assert (names, found, deleted) == ([(name, name)], [1], True)


@pytest.mark.parametrize("text", ["a\0b", "a\ud800b"])
def test_a_key_that_no_text_can_hold(host, text):
    """What cannot be sent is refused, not unknown, and the store goes on."""
    store = host.store(host.open)
    refusal(store.write, text, b"1", expected=0)
    refusal(store.read, text)
    store.close()


def test_the_table_is_the_hosts_to_create(host, key):
    """Nothing creates it behind the host's back; what is printed creates it, once or twice."""
    connection = host.connect()
    name = f"t{key}"
    store = host.store(connection, table=name)
    missing = [
        refusal(store.read, key),
        refusal(store.write, key, b"1", expected=0),
        refusal(store.delete, key, expected=1),
        refusal(lambda: list(store.scan(""))),
    ]
    for _ in range(2):
        connection.execute(store.schema(name))
    store.create_schema()
    written = store.write(key, b"1", expected=0)
    connection.execute(f"DROP TABLE {name}")

    assert all("is missing: call create_schema() once" in message for message in missing)
    assert written.version == 1


def test_a_table_of_another_form_is_refused(host, key):
    """A table that is not ours is not taken for ours, and not changed."""
    connection = host.connect()
    connection.execute(f"CREATE TABLE t{key} (key text)")
    message = refusal(host.store(connection, table=f"t{key}").create_schema)
    connection.execute(f"DROP TABLE t{key}")

    assert "has another form than this version of haltable reads" in message


def test_many_create_the_table_at_once(connect, key):
    """Processes that start together may all create it; none of them fails."""
    name, failures = f"t{key}", []
    stores = [PostgresStore(connect(), table=name) for _ in range(6)]
    together = threading.Barrier(len(stores))

    def create(store):
        together.wait()
        try:
            store.create_schema()
        except StoreError as error:
            failures.append(error)

    threads = [threading.Thread(target=create, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    connect().execute(f"DROP TABLE {name}")

    assert failures == []


def test_who_creates_the_table_second_finds_it_made(host, connect, key):
    """What another has created and not committed yet is waited for, and is no error."""
    first, late, failures = connect(autocommit=False), host.connect(), []
    first.execute(PostgresStore.schema(f"t{key}"))

    def create():
        try:
            host.store(late, table=f"t{key}").create_schema()
        except StoreError as error:
            failures.append(error)

    thread = threading.Thread(target=create)
    thread.start()
    wait_until_blocked(connect(), late.info.backend_pid, thread)
    first.commit()
    thread.join()
    connect().execute(f"DROP TABLE t{key}")

    assert failures == []


def test_a_table_that_cannot_be_created(host, key):
    """What is missing for it is named, and the error is not taken for somebody else's table."""
    message = refusal(host.store(host.connect(), schema=f"s{key}").create_schema)

    assert "lies in a schema that is missing: create that first" in message


def wait_until_blocked(connection, pid, thread):
    """Waits until a backend waits for another's lock, as long as who uses it lives."""
    blocked = "SELECT cardinality(pg_blocking_pids(%s))"
    while thread.is_alive() and not connection.execute(blocked, [pid]).fetchone()[0]:
        pass


def test_a_forked_child_has_connections_of_its_own(connect, key):
    """A factory is asked anew in the child, and what the parent had goes on working."""
    made = []

    def factory():
        made.append(os.getpid())
        return connect()

    store = PostgresStore(factory)
    given = PostgresStore(connect())
    store.write(key, b"parent", expected=0)
    child = os.fork()
    if not child:
        try:
            refused = "before this process was forked" in refusal(given.read, key)
            written = store.write(key, b"child", expected=1).version == 2
            os._exit(0 if refused and written and made[-1] == os.getpid() else 1)
        finally:
            os._exit(2)
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    assert store.read(key).value == b"child"
    assert given.read(key).version == 2
    assert made == [os.getpid()]
    store.close()


def test_a_forked_child_leaves_an_async_connection_alone(postgres_url, connect, key):
    """The child is refused the connection that the parent had opened for its tasks."""

    async def opened():
        connection = await psycopg.AsyncConnection.connect(postgres_url, autocommit=True)
        return AsyncPostgresStore(connection), connection

    store, connection = anyio.run(opened)
    child = os.fork()
    if not child:
        try:
            refused = "before this process was forked" in refusal(anyio.run, store.read, key)
            os._exit(0 if refused else 1)
        finally:
            os._exit(2)
    _, status = os.waitpid(child, 0)
    read = anyio.run(store.read, key)
    anyio.run(connection.close)

    assert os.waitstatus_to_exitcode(status) == 0
    assert read is None


def test_an_async_store_on_one_event_loop_after_another(postgres_url, connect, key):
    """Connections of an event loop that has ended are left, and new ones are made."""
    made = []

    async def factory():
        made.append(await psycopg.AsyncConnection.connect(postgres_url, autocommit=True))
        return made[-1]

    store = AsyncPostgresStore(factory)

    async def write(expected):
        return await store.write(key, b"1", expected=expected)

    versions = [anyio.run(write, expected).version for expected in range(3)]
    anyio.run(store.close)

    assert versions == [1, 2, 3]
    assert [connection.closed for connection in made] == [True, True, True]


def test_a_call_within_a_call_on_one_connection_is_refused():
    """What a garbage collection calls in the middle of a call does not wait for itself."""
    lock = ThreadLock()
    with lock, pytest.raises(RuntimeError, match="in the middle of another call"), lock:
        pass
    with lock:
        pass


@pytest.mark.parametrize(
    "name",
    ["PostgresStore", "PostgresTransaction", "AsyncPostgresStore", "AsyncPostgresTransaction"],
)
def test_a_missing_driver_is_named(name):
    """Without psycopg the stores can be imported, and say what to install when one is made."""
    code = f"""
import sys
import haltable.stores
from haltable.stores import {name} as Store
assert "psycopg" not in sys.modules
print(Store.schema())
sys.modules["psycopg"] = None
try:
    Store(print)
except haltable.ConfigurationError as error:
    print(error)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "CREATE TABLE IF NOT EXISTS" in ran.stdout
    assert "pip install 'haltable[postgres]'" in ran.stdout


def test_a_stale_conflict_is_read_again(host, connect, key):
    """A conflict that would have let the write through is never handed out."""
    store, other = PostgresStore(connect()), connect(autocommit=False)
    other.execute("INSERT INTO haltable VALUES (%s, 7, clock_timestamp(), 'first')", [key])
    found, waiting = [], host.connect()
    late = host.store(waiting)
    thread = threading.Thread(target=lambda: found.append(late.write(key, b"second", expected=0)))
    thread.start()
    wait_until_blocked(connect(), waiting.info.backend_pid, thread)
    other.commit()
    thread.join()

    assert isinstance(found[0], Conflict)
    assert (found[0].current.value, found[0].current.version) == (b"first", 7)
    assert store.read(key).version == 7
