# SPDX-License-Identifier: MIT
"""A store in the host's PostgreSQL transaction lives and dies with what the host has written."""

from __future__ import annotations

import contextlib
import threading
import time
import uuid

import anyio
import psycopg
import pytest
from psycopg.rows import dict_row

from haltable import ConfigurationError, IdempotencyGuard, IterationCap, Loop, StoreError
from haltable.store import AsyncStore, Conflict, Durability, Entry, Store
from haltable.stores import AsyncPostgresTransaction, PostgresStore, PostgresTransaction
from tests.stores.hosts import HOSTS, Awaiting, Calling


@pytest.fixture
def schema(postgres_url):
    """A schema of the test's own, with the table and one of the host's."""
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {name}".encode())
        connection.execute(f"CREATE TABLE {name}.orders (number int)".encode())
        PostgresStore(connection, schema=name).create_schema()
        yield name
        connection.execute(f"DROP SCHEMA {name} CASCADE".encode())


@pytest.fixture
def url(postgres_url, schema):
    """How to connect to it."""
    return f"{postgres_url} options='-c search_path={schema}'"


@pytest.fixture
def connect(url):
    """Opens connections beside the host's."""
    with Calling(url) as beside:
        yield beside.connect


@pytest.fixture(params=HOSTS)
def host(request, url):
    """Who has the transaction: a host that calls its driver, or one that awaits it."""
    with request.param(url) as host:
        yield host


@pytest.fixture
def connection(host):
    """The host's connection, in a transaction."""
    connection = host.connect()
    connection.execute("BEGIN")
    return connection


@pytest.fixture
def store(host, connection):
    """The store in it."""
    return host.transaction(connection)


def orders(connection):
    """How many rows the host has."""
    return connection.execute("SELECT count(*) FROM orders").fetchone()[0]


def test_a_commit_keeps_it(connect, connection, store):
    """What the host commits is there for everybody, and nothing before that is."""
    written = store.write("a", b"1", expected=0)
    other = PostgresStore(connect())
    before = other.read("a")
    connection.commit()

    assert before is None
    assert (other.read("a").value, other.read("a").version) == (b"1", written.version)


@pytest.mark.parametrize("undo", ["ROLLBACK", "ROLLBACK TO mine"])
def test_a_rollback_takes_it_along(connection, store, undo):
    """Whether the host goes back all the way or to a savepoint: what was written since is gone."""
    connection.execute("SAVEPOINT mine")
    store.write("a", b"1", expected=0)
    connection.execute(undo)

    assert store.read("a") is None
    assert list(store.scan("")) == []


def test_it_ends_no_transaction(connection, store):
    """Whatever is asked of it, beginning and ending are the host's."""
    connection.execute("INSERT INTO orders VALUES (1)")
    kept = store.write("a", b"1", expected=0)
    store.write("a", b"2", expected=0)
    store.delete("a", expected=kept.version)
    store.create_schema()
    list(store.scan(""))
    begun = connection.info.transaction_status
    connection.rollback()

    assert begun == psycopg.pq.TransactionStatus.INTRANS
    assert orders(connection) == 0


def test_a_connection_that_begins_by_itself(host, connect):
    """Outside autocommit the driver begins the transaction, and the host ends it as ever."""
    connection = host.connect(autocommit=False)
    with connection:
        host.transaction(connection).write("a", b"1", expected=0)
        seen = PostgresStore(connect()).read("a")

    assert seen is None
    assert PostgresStore(connect()).read("a").value == b"1"


def test_without_a_transaction_nothing_is_written(host):
    """It neither begins one nor writes by itself, and says what to do; reading is harmless."""
    connection = host.connect()
    store = host.transaction(connection)
    for act in (lambda: store.write("a", b"1", expected=0), lambda: store.delete("a", expected=1)):
        with pytest.raises(
            StoreError, match=r"no open transaction.*'a'.*begin yours first"
        ) as told:
            act()
        assert told.value.outcome == "refused"

    assert (store.read("a"), list(store.scan(""))) == (None, [])
    assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE


def test_a_refused_reading_begins_no_transaction(host):
    """Where none is open, there is nothing to go back to, and none afterwards either."""
    connection = host.connect()
    with pytest.raises(StoreError, match=r"is missing: call create_schema\(\) once") as told:
        host.transaction(connection, table="absent").read("a")

    assert told.value.outcome == "refused"
    assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE


def test_a_refused_statement_leaves_the_transaction(host, connection, connect):
    """What cannot be done is undone to the savepoint: the host's rows stay, and it goes on."""
    connection.execute("INSERT INTO orders VALUES (1)")
    absent = host.transaction(connection, table="absent")
    acts = [
        lambda: absent.read("a"),
        lambda: absent.write("a", b"1", expected=0),
        lambda: absent.delete("a", expected=1),
        lambda: list(absent.scan("")),
    ]
    for act in acts:
        with pytest.raises(StoreError, match=r"is missing: call create_schema\(\) once") as told:
            act()
        assert told.value.outcome == "refused"
    host.transaction(connection).write("a", b"1", expected=0)
    connection.commit()

    assert orders(connect()) == 1
    assert PostgresStore(connect()).read("a").value == b"1"


@pytest.mark.parametrize("table", ["haltable", "absent"])
def test_no_savepoint_is_left(host, connection, table):
    """Done or refused, a verb leaves the host's transaction without a savepoint of ours."""
    with contextlib.suppress(StoreError):
        host.transaction(connection, table=table).write("a", b"1", expected=0)
    with pytest.raises(psycopg.Error) as told:
        connection.execute("RELEASE SAVEPOINT haltable")

    assert told.value.sqlstate == "3B001"


def test_a_locked_row_is_waited_for_as_long_as_the_host_says(host, connection, connect, store):
    """Another's open transaction on the key is waited for; lock_timeout ends that by name."""
    kept = store.write("a", b"1", expected=0)
    late = host.connect()
    late.execute("BEGIN")
    late.execute("SET LOCAL lock_timeout = '50ms'")
    with pytest.raises(StoreError, match="is locked by another transaction") as told:
        host.transaction(late).write("a", b"2", expected=0)
    late.execute("INSERT INTO orders VALUES (2)")
    late.commit()
    connection.commit()

    assert told.value.outcome == "refused"
    assert orders(connect()) == 1
    assert PostgresStore(connect()).read("a").version == kept.version


def test_who_came_second_waits_and_is_told_who_was_first(host, connection, connect, store):
    """A write that waited for another's commit is refused with what was committed."""
    first = store.write("a", b"first", expected=0)
    found = []
    late = host.connect()
    late.execute("BEGIN")
    pid = late.info.backend_pid

    def write():
        found.append(host.transaction(late).write("a", b"second", expected=0))

    thread = threading.Thread(target=write)
    thread.start()
    watcher = connect()
    while not watcher.execute("SELECT cardinality(pg_blocking_pids(%s))", [pid]).fetchone()[0]:
        pass
    connection.commit()
    thread.join()

    assert isinstance(found[0], Conflict)
    assert (found[0].current.value, found[0].current.version) == (b"first", first.version)


def test_a_failed_transaction_is_refused(connection, store):
    """After an error of the host's own nothing is tried, and it is told what to do."""
    with pytest.raises(psycopg.Error):
        connection.execute("SELECT nonsense")
    with pytest.raises(StoreError, match="roll your failed transaction back first") as told:
        store.read("a")

    assert told.value.outcome == "refused"


def test_a_connection_in_the_middle_of_a_statement_is_refused(connection, store):
    """What another task or thread has sent is not waited for, and the answer stays its own."""
    connection.pgconn.send_query(b"SELECT 7")
    with pytest.raises(StoreError, match="in the middle of a statement") as told:
        store.write("a", b"1", expected=0)
    answer = connection.pgconn.get_result().get_value(0, 0)
    connection.pgconn.get_result()

    assert (told.value.outcome, answer) == ("refused", b"7")
    assert isinstance(store.write("a", b"1", expected=0), Entry)


def test_the_table_is_created_in_the_open_transaction(host):
    """A migration that is rolled back leaves no table; creating twice is no error."""
    connection = host.connect()
    store = host.transaction(connection, table="mine")
    connection.execute("BEGIN")
    store.create_schema()
    connection.rollback()
    tables = connection.execute("SELECT to_regclass('mine')").fetchone()
    for _ in range(2):
        store.create_schema()

    assert tables == (None,)
    assert store.read("a") is None


def test_a_version_that_was_rolled_back_is_not_given_out_again(connection, store):
    """A fence that went out to the world belongs to one attempt, also one that was undone."""
    versions = []
    for _ in range(3):
        connection.execute("SAVEPOINT mine")
        versions.append(store.write("a", b"1", expected=0).version)
        connection.execute("ROLLBACK TO mine")
    kept = store.write("a", b"1", expected=0).version
    connection.execute("SAVEPOINT mine")
    lost = store.write("a", b"2", expected=kept).version
    connection.execute("ROLLBACK TO mine")
    after = store.write("a", b"2", expected=kept).version

    assert [*versions, kept, lost, after] == sorted({*versions, kept, lost, after})
    assert isinstance(store.write("a", b"3", expected=lost), Conflict)


def test_a_version_grows_over_a_clock_that_went_back(connection, store):
    """Should the server's clock be set back, versions go on from where they were."""
    far = 2**60
    store.write("a", b"1", expected=0)
    connection.execute("UPDATE haltable SET version = %s", (far,))
    second = store.write("a", b"2", expected=far)
    store.delete("a", expected=second.version)
    third = store.write("a", b"3", expected=0)

    assert (second.version, third.version) == (far + 1, far + 2)


@pytest.mark.parametrize("host", [Calling], indirect=True)
def test_an_age_begins_with_the_write(connection, store):
    """What the transaction did before does not make a record older, nor does a replacement."""
    connection.execute("SELECT pg_sleep(1)")
    begun = time.monotonic()
    first = store.write("a", b"1", expected=0)
    made = (store.read("a").age, time.monotonic() - begun)
    connection.execute("SELECT pg_sleep(1)")
    begun = time.monotonic()
    store.write("a", b"2", expected=first.version)
    replaced = (store.read("a").age, time.monotonic() - begun)

    assert made[0] <= made[1] + 0.02
    assert replaced[0] <= replaced[1] + 0.02


def test_any_connection_will_do(host):
    """How the host has set its connection up changes nothing, nor is that changed."""
    connection = host.connect(row_factory=dict_row, cursor_factory=host.client_cursor)
    store = host.transaction(connection)
    connection.execute("BEGIN")
    written = store.write("é", b"1", expected=0)
    found = [(key, entry.value) for key, entry in store.scan("é")]
    connection.commit()

    assert isinstance(store.read("é"), Entry)
    assert (found, written.value) == ([("é", b"1")], b"1")
    assert connection.execute("SELECT 1 AS one").fetchone() == {"one": 1}


@pytest.mark.parametrize(
    ("host", "kind", "name"),
    [(Calling, Store, "PostgresTransaction"), (Awaiting, AsyncStore, "AsyncPostgresTransaction")],
    indirect=["host"],
)
def test_what_it_says_of_itself(store, kind, name):
    """It says that it is in a transaction, waits, and what a commit survives once it knows."""
    before = store.durability
    store.write("a", b"1", expected=0)
    store = getattr(store, "given", store)

    assert isinstance(store, kind)
    assert (store.transactional, store.blocks) == (True, True)
    assert (before, store.durability) == (Durability.PROCESS, Durability.PROCESS)
    assert repr(store) == f'<{name}: table "haltable">'


@pytest.mark.parametrize("wrong", [None, "dbname=shop", psycopg.Connection])
def test_what_is_no_connection_is_refused(host, wrong):
    """It is named at once, not at the first write."""
    with pytest.raises(ConfigurationError, match=f"give an open {host.kind}$"):
        host.transaction(wrong)


def test_a_closed_connection_is_refused(host):
    """Before it is taken and after, in words and as not done."""
    connection = host.connect()
    store = host.transaction(connection)
    connection.close()
    with pytest.raises(ConfigurationError, match=f"give an open {host.kind}$"):
        host.transaction(connection)
    acts = (
        lambda: store.write("a", b"1", expected=0),
        lambda: store.read("a"),
        store.create_schema,
    )
    for act in acts:
        with pytest.raises(StoreError, match="the connection is closed") as told:
            act()
        assert told.value.outcome == "refused"


def test_a_transaction_that_lost_its_server_has_written_nothing(connect, connection, store):
    """A backend that ends takes record and rows along, and that is refused, not unknown."""
    connection.execute("INSERT INTO orders VALUES (1)")
    store.write("a", b"1", expected=0)
    connect().execute("SELECT pg_terminate_backend(%s)", [connection.info.backend_pid])
    with pytest.raises(StoreError) as told:
        store.write("b", b"1", expected=0)

    assert told.value.outcome == "refused"
    assert (orders(connect()), PostgresStore(connect()).read("a")) == (0, None)


@pytest.mark.parametrize("host", [Calling], indirect=True)
def test_a_loop_refuses_it(store):
    """A rollback would give a charged start back, so a loop does not take it."""
    with pytest.raises(ConfigurationError, match="a rollback of your transaction"):
        Loop(IterationCap(3), key="a", store=store)


def test_row_and_record_are_one_commit(connect):
    """An effect on the host's own rows happens once, over rollbacks and replays."""
    connection = connect()
    guard = IdempotencyGuard(store=PostgresTransaction(connection), transactional=True)

    def order():
        connection.execute("INSERT INTO orders VALUES (1)")
        return "made"

    def refuse():
        with connection.transaction():
            guard.once("order:1", order)
            raise TimeoutError("the host changes its mind")

    with pytest.raises(TimeoutError):
        refuse()
    undone = orders(connection)
    answers = []
    for _ in range(2):
        with connection.transaction():
            answers.append(guard.once("order:1", order))

    assert (undone, answers, orders(connection)) == (0, ["made", "made"], 1)


def test_an_async_row_and_its_record_are_one_commit(url, connect):
    """The same on asyncio, over the driver's asynchronous connection."""
    answers = []

    async def main():
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
            guard = IdempotencyGuard(store=AsyncPostgresTransaction(connection), transactional=True)

            async def order():
                await connection.execute("INSERT INTO orders VALUES (1)")
                return "made"

            async def refuse():
                async with connection.transaction():
                    await guard.aonce("order:1", order)
                    raise TimeoutError("the host changes its mind")

            with pytest.raises(TimeoutError):
                await refuse()
            answers.append(orders(connect()))
            for _ in range(2):
                async with connection.transaction():
                    answers.append(await guard.aonce("order:1", order))

    anyio.run(main)

    assert answers == [0, "made", "made"]
    assert orders(connect()) == 1
