# SPDX-License-Identifier: MIT
"""The rows of a query as evidence, over real SQLite and PostgreSQL, sync and async."""

from __future__ import annotations

import contextlib
import datetime as dt
import functools
import gc
import inspect
import math
import sqlite3
import threading
import uuid
from decimal import Decimal

import anyio
import psycopg
import pytest
from psycopg.rows import dict_row, scalar_row

from haltable import IterationCap, Loop, StallDetector
from haltable.errors import ConfigurationError
from haltable.evidence import Evidence, Rows
from haltable.evidence._row_digest import RowDigest
from haltable.testing import FakeClock
from tests.stores.servers import postgres_url

__all__ = ["postgres_url"]

COUNT = "select count(*) from work"
ALL = "select * from work order by rowid"


@pytest.fixture
def path(tmp_path):
    """A database file with one table."""
    path = tmp_path / "work.db"
    execute(path, "create table work (number integer, state text)")
    return path


@pytest.fixture
def connection(path):
    """An open connection to it."""
    with contextlib.closing(sqlite3.connect(path)) as opened:
        yield opened


def execute(path, *queries):
    """Carries out queries, as somebody else would."""
    with contextlib.closing(sqlite3.connect(path)) as other:
        for query in queries:
            other.execute(query)
        other.commit()


class Counted:
    """Makes connections and knows how many are open."""

    def __init__(self, path):
        self.path, self.made, self.opened = path, 0, 0

    def __call__(self):
        self.made, self.opened = self.made + 1, self.opened + 1
        counted = self

        class Connection(sqlite3.Connection):
            def close(self):
                counted.opened -= 1
                super().close()

        return sqlite3.connect(self.path, factory=Connection)


# Content decides ------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        "insert into work values (2, 'done')",
        "delete from work",
        "update work set number = 3",
        "update work set state = null",
        "update work set state = 'done '",
    ],
)
def test_other_rows_are_another_state(path, connection, change):
    """Whatever changes what the query returns is seen."""
    execute(path, "insert into work values (1, 'done')")
    rows = Rows(ALL, connection)
    before = rows.fingerprint()
    execute(path, change)

    assert rows.fingerprint() != before


def test_what_the_query_does_not_return_is_no_news(path, connection):
    """Another table, an update to the same, a row that came and went: nothing new."""
    execute(path, "insert into work values (1, 'done')")
    rows = Rows(ALL, connection)
    before = rows.fingerprint()
    execute(path, "create table other (x)", "insert into other values (1)")
    execute(path, "update work set state = 'done'")
    execute(path, "insert into work values (2, 'new')", "delete from work where number = 2")

    assert rows.fingerprint() == before


def test_rows_count_in_their_order(path, connection):
    """The same rows in another order are another state; ORDER BY keeps them in one."""
    execute(path, "insert into work values (1, 'a'), (2, 'b')")

    assert (
        Rows("select * from work order by number", connection).fingerprint()
        != Rows("select * from work order by number desc", connection).fingerprint()
    )


def test_where_a_row_ends_counts(connection):
    """The same values over other rows and columns are another state."""
    shapes = ["values (1, 2)", "values (1), (2)", "values (12)", "values ('1', '2')"]
    shapes += ["select 1 where 0", "values (null)", "values ('')"]

    assert len({Rows(shape, connection).fingerprint() for shape in shapes}) == len(shapes)


def test_a_large_result_is_taken_piece_by_piece(connection):
    """Every row of many counts, and no more than some are fetched at a time."""
    sizes = []

    class Cursor(sqlite3.Cursor):
        def fetchmany(self, size):
            sizes.append(size)
            return super().fetchmany(size)

        def fetchall(self):
            raise AssertionError("all at once")

    class Connection(sqlite3.Connection):
        def cursor(self):
            return super().cursor(Cursor)

    series = (
        "with recursive n(i) as (values (1) union all select i + 1 from n limit {}) select i from n"
    )
    with contextlib.closing(sqlite3.connect(":memory:", factory=Connection)) as counted:
        states = {
            Rows(series.format(size), counted).fingerprint() for size in (9_999, 10_000, 10_001)
        }

    assert len(states) == 3
    assert max(sizes) <= 1000
    assert len(sizes) > 30


VALUES = [
    None,
    *(False, True, 0, 1, -1, 10**5000, -(10**5000)),
    *(0.0, -0.0, 1.0, 0.1, math.nan, math.inf, -math.inf),
    *("", "1", "n0:", "None", "\udcff", "\0"),
    *(b"", b"1", b"\0"),
    *(Decimal(1), Decimal("1.0"), Decimal("NaN")),
    *(
        dt.date(2026, 1, 2),
        dt.datetime.fromisoformat("2026-01-02"),
        dt.datetime(2026, 1, 2, tzinfo=dt.UTC),
    ),
    *(dt.time(1, 2), dt.time(1, 2, tzinfo=dt.UTC), dt.timedelta(1), dt.timedelta(microseconds=1)),
    *(
        uuid.UUID(int=1),
        [],
        [None],
        [[]],
        [1, 2],
        [12],
        ["a", "b"],
        ["as:b"],
        ["as1:b"],
        {},
        {"a": 1},
        {"a": [1]},
        {"1": None},
    ),
]


def digest_of(*rows):
    """Returns the digest of rows."""
    digest = RowDigest("rows")
    digest.add(rows)
    return digest.digest()


def test_values_have_fingerprints_of_their_own():
    """No two values that differ, in themselves or in their types, read the same."""
    assert len({digest_of((value,)) for value in VALUES}) == len(VALUES)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (bytearray(b"1"), b"1"),
        (memoryview(b"1"), b"1"),
        ([1, 2], (1, 2)),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    ],
)
def test_equal_values_read_the_same(one, other):
    """What different drivers return for the same is the same."""
    assert digest_of((one,)) == digest_of((other,))


@pytest.mark.parametrize("value", [object(), {1, 2}, 1j, range])
def test_what_has_no_fingerprint_is_named(value):
    """A value that is no plain one is an error that says what would be right."""
    with pytest.raises(TypeError, match=f"rows: .* of a {type(value).__name__}; have the query"):
        digest_of((1, [value]))


# Connections and factories ---------------------------------------------------


def test_a_factory_is_used_for_one_look(path):
    """What it makes is closed after each look, also after one that failed."""
    counted = Counted(path)
    rows = Rows(COUNT, counted)
    before = rows.fingerprint()
    execute(path, "insert into work values (1, 'done')")

    assert rows.fingerprint() != before
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        Rows("select * from absent", counted).fingerprint()
    assert (counted.made, counted.opened) == (3, 0)


def test_a_given_connection_stays_open(connection):
    """Nobody closes, commits or rolls back what is not theirs; cursors are closed."""
    connection.execute("insert into work values (1, 'done')")
    rows = Rows(COUNT, connection)
    rows.fingerprint()

    assert connection.in_transaction
    connection.rollback()
    assert connection.execute(COUNT).fetchone() == (0,)


def test_pools_give_contexts(path):
    """A function may return a context of a connection, which it then gets back."""
    events = []

    @contextlib.contextmanager
    def lent():
        with contextlib.closing(sqlite3.connect(path)) as opened:
            events.append("lent")
            yield opened
        events.append("given back")

    assert Rows(COUNT, lent).fingerprint() == Rows(COUNT, Counted(path)).fingerprint()
    assert events == ["lent", "given back"]


def test_parameters_are_passed_on(path, connection):
    """They stand in the query by order, or by name; a query without any gets none."""
    execute(path, "insert into work values (1, 'done'), (2, '%s')")
    by_order = Rows("select * from work where number = ? and state = ?", connection, 1, "done")
    by_name = Rows("select * from work where number = :n", connection, {"n": 1})

    assert by_order.fingerprint() == by_name.fingerprint()
    assert (
        Rows("select * from work where state = '%s'", connection).fingerprint()
        == Rows("select * from work where number = ?", connection, 2).fingerprint()
    )


def test_another_thread_is_refused(path, connection):
    """A connection of sqlite3 belongs to its thread: elsewhere it is blind, a factory is not."""
    faults = []

    def look():
        Rows(COUNT, functools.partial(sqlite3.connect, path)).fingerprint()
        try:
            Rows(COUNT, connection).fingerprint()
        except sqlite3.ProgrammingError as error:
            faults.append(str(error))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()

    assert "thread" in faults[0]


@pytest.mark.parametrize("query", ["create table new (x)", "insert into work values (1, 'done')"])
def test_a_query_without_rows_is_blind(connection, query):
    """What returns nothing at all is no evidence, and never "nothing new"."""
    with pytest.raises(TypeError, match=r"Rows\(.*\): the query returns no rows"):
        Rows(query, connection).fingerprint()


def test_a_factory_that_makes_none_is_blind():
    """A function that forgot to return its connection is named."""
    with pytest.raises(TypeError, match="the function made None, which is no connection"):
        Rows(COUNT, lambda: None).fingerprint()


def test_it_is_called_by_its_query(connection):
    """Receipts have the query in one line, or what it was told to be called."""
    assert str(Rows("select 1\n  from work", connection)) == "Rows(select 1 from work)"
    assert str(Rows(COUNT, connection, name="work") | Rows(COUNT, connection)) == (
        f"work or Rows({COUNT})"
    )
    assert isinstance(Rows(COUNT, connection), Evidence)
    assert Rows(COUNT, connection).blocks is True


@pytest.mark.parametrize(
    ("given", "named", "words"),
    [
        (("", Counted), {}, r"Rows\(''\): give a query"),
        ((" ", Counted), {}, "give a query"),
        ((b"select 1", Counted), {}, r"Rows\(b'select 1'\)"),
        ((COUNT, None), {}, r"Rows\(connection=None\): give a database connection"),
        ((COUNT, "work.db"), {}, "connection='work.db'"),
        ((COUNT, lambda url: url), {}, "function without arguments"),
        ((COUNT, Counted), {}, "function without arguments"),
        ((COUNT, dict), {"name": ""}, "name=''"),
        ((COUNT, dict), {"name": 7}, "name=7"),
    ],
)
def test_bad_input_is_refused(given, named, words):
    """What could never be asked is refused when it is put together."""
    with pytest.raises(ConfigurationError, match=words):
        Rows(*given, **named)


def test_builtins_without_a_signature_are_taken_at_their_word():
    """Where nobody can say what a callable takes, it is not refused."""
    assert str(Rows(COUNT, dict)) == f"Rows({COUNT})"


# Asynchronous ----------------------------------------------------------------


class AsyncCursor:
    """A cursor whose verbs are awaited, over a real one."""

    def __init__(self, cursor):
        self._cursor = cursor

    @property
    def description(self):
        return self._cursor.description

    async def execute(self, *words):
        await anyio.lowlevel.checkpoint()
        self._cursor.execute(*words)

    async def fetchmany(self, size):
        await anyio.lowlevel.checkpoint()
        return self._cursor.fetchmany(size)

    async def close(self):
        await anyio.lowlevel.checkpoint()
        self._cursor.close()


class AsyncConnection:
    """A connection whose verbs are awaited, over a real one of the event loop's thread."""

    opened = 0

    def __init__(self, path):
        self._connection = sqlite3.connect(path)
        type(self).opened += 1

    @classmethod
    async def connect(cls, path):
        await anyio.lowlevel.checkpoint()
        return cls(path)

    def cursor(self):
        return AsyncCursor(self._connection.cursor())

    async def close(self):
        await anyio.lowlevel.checkpoint()
        self._connection.close()
        type(self).opened -= 1


@contextlib.asynccontextmanager
async def lent(path):
    """Lends an asynchronous connection, as a pool does."""
    opened = await AsyncConnection.connect(path)
    yield opened
    await opened.close()


async def blocking(path):
    """Makes a connection that is not asynchronous itself."""
    return sqlite3.connect(path)


@contextlib.contextmanager
def lent_blocking(path):
    """Lends one."""
    with contextlib.closing(sqlite3.connect(path)) as opened:
        yield opened


async def lent_later(path):
    """Lends one, when it is awaited."""
    return lent_blocking(path)


FACTORIES = {
    "coroutine function": lambda path: functools.partial(AsyncConnection.connect, path),
    "function of a coroutine": lambda path: lambda: AsyncConnection.connect(path),
    "function": lambda path: lambda: AsyncConnection(path),
    "pool": lambda path: lambda: lent(path),
    "sync in the end": lambda path: functools.partial(blocking, path),
    "sync pool in the end": lambda path: functools.partial(lent_later, path),
}


@pytest.mark.parametrize("made_by", FACTORIES)
async def test_async_connections_are_awaited(path, made_by):
    """However it is made, an asynchronous connection is used and closed, and sees the same."""
    if made_by == "function":
        # Its thread is that of the event loop here, as it would be in `arun`.
        AsyncConnection.opened = 0
    rows = Rows(COUNT, FACTORIES[made_by](path))
    before = await rows.fingerprint()
    execute(path, "insert into work values (1, 'done')")
    after = await rows.fingerprint()

    assert before != after
    assert after == Rows(COUNT, Counted(path)).fingerprint()
    assert AsyncConnection.opened == 0
    gc.collect()


async def test_a_given_async_connection_stays_open(path):
    """It is used as it is, on the event loop itself."""
    connection = await AsyncConnection.connect(path)
    rows = Rows(COUNT, connection)
    assert rows.blocks is False
    assert await rows.fingerprint() == await rows.fingerprint()
    with pytest.raises(sqlite3.OperationalError):
        await Rows("select * from absent", connection).fingerprint()

    assert AsyncConnection.opened == 1
    await connection.close()


async def test_a_cancelled_look_closes(path):
    """A look that is cancelled half-way gives back what it has opened."""

    class Stuck(AsyncConnection):
        opened = 0

        def cursor(self):
            cursor = super().cursor()
            cursor.execute = lambda *_: anyio.sleep_forever()
            return cursor

    rows = Rows(COUNT, functools.partial(Stuck.connect, path))
    with anyio.move_on_after(0.05) as scope:
        await rows.fingerprint()

    assert scope.cancelled_caught
    assert Stuck.opened == 0


@pytest.mark.parametrize("made_by", ["coroutine function", "function of a coroutine", "pool"])
async def test_async_loops_ask_it(path, made_by):
    """An async loop awaits what turns out to be asynchronous: it goes on, and stalls."""
    clock = FakeClock()
    rows = Rows(COUNT, FACTORIES[made_by](path))

    async def work(iteration):
        clock.advance(6)
        if iteration.number <= 3:
            execute(path, "insert into work values (1, 'done')")

    loop = Loop(IterationCap(9), StallDetector(after=10, evidence=rows), clock=clock)
    report = await loop.arun(work)

    assert (report.breaker, report.starts) == ("StallDetector", 5)
    assert report.reason == f"nothing new in Rows({COUNT}) for 12 s"


def test_sync_loops_cannot_await_it(path):
    """In a synchronous loop it is blind, for the reason that is said."""
    clock = FakeClock()
    rows = Rows(COUNT, functools.partial(AsyncConnection.connect, path))
    loop = Loop(IterationCap(9), StallDetector(after=10, evidence=rows), clock=clock)
    report = loop.run(lambda: clock.advance(6))

    assert "blind" in report.reason
    assert "arun" in report.reason


# PostgreSQL -------------------------------------------------------------------


@pytest.fixture
def table(postgres_url):
    """The name of a table of this test's own."""
    name = f"work_{uuid.uuid4().hex}"
    with psycopg.connect(postgres_url, autocommit=True) as other:
        other.execute(
            f"create table {name} (number int, at timestamptz, cost numeric, tags text[])"
        )
        yield name
        other.execute(f"drop table {name}")


CREATE = "create table {} (number int, at timestamptz, cost numeric, tags text[])"
SELECT = "select * from {}"
BY_NUMBER = "select number from {} where number = %s"
INSERT = "insert into {} values (7, '2026-01-02 03:04:05+00', 1.50, '{{a,b}}')"


def test_postgres_is_seen(postgres_url, table):
    """Psycopg's connections, factories and kinds of rows are all taken."""
    query = SELECT.format(table)
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        kinds = {
            "given": Rows(query, connection),
            "made": Rows(query, functools.partial(psycopg.connect, postgres_url)),
            "dict": Rows(
                query, functools.partial(psycopg.connect, postgres_url, row_factory=dict_row)
            ),
            "scalar": Rows(
                BY_NUMBER.format(table),
                functools.partial(psycopg.connect, postgres_url, row_factory=scalar_row),
                7,
            ),
        }
        # Without parameters a percent sign is one.
        assert Rows("select 1 where '7' like '%'", connection).fingerprint()
        before = {name: rows.fingerprint() for name, rows in kinds.items()}
        connection.execute(INSERT.format(table))
        after = {name: rows.fingerprint() for name, rows in kinds.items()}

    assert not {*before.items()} & {*after.items()}
    assert after["given"] == after["made"] != after["dict"]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_postgres_is_awaited(postgres_url, table):
    """Psycopg's asynchronous connections see the same as the others."""
    query = SELECT.format(table)
    rows = Rows(query, lambda: psycopg.AsyncConnection.connect(postgres_url))
    before = await rows.fingerprint()
    async with await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as connection:
        await connection.execute(INSERT.format(table))
        given = await Rows(query, connection).fingerprint()

    assert before != given == await rows.fingerprint()
    assert given == Rows(query, lambda: psycopg.connect(postgres_url)).fingerprint()
    assert inspect.iscoroutinefunction(psycopg.AsyncConnection.connect)
