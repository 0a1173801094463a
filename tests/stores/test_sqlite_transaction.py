# SPDX-License-Identifier: MIT
"""A store in the host's own transaction: it lives and dies with what the host has written."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from haltable import ConfigurationError, StoreError
from haltable.errors import in_words
from haltable.store import Conflict, Entry
from haltable.stores import SQLiteTransaction


@pytest.fixture
def connect(tmp_path):
    """Opens connections to one database, which has the table, as a host would."""
    opened = []

    def connect(**options):
        connection = sqlite3.connect(
            tmp_path / "shop.db", **{"isolation_level": None, "timeout": 0.0, **options}
        )
        opened.append(connection)
        return connection

    SQLiteTransaction(connect()).create()
    yield connect
    for connection in opened:
        connection.close()


@pytest.fixture
def connection(connect):
    """The host's connection, in a transaction."""
    connection = connect()
    connection.execute("BEGIN IMMEDIATE")
    return connection


@pytest.fixture
def store(connection):
    """The store in it."""
    return SQLiteTransaction(connection)


def test_a_commit_keeps_it(connect, connection, store):
    """What the host commits is there for everybody, and nothing before that is."""
    written = store.write("a", b"1", expected=0)
    other = SQLiteTransaction(connect())
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
    kept = store.write("a", b"1", expected=0)
    store.write("a", b"2", expected=0)
    store.delete("a", expected=kept.version)
    store.create()
    list(store.scan(""))

    assert connection.in_transaction


def test_without_a_transaction_nothing_is_written(connect):
    """It neither begins one nor writes by itself, and says what to do; reading is harmless."""
    connection = connect()
    store = SQLiteTransaction(connection)
    for act in (lambda: store.write("a", b"1", expected=0), lambda: store.delete("a", expected=1)):
        with pytest.raises(StoreError, match=r"no open transaction.*'a'.*BEGIN IMMEDIATE") as told:
            act()
        assert told.value.outcome == "refused"

    assert (store.read("a"), list(store.scan("")), connection.in_transaction) == (None, [], False)


def test_the_table_is_the_hosts_to_create(tmp_path):
    """Nothing creates it behind the host's back; a host may also run the printed schema itself."""
    with closing(sqlite3.connect(tmp_path / "shop.db", isolation_level=None)) as connection:
        store = SQLiteTransaction(connection)
        connection.execute("BEGIN")
        acts = [
            lambda: store.read("a"),
            lambda: store.write("a", b"1", expected=0),
            lambda: store.delete("a", expected=1),
            lambda: list(store.scan("")),
        ]
        for act in acts:
            with pytest.raises(StoreError, match=r"no table of haltable's.*create\(\)"):
                act()
        connection.execute(SQLiteTransaction.schema)

        assert isinstance(store.write("a", b"1", expected=0), Entry)


def test_the_table_is_created_in_the_open_transaction(tmp_path):
    """A migration that is rolled back leaves no table; creating twice is no error."""
    with closing(sqlite3.connect(tmp_path / "shop.db", isolation_level=None)) as connection:
        store = SQLiteTransaction(connection)
        connection.execute("BEGIN")
        store.create()
        connection.rollback()
        tables = connection.execute("SELECT name FROM sqlite_master").fetchall()
        for _ in range(2):
            store.create()

        assert tables == []
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
    """Another boot's clock begins anew: versions go on from where they were all the same."""
    far = 2**60
    store.write("a", b"1", expected=0)
    connection.execute("UPDATE haltable SET version = ?", (far,))
    second = store.write("a", b"2", expected=far)
    store.delete("a", expected=second.version)
    third = store.write("a", b"3", expected=0)

    assert (second.version, third.version) == (far + 1, far + 2)
    assert store.read("a").version == far + 2


@pytest.mark.parametrize("mode", ["WAL", "DELETE"])
def test_who_looked_before_another_committed_is_refused(connect, mode):
    """A transaction that began to read earlier never writes over what it has not seen."""
    late, early = connect(), connect()
    late.execute(f"PRAGMA journal_mode={mode}")
    late.execute("BEGIN")
    seen = SQLiteTransaction(late).read("a")
    early.execute("BEGIN IMMEDIATE")
    SQLiteTransaction(early).write("a", b"1", expected=0)
    if mode == "WAL":  # In the other, readers keep writers from committing.
        early.commit()
    with pytest.raises(StoreError, match="is locked") as refused:
        SQLiteTransaction(late).write("a", b"2", expected=0)

    assert (seen, refused.value.outcome) == (None, "refused")


@pytest.mark.parametrize(
    "options",
    [
        {"isolation_level": ""},
        {"isolation_level": "IMMEDIATE"},
        {"detect_types": sqlite3.PARSE_DECLTYPES | sqlite3.PARSE_COLNAMES},
        {"cached_statements": 0},
    ],
)
def test_any_connection_will_do(connect, options):
    """How the host has set its connection up changes nothing, nor is that changed."""
    connection = connect(**options)
    connection.row_factory = lambda cursor, row: {"row": row}
    connection.text_factory = bytes
    store = SQLiteTransaction(connection)
    connection.execute("BEGIN")
    written = store.write("é", b"1", expected=0)
    found = [(key, entry.value) for key, entry in store.scan("é")]
    connection.commit()

    assert isinstance(store.read("é"), Entry)
    assert (found, written.value) == ([("é", b"1")], b"1")
    assert connection.execute("SELECT 1").fetchone() == {"row": (1,)}


def test_a_damaged_row_is_told(connection, store):
    """What makes no sense is no entry."""
    store.write("a", b"1", expected=0)
    connection.execute("UPDATE haltable SET written = 'yesterday'")
    for act in (lambda: store.read("a"), lambda: list(store.scan(""))):
        with pytest.raises(StoreError, match="the row of 'a' makes no sense"):
            act()


def test_another_boots_row_is_infinitely_old(connection, store):
    """Ages are of the clock that counts from the boot, never of the wall clock."""
    store.write("a", b"1", expected=0)
    young = store.read("a").age
    connection.execute("UPDATE haltable SET boot = boot + 1")

    assert 0.0 <= young < 60.0
    assert store.read("a").age == float("inf")


@pytest.mark.parametrize("wrong", [None, "shop.db", sqlite3.Connection])
def test_what_is_no_connection_is_refused(wrong):
    """It is named at once, not at the first write."""
    with pytest.raises(ConfigurationError, match=r"give an open sqlite3\.Connection"):
        SQLiteTransaction(wrong)


def test_a_closed_connection_is_refused(tmp_path):
    """Before it is taken and after, in words and as not done."""
    connection = sqlite3.connect(tmp_path / "shop.db")
    store = SQLiteTransaction(connection)
    connection.close()
    with pytest.raises(ConfigurationError, match="closed database"):
        SQLiteTransaction(connection)
    for act in (lambda: store.write("a", b"1", expected=0), lambda: store.read("a"), store.create):
        with pytest.raises(StoreError, match="closed database") as told:
            act()
        assert told.value.outcome == "refused", in_words(told.value)
