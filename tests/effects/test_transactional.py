# SPDX-License-Identifier: MIT
"""Effects in the host's own transaction: its rows and their record are there, or both are not."""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import closing

import pytest

from haltable import (
    ConfigurationError,
    EffectFailed,
    EffectHeld,
    IdempotencyGuard,
    IterationCap,
    LeaseLost,
    Loop,
    MemoryStore,
    Operator,
    OutcomeUnknown,
    PayloadMismatch,
    SQLiteStore,
    StoreError,
)
from haltable._watch import shared
from haltable.effects import NothingHappened, claim
from haltable.stores import SQLiteTransaction
from tests.faults import children

KEY = "order:7"


def connected(path, timeout=0.0):
    """Opens a host's connection, whose transactions the host begins."""
    return sqlite3.connect(path, isolation_level=None, timeout=timeout)


def guarded(connection, **options):
    """Returns a guard in the transactions of a connection."""
    return IdempotencyGuard(store=SQLiteTransaction(connection), transactional=True, **options)


def order(connection, number=7):
    """The effect: a row of the host's."""
    connection.execute("INSERT INTO orders VALUES (?)", (number,))
    return f"order {number}"


def orders(connection):
    """Returns how many rows there are."""
    return connection.execute("SELECT count(*) FROM orders").fetchone()[0]


def states(connection):
    """Returns how each effect stands."""
    effects = Operator(SQLiteTransaction(connection)).effects()
    return {effect.key: effect.state.value for effect in effects}


@pytest.fixture
def path(tmp_path):
    """The host's database."""
    path = tmp_path / "shop.db"
    with closing(connected(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE orders (number)")
        SQLiteTransaction(connection).create()
    return path


@pytest.fixture
def connection(path):
    """The host's connection, in a transaction."""
    with closing(connected(path)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield connection


@pytest.fixture
def other(path):
    """Somebody else's view of the same database."""
    with closing(connected(path)) as other:
        yield other


# Commit and rollback ---------------------------------------------------------------------------


def test_what_is_committed_happened_once(connection, other):
    """Row and record arrive together, and from then on everybody gets the first result."""
    guard = guarded(connection)
    found = [guard.once(KEY, order, connection, payload=7) for _ in range(2)]
    before = orders(other), states(other)
    connection.commit()
    other.execute("BEGIN IMMEDIATE")

    assert found == ["order 7", "order 7"]
    assert before == (0, {})
    assert guarded(other).once(KEY, order, other, payload=7) == "order 7"
    assert (orders(other), states(other)) == (1, {KEY: "done"})


def test_what_is_rolled_back_never_happened(connection, other):
    """Row and record go together, so the next call makes the row, once."""
    guard = guarded(connection)
    for end in (connection.rollback, connection.rollback, connection.commit):
        guard.once(KEY, order, connection, payload=7)
        end()
        connection.execute("BEGIN IMMEDIATE")

    assert (orders(other), states(other)) == (1, {KEY: "done"})


def test_a_savepoint_is_a_small_transaction(connection):
    """What the host goes back behind is undone with its record, and nothing else is."""
    guard = guarded(connection)
    guard.once("order:1", order, connection, 1, payload=1)
    connection.execute("SAVEPOINT mine")
    guard.once(KEY, order, connection, payload=7)
    connection.execute("ROLLBACK TO mine")
    after = orders(connection), states(connection)
    guard.once(KEY, order, connection, payload=7)
    connection.execute("RELEASE mine")
    connection.commit()

    assert after == (1, {"order:1": "done"})
    assert (orders(connection), states(connection)) == (2, {"order:1": "done", KEY: "done"})


@pytest.mark.parametrize("after", [False, True])
def test_a_killed_host_is_rolled_back(path, other, after):
    """P4: killed before or after the row, nothing remains and nothing is unknown."""
    assert children.ended(children.start(killed, path, after)) == 9
    before = orders(other), states(other)
    other.execute("BEGIN IMMEDIATE")
    guarded(other).once(KEY, order, other, payload=7)
    other.commit()

    assert before == (0, {})
    assert (orders(other), states(other)) == (1, {KEY: "done"})


def killed(path, after):
    """Dies in the middle of an effect, or between the effect and the commit."""
    connection = connected(path)

    def dying():
        order(connection)
        if not after:
            os._exit(9)

    connection.execute("BEGIN IMMEDIATE")
    guarded(connection).once(KEY, dying, payload=7)
    os._exit(9)


# Exceptions ------------------------------------------------------------------------------------


def break_off(connection, error=None):
    """An effect that is half done."""
    order(connection)
    raise error or TimeoutError("the line broke")


def test_an_exception_that_is_rolled_back_leaves_nothing(connection, other):
    """The usual way: the transaction ends with the exception, and the next call runs."""
    with pytest.raises(TimeoutError, match="the line broke"), connection:
        guarded(connection).once(KEY, break_off, connection, payload=7)
    connection.execute("BEGIN IMMEDIATE")
    guarded(connection).once(KEY, order, connection, payload=7)
    connection.commit()

    assert (orders(other), states(other)) == (1, {KEY: "done"})


@pytest.mark.parametrize("error", [TimeoutError("the line broke"), KeyboardInterrupt()])
def test_half_an_effect_that_is_committed_is_unknown(connection, other, error):
    """P4: a host that commits in spite of the exception has half an effect, and is told so."""
    with pytest.raises(type(error)):
        guarded(connection).once(KEY, break_off, connection, error, payload=7)
    connection.commit()
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(OutcomeUnknown, match="it ended with"):
        guarded(other).once(KEY, order, other, payload=7)

    assert (orders(other), states(other)) == (1, {KEY: "unknown"})


def test_an_exception_behind_a_savepoint_leaves_nothing(connection):
    """Who goes back to before the call may call again in the same transaction."""
    guard = guarded(connection)
    connection.execute("SAVEPOINT mine")
    with pytest.raises(TimeoutError):
        guard.once(KEY, break_off, connection, payload=7)
    connection.execute("ROLLBACK TO mine")
    guard.once(KEY, order, connection, payload=7)
    connection.commit()

    assert (orders(connection), states(connection)) == (1, {KEY: "done"})


def test_a_final_exception_is_the_hosts_to_keep(connection):
    """A declared answer is kept if the host commits it, and forgotten if it does not."""
    guard = guarded(connection, final=ValueError)
    for end in (connection.rollback, connection.commit):
        with pytest.raises(ValueError, match="declined"):
            guard.once(KEY, break_off, connection, ValueError("declined"), payload=7)
        end()
        connection.execute("BEGIN IMMEDIATE")
    with pytest.raises(EffectFailed, match="declined"):
        guard.once(KEY, order, connection, payload=7)


def test_nothing_happened_frees_it(connection):
    """An effect that says so may be called again, whatever the host does."""
    guard = guarded(connection)
    with pytest.raises(NothingHappened):
        guard.once(KEY, break_off, connection, NothingHappened("sold out"), payload=7)
    connection.commit()

    assert states(connection) == {KEY: "free"}


def test_another_payload_is_refused(connection):
    """One key is one effect in here too."""
    guard = guarded(connection)
    guard.once(KEY, order, connection, payload=7)
    with pytest.raises(PayloadMismatch):
        guard.once(KEY, order, connection, payload=8)


# Misuse ----------------------------------------------------------------------------------------


def test_without_a_transaction_nothing_runs(connection):
    """Where nothing would hold row and record together, the effect is not begun."""
    connection.rollback()
    with pytest.raises(StoreError, match="no open transaction") as refused:
        guarded(connection).once(KEY, order, connection, payload=7)

    assert (refused.value.outcome, orders(connection)) == ("refused", 0)


@pytest.mark.parametrize(
    ("end", "rows", "kept"), [("COMMIT", 1, {KEY: "unknown"}), ("ROLLBACK", 0, {})]
)
def test_an_effect_that_ends_the_transaction_is_told(connection, end, rows, kept):
    """It took row and record apart: that is said at once, and what was committed stays listed."""

    def ending():
        order(connection)
        connection.execute(end)

    with pytest.raises(OutcomeUnknown, match="no open transaction"):
        guarded(connection).once(KEY, ending, payload=7)

    assert (orders(connection), states(connection)) == (rows, kept)


def test_an_effect_that_begins_another_transaction_is_told(connection):
    """What a claim was rolled back with is not this claim's transaction any more."""

    def again():
        connection.rollback()
        connection.execute("BEGIN IMMEDIATE")

    with pytest.raises(LeaseLost, match="its record is gone"):
        guarded(connection).once(KEY, again, payload=7)


def test_an_effect_inside_itself_is_refused(connection):
    """A call within the call of the same key sees that somebody is at it, and changes nothing."""
    guard = guarded(connection, on_held="wait")

    def within():
        with pytest.raises(EffectHeld, match=f"process {os.getpid()}"):
            guard.once(KEY, order, connection, payload=7)
        return order(connection)

    assert guard.once(KEY, within, payload=7) == "order 7"
    assert (orders(connection), states(connection)) == (1, {KEY: "done"})


def test_a_loop_refuses_the_store(connection):
    """A charge must outlive a rollback: no loop takes the store, with a key or without."""
    store = SQLiteTransaction(connection)
    ways = [
        lambda: Loop(IterationCap(1), store=store, key="orders"),
        lambda: Loop(IterationCap(1), store=store, key=lambda: "orders"),
        lambda: Loop(IterationCap(1), store=store),
    ]
    for way in ways:
        with pytest.raises(ConfigurationError, match=r"a rollback.*would give charged starts back"):
            way()


def test_store_and_guard_must_agree(connection):
    """Both say transactional, or neither: a guard never guesses what a rollback would do."""
    with pytest.raises(ConfigurationError, match="say transactional=True"):
        IdempotencyGuard(store=SQLiteTransaction(connection))
    with pytest.raises(ConfigurationError, match="leave transactional= out"):
        IdempotencyGuard(store=MemoryStore(), transactional=True)
    with pytest.raises(ConfigurationError, match="give the store over your own transaction"):
        IdempotencyGuard(transactional=True)


# In a loop, in tasks, in a race ------------------------------------------------------------------


def test_in_a_loop(connection, other, tmp_path):
    """The loop's starts are kept elsewhere: tries that are rolled back count, their rows do not."""
    connection.rollback()

    def body(iteration):
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            if iteration.number < 3:
                iteration.once(KEY, break_off, connection, payload=7)
            return iteration.once(KEY, order, connection, payload=7)

    with SQLiteStore(tmp_path / "loops.db") as store:
        loop = Loop(IterationCap(5), guarded(connection), key="shop", store=store)
        report = loop.run(lambda iteration: iteration.done(body(iteration)))

    assert (report.status, report.starts, report.failures) == ("succeeded", 3, 2)
    assert (report.result, report.unknown_effects) == ("order 7", ())
    assert (orders(other), states(other)) == (1, {KEY: "done"})


def test_a_receipt_tells_nothing_that_was_rolled_back(connection, other):
    """What was unknown only in a transaction that is gone is in doubt no more."""
    connection.rollback()

    def body(iteration):
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            iteration.once(KEY, break_off, connection, payload=7)

    report = Loop(IterationCap(1), guarded(connection)).run(body)

    assert (report.failures, report.unknown_effects, states(other)) == (1, (), {})


async def test_in_a_task(connection, other):
    """An async effect is recorded in the thread of its connection, and ends with it."""

    async def aorder():
        return order(connection)

    guard = guarded(connection)
    found = [await guard.aonce(KEY, aorder, payload=7) for _ in range(2)]
    connection.commit()

    assert (found, orders(other), states(other)) == (["order 7"] * 2, 1, {KEY: "done"})


def test_no_thread_looks_after_it(connection):
    """A connection belongs to its thread: no watcher renews a lease that nobody else can see."""
    guard = guarded(connection, lease=0.001)
    before = threading.active_count()
    found = guard.once(KEY, lambda: (threading.active_count(), claim().attempt), payload=7)

    assert found == [before, 1]
    assert not shared.tokens()


def test_two_hosts_at_once(path, other):
    """Two connections, one key, both at once: one row, and both have its result."""
    barrier, found = threading.Barrier(2), []

    def host(number):
        with closing(connected(path, timeout=30.0)) as connection:
            barrier.wait()
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                found.append(guarded(connection).once(KEY, order, connection, number, payload=7))

    threads = [threading.Thread(target=host, args=(number,)) for number in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert orders(other) == 1
    assert found[0] == found[1]
    assert states(other) == {KEY: "done"}


def test_a_host_that_looked_too_early_runs_nothing(connection, path, other):
    """A transaction that cannot see the other's effect any more is refused before its own runs."""
    with closing(connected(path)) as late:
        late.execute("BEGIN")
        seen = orders(late)
        guarded(connection).once(KEY, order, connection, payload=7)
        connection.commit()
        with pytest.raises(StoreError, match="is locked"):
            guarded(late).once(KEY, order, late, payload=7)
        late.rollback()
        late.execute("BEGIN IMMEDIATE")
        again = guarded(late).once(KEY, order, late, payload=7)

    assert (seen, again, orders(other)) == (0, "order 7", 1)


def test_an_operator_works_in_the_transaction(connection, other):
    """Unknown effects of a host's table are resolved in a transaction of the host's."""
    with pytest.raises(TimeoutError):
        guarded(connection).once(KEY, break_off, connection, payload=7)
    Operator(SQLiteTransaction(connection)).resolve(KEY, "done", by="ana", why="the row is there")
    before = states(other)
    connection.commit()

    assert (before, states(other)) == ({}, {KEY: "done"})
