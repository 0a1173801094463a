# SPDX-License-Identifier: MIT
"""Writes that several threads share one commit for: who is told what, and when."""

from __future__ import annotations

import contextlib
import functools
import itertools
import math
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import traceback
from pathlib import Path

import pytest

from haltable import StoreError
from haltable.stores import Conflict, Entry, SQLiteStore, _sqlite_queue
from haltable.stores._sqlite_group import Group
from haltable.stores._sqlite_write import Write
from tests.stores.writers import PATIENCE, Writers, until

# Later versions of Python warn of what these tests are about.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")

#: Holds a database's lock until its standard input ends.
LOCKER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.read()
"""

#: A commit fails whose key is "bad", and no statement before it.
DEFERRED = """
CREATE TABLE parent (number INTEGER PRIMARY KEY);
CREATE TABLE child (number INTEGER REFERENCES parent DEFERRABLE INITIALLY DEFERRED);
CREATE TRIGGER trap AFTER INSERT ON haltable WHEN new.key = 'bad'
BEGIN INSERT INTO child VALUES (1); END;
"""

#: Eight threads write without end; each answer is a line, after it was given.
ENDLESS = """
import os, sys, threading
from haltable.stores import SQLiteStore
store = SQLiteStore(sys.argv[1], sys.argv[2])
def work(name):
    for number in range(10**9):
        key = f"{name}-{number}"
        store.write(key, b"x" * 650, expected=0)
        entry = store.write(key, b"y" * 650, expected=1)
        os.write(1, f"{key} {entry.version}\\n".encode())
for name in range(8):
    threading.Thread(target=work, args=(name,), daemon=True).start()
sys.stdin.read()
"""

#: Three threads write as one group; the process kills itself as a statement begins.
DYING = """
import os, signal, sys
from haltable.stores import SQLiteStore
from tests.stores.writers import Writers
store, fatal = SQLiteStore(sys.argv[1], "machine"), int(sys.argv[2])
store.write("first", b"value", expected=0)
print("first", flush=True)
begun = []
def note(statement):
    begun.append(statement)
    if len(begun) == fatal:
        os.kill(os.getpid(), signal.SIGKILL)
store._file.connection(0.0).set_trace_callback(note)
def write(key):
    store.write(key, b"value", expected=0)
    os.write(1, f"{key}\\n".encode())
Writers(store).do(*(lambda key=key: write(key) for key in ("a", "b", "c")))
os.kill(os.getpid(), signal.SIGKILL)
"""


#: Where a write may be interrupted.
ROOMS = ("_sqlite_group.py", "_sqlite_queue.py", "sqlite.py")


class Struck(BaseException):
    """Comes from outside, between any two steps."""


@pytest.fixture
def path(tmp_path):
    """Where the database lies."""
    return tmp_path / "loops.db"


@pytest.fixture
def store(path):
    """A store with its connection open."""
    with SQLiteStore(path, busy_timeout=0.2) as made:
        made.read("key")
        yield made


def create(store, key, value=b"value"):
    """Returns a call that writes an absent key."""
    return functools.partial(store.write, key, value, expected=0)


def traced(store, heard=None):
    """Returns the list of all statements that begin from now on."""
    statements = []

    def note(statement):
        statements.append(statement.split(" (")[0].split(" SET")[0].split(" FROM")[0])
        if heard is not None:
            heard(statements[-1])

    store._file.connection(0.0).set_trace_callback(note)
    return statements


def committed(path, key):
    """Returns the value that another connection sees, None if there is none."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        row = connection.execute("SELECT value FROM haltable WHERE key = ?", (key,)).fetchone()
        return row and row[0]


def at_step(number, act):
    """Has this thread do something at a step of the rooms; returns where it then was.

    The steps are those at which an interpreter lets interrupts in: as a function
    begins, and as a call of C has returned.
    """
    seen, places = 0, []

    def step(frame, event, argument):
        nonlocal seen
        if Path(frame.f_code.co_filename).name in ROOMS and event in ("call", "c_return"):
            seen += 1
            if seen == number:
                sys.setprofile(None)
                places.append(f"{frame.f_code.co_name}: {getattr(argument, '__name__', event)}")
                act()

    sys.setprofile(step)
    return places


def test_a_thread_by_itself_begins_nothing(store):
    """A write that meets no other is one statement that commits itself."""
    statements, writers = traced(store), Writers(store)

    def work():
        for number in range(3):
            store.write("key", b"value", expected=number)
        return store.delete("key", expected=3)

    writers.start(work)

    assert writers.join() == [True]
    assert statements == ["INSERT INTO haltable", *["UPDATE haltable"] * 3]


def test_those_who_wait_share_a_commit(store):
    """Writers who find another one writing are done in one transaction, in their order."""
    statements = traced(store)
    answers = Writers(store).do(*(create(store, f"key-{n}") for n in range(4)))

    assert statements == ["BEGIN IMMEDIATE", *["INSERT INTO haltable"] * 4, "COMMIT"]
    assert answers == [Entry(b"value", 1)] * 4
    assert [store.read(f"key-{n}").value for n in range(4)] == [b"value"] * 4


def test_threads_find_one_another_by_themselves(store):
    """Whoever comes while a thread is writing waits with the others who came then."""
    statements, writers = traced(store), Writers(store)
    with store._file.lock:
        writers.start(create(store, "first"))
        until(lambda: store._queue.busy)
        for number in range(2):
            writers.start(create(store, f"key-{number}"))
            until(lambda: store._queue.open)
        until(lambda: len(store._queue.open.writes) == 2)

    assert writers.join() == [Entry(b"value", 1)] * 3
    begun = statements.index("BEGIN IMMEDIATE")
    assert statements[begun : begun + 4].count("INSERT INTO haltable") == 2
    assert store._queue.busy is None


def test_nobody_is_told_before_the_commit(store):
    """As the commit begins nobody has an answer, and nobody gets one before it is done."""
    writers, early = Writers(store), []

    def note(statement):
        if statement == "COMMIT":
            early.append(writers.answered.wait(0.2))

    traced(store, note)
    answers = writers.do(*(create(store, f"key-{n}") for n in range(3)))

    assert early == [False]
    assert answers == [Entry(b"value", 1)] * 3


def test_two_of_a_group_on_one_key(store):
    """They are done in order: the second sees the first, and is told what is there."""
    answers = Writers(store).do(
        create(store, "key", b"one"),
        create(store, "key", b"two"),
        functools.partial(store.write, "key", b"three", expected=1),
        functools.partial(store.delete, "key", expected=1),
        create(store, "other"),
        functools.partial(store.delete, "other", expected=1),
    )

    assert answers[0] == Entry(b"one", 1)
    assert isinstance(answers[1], Conflict)
    assert answers[1].current.value == b"three"
    assert answers[2:] == [Entry(b"three", 2), False, Entry(b"value", 1), True]
    assert (store.read("key").version, store.read("other")) == (2, None)


def test_a_conflict_tells_what_is_committed(store, path):
    """Who loses in a group is told an entry that any other process sees too."""
    writers, seen = Writers(store), []

    def loser():
        answer = store.write("key", b"lost", expected=0)
        seen.append(committed(path, "key"))
        return answer

    answers = writers.do(create(store, "key", b"won"), loser)

    assert answers[1].current.value == b"won"
    assert seen == [b"won"]


def test_a_deleted_key_is_created_in_a_group(store):
    """A key that was deleted goes on with its versions, in company too."""
    store.write("key", b"old", expected=0)
    store.delete("key", expected=1)
    answers = Writers(store).do(create(store, "other"), create(store, "key", b"new"))

    assert answers == [Entry(b"value", 1), Entry(b"new", 2)]


def test_one_fault_is_not_anothers(store):
    """A statement that fails has its own error; the others of its group are written."""
    answers = Writers(store).do(
        create(store, "one"),
        create(store, "\ud800"),
        create(store, "two", object()),
        create(store, "three"),
    )

    assert [answers[0], answers[3]] == [Entry(b"value", 1)] * 2
    assert [type(answer) for answer in answers[1:3]] == [StoreError] * 2
    assert "\\ud800" in str(answers[1])
    assert "'two'" in str(answers[2])
    assert [store.read(key).version for key in ("one", "three")] == [1, 1]


def test_a_failed_commit_is_told_to_all(store, path):
    """Nobody knows what a commit did that failed, so all are told so, each for its own key."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(DEFERRED)
    store._file.connection(0.0).execute("PRAGMA foreign_keys=1")
    keys = ["one", "bad", "two"]
    answers = Writers(store).do(*(create(store, key) for key in keys))

    assert [getattr(answer, "outcome", answer) for answer in answers] == ["unknown"] * 3
    assert all(repr(key) in str(answer) for key, answer in zip(keys, answers, strict=True))
    assert store.write("one", b"value", expected=0) == Entry(b"value", 1)


def test_another_process_has_the_lock(store, path):
    """A group that could not begin is refused to all, after one wait and not one for each."""
    command = [sys.executable, "-c", LOCKER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as locker:
        assert locker.stdout.readline() == b"locked\n"
        statements = traced(store)
        answers = Writers(store).do(*(create(store, f"key-{n}") for n in range(5)))
        locker.stdin.close()

    assert [getattr(answer, "outcome", answer) for answer in answers] == ["refused"] * 5
    assert statements == ["BEGIN IMMEDIATE"]
    assert list(store.scan("")) == []


def test_a_file_that_goes_while_a_group_waits(store, path):
    """The writes of a group whose file was deleted are refused, each of them."""
    writers = Writers(store)
    with writers.grouped(*(create(store, f"key-{n}") for n in range(3))):
        path.unlink()
        store._file._trusted_until = -math.inf
    answers = writers.join()

    assert [getattr(answer, "outcome", answer) for answer in answers] == ["refused"] * 3
    assert all("is gone" in str(answer) for answer in answers)
    assert not path.exists()


def strike():
    """Interrupts whoever calls it."""
    raise Struck


def meddled(store, number, act):
    """Has something happen at a step of a leader; returns where, and what the three were told."""
    writers, found = Writers(store), [[]]

    def lead():
        found.append(at_step(number, act))
        try:
            return store.write("leader", b"value", expected=0)
        finally:
            sys.setprofile(None)

    with store._file.lock:
        store._queue.busy = "somebody"
        writers.start(lead)
        until(lambda: store._queue.open or found[-1])
        for key in ("one", "two"):
            writers.start(create(store, key))
        # Who finds no leader becomes one.
        until(lambda: found[-1] or len(store._queue.open.writes) == 3)
    return found[-1], writers.join()


def test_a_leader_interrupted_at_any_step(tmp_path):
    """Wherever the leader is torn away, the others are written once, and nothing stays open."""
    places, number = [], 0
    while True:
        number += 1
        with SQLiteStore(tmp_path / f"{number}.db", busy_timeout=0.2) as store:
            store.read("key")
            where, (first, *others) = meddled(store, number, strike)
            if not where:
                break
            places += where
            with store._file.lock:
                assert not store._file.connection(0.0).in_transaction

            assert store._queue._inside == set(), where
            assert isinstance(first, Struck), where
            assert others == [Entry(b"value", 1)] * 2, where
            assert Writers(store).do(create(store, "x"), create(store, "y")) == others

    assert first == Entry(b"value", 1)
    assert {"_begin: execute", "carry_out: extend", "commit: extend"} <= set(places)


def test_a_call_from_within_a_leader(tmp_path):
    """What comes in amidst a group is answered when it is committed, and the group goes on."""
    places, number = [], 0
    while True:
        number += 1
        path, seen = tmp_path / f"{number}.db", []
        with SQLiteStore(path, busy_timeout=0.2) as store:
            store.read("key")

            def come_in(store=store, path=path, seen=seen):
                seen.append(
                    (store.write("nested", b"value", expected=0), committed(path, "nested"))
                )
                held = store.read("leader")
                seen.append((held and held.value, committed(path, "leader")))

            where, answers = meddled(store, number, come_in)
            if not where:
                break
            places += where

            assert answers == [Entry(b"value", 1)] * 3, where
            assert seen[0] == (Entry(b"value", 1), b"value"), where
            assert seen[1][0] == seen[1][1], where
            assert [committed(path, key) for key in ("leader", "one")] == [b"value"] * 2

    assert {"_begin: execute", "carry_out: extend", "commit: extend"} <= set(places)


def test_a_call_from_within_a_statement(store, path):
    """What comes in while a group's statements run, as a finalizer may, is answered likewise."""
    seen = []

    class Meddler:
        """Uses the store at the moment in which it is bound to a statement."""

        def __conform__(self, protocol):
            del protocol
            if not seen:
                seen.append(store.write("nested", b"value", expected=0))
                seen.extend(committed(path, key) for key in ("one", "nested", "two"))
            return b"two"

    answers = Writers(store).do(
        create(store, "one", b"one"),
        create(store, "two", Meddler()),
        create(store, "one", b"three"),
        create(store, "four", b"four"),
        create(store, "\ud800"),
    )

    assert seen == [Entry(b"value", 1), b"one", b"value", None]
    assert [answer.version for answer in answers[:2]] == [1, 1]
    assert answers[2].current.value == b"one"
    assert answers[3] == Entry(b"four", 1)
    assert answers[4].outcome == "refused"
    assert [committed(path, key) for key in ("one", "two", "four")] == [b"one", b"two", b"four"]


@pytest.mark.parametrize("early", [0, 1])
def test_the_main_thread_has_nobody_wait_for_it(store, early):
    """It neither leads others nor waits for a leader: its handlers may take their time."""
    main, queue, statements = threading.get_ident(), store._queue, []
    traced(store, lambda statement: statements.append((statement, threading.get_ident() == main)))
    holder, writers, ready = Writers(store), Writers(store), threading.Event()

    def hold():
        with store._file.lock:
            queue.busy = "somebody"
            for number in range(early):
                writers.start(create(store, f"early-{number}"))
            until(lambda: len(queue._inside) == early)
            ready.set()
            # The main thread is here now, alone or, if that were wrong, among the others.
            until(lambda: queue.busy == "main" or main in queue._inside)
            for number in range(2):
                writers.start(create(store, f"late-{number}"))
            until(lambda: len(queue._inside - {main}) == early + 2)

    holder.start(hold)
    ready.wait(PATIENCE)
    answer = store.write("main", b"value", expected=0)
    holder.join()

    assert [answer, *writers.join()] == [Entry(b"value", 1)] * (early + 3)
    assert [statement for statement, by_main in statements if by_main] == ["INSERT INTO haltable"]
    assert statements.count(("COMMIT", False)) == 1
    assert len(statements) == early + 5


def test_a_thread_that_reads_writes_at_once(store):
    """A write from within a read, as a finalizer makes it, does not wait for those outside."""
    inside, go = threading.Event(), threading.Event()

    def work():
        with store._file.lock:
            inside.set()
            go.wait(PATIENCE)
            return store.write("inner", b"value", expected=0)

    reader, writers = Writers(store), Writers(store)
    reader.start(work)
    inside.wait(PATIENCE)
    store._queue.busy = "somebody"
    writers.start(create(store, "outer"))
    until(lambda: store._queue.open)
    go.set()

    assert reader.join() == [Entry(b"value", 1)]
    assert writers.join() == [Entry(b"value", 1)]


def test_a_group_is_bounded(store):
    """However many wait, no transaction holds more than 64 writes, and each gets its answer."""
    statements = traced(store)
    answers = Writers(store).do_all([create(store, f"key-{n}") for n in range(150)])
    sizes, size = [], 0
    for statement in statements:
        size = 0 if statement == "BEGIN IMMEDIATE" else size + 1
        if statement == "COMMIT":
            sizes.append(size - 1)

    assert answers == [Entry(b"value", 1)] * 150
    assert max(sizes) == 64
    assert sum(sizes) >= 128


def test_who_comes_too_late_is_not_lost(store):
    """Who joins a group that its leader has just closed writes nevertheless."""
    writers = Writers(store)
    with writers.grouped(create(store, "one"), create(store, "two")):
        group = store._queue.open
        late = Write("write 'late'", "", (), (), None, create(store, "late"))
    group.writes.append(late)

    assert not group.has_written(late, store.path)
    assert writers.join() == [Entry(b"value", 1)] * 2


def test_a_group_whose_leader_is_gone(store):
    """Nobody joins a group that nobody leads any more, and the next one is led again."""
    gone = Group(Write("write 'gone'", "", (), (), None, create(store, "gone")))
    store._queue.open = gone
    answers = Writers(store).do(create(store, "one"), create(store, "two"))

    assert answers == [Entry(b"value", 1)] * 2
    assert len(gone.writes) == 1
    assert store.read("gone") is None


def test_a_second_try_is_made_alone(store, monkeypatch):
    """Whoever a group could not serve does not look for company again."""
    groups = []

    class Counted(Group):
        """A group that is known to the test."""

        def __init__(self, first):
            super().__init__(first)
            groups.append(first.act)

    def note(statement):
        if statement == "COMMIT":
            store._queue.busy = "somebody"

    monkeypatch.setattr(_sqlite_queue, "Group", Counted)
    traced(store, note)
    answers = Writers(store).do(create(store, "key"), create(store, "key"))

    assert [type(answer) for answer in answers] == [Entry, Conflict]
    assert groups == ["write 'key'"]


def test_ctrl_c_while_another_writes(store):
    """Ctrl-C leaves a main thread's write that waits; nothing is held, and nobody hangs."""
    held, go = threading.Event(), threading.Event()

    def hold():
        with store._file.lock:
            held.set()
            go.wait(PATIENCE)

    holder, interrupter = threading.Thread(target=hold), Writers(store)
    holder.start()
    held.wait(PATIENCE)
    interrupter.start(
        lambda: until(lambda: store._queue.busy) or os.kill(os.getpid(), signal.SIGINT)
    )
    with pytest.raises(KeyboardInterrupt):
        store.write("main", b"value", expected=0)
    go.set()
    holder.join(PATIENCE)
    interrupter.join()

    assert store._queue.busy is None
    assert Writers(store).do(create(store, "one"), create(store, "two")) == [Entry(b"value", 1)] * 2


def test_a_handler_writes_amidst_a_write(store, path):
    """A signal handler's write is committed when it is answered, whatever it interrupted."""
    seen, numbers = [], itertools.count()

    def handler(number, frame):
        del number, frame
        key = f"handler-{next(numbers)}"
        seen.append((store.write(key, b"value", expected=0), committed(path, key)))

    before = signal.signal(signal.SIGALRM, handler)
    stop, others = threading.Event(), Writers(store)

    def busily(name):
        for number in range(10**6):
            if stop.is_set():
                return number
            store.write(f"{name}-{number}", b"value", expected=0)
        return 0

    try:
        for name in range(3):
            others.start(functools.partial(busily, name))
        signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
        number = 0
        while len(seen) < 50:
            assert store.write(f"main-{number}", b"value", expected=0) == Entry(b"value", 1)
            number += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        stop.set()
        signal.signal(signal.SIGALRM, before)

    assert all(count > 0 for count in others.join())
    assert all(entry == (Entry(b"value", 1), b"value") for entry in seen)


def child_of(work):
    """Runs a function in a forked child, and returns the child's exit code."""
    number = os.fork()
    if number == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])


def test_a_fork_while_a_group_waits(store):
    """The child begins with nobody in its queue; in the parent all who waited are answered."""

    def child():
        assert store._queue.open is None
        assert store._queue.busy is None
        assert store.read("one") is None
        assert Writers(store).do(create(store, "a"), create(store, "b")) == [Entry(b"value", 1)] * 2

    writers = Writers(store)
    with writers.grouped(create(store, "one"), create(store, "two")):
        code = child_of(child)

    assert code == 0
    assert writers.join() == [Entry(b"value", 1)] * 2
    assert {key for key, _ in store.scan("")} == {"a", "b", "one", "two"}


def test_forks_while_threads_write(path):
    """A fork finds no transaction open, whatever the threads do; child and parent go on."""
    with SQLiteStore(path, "machine") as store:
        stop, writers = threading.Event(), Writers(store)

        def busily(name):
            for number in range(10**6):
                if stop.is_set():
                    return number
                assert store.write(f"{name}-{number}", b"value", expected=0) == Entry(b"value", 1)
            return 0

        def child(turn):
            keys = [f"child-{turn}-{number}" for number in range(3)]
            assert (
                Writers(store).do(*(create(store, key) for key in keys)) == [Entry(b"value", 1)] * 3
            )

        for name in range(4):
            writers.start(functools.partial(busily, name))
        codes = [child_of(functools.partial(child, turn)) for turn in range(20)]
        stop.set()
        counts = writers.join()

        assert codes == [0] * 20
        found = {key for key, _ in store.scan("")}
        assert {f"{name}-{n}" for name, count in enumerate(counts) for n in range(count)} <= found
        assert len(found) == sum(counts) + 60


@pytest.mark.parametrize("fatal", range(1, 7))
def test_a_kill_at_each_statement(path, fatal):
    """A group is there as a whole or not at all, and whatever was answered is there."""
    command = [sys.executable, "-c", DYING, str(path), str(fatal)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        told = set(process.communicate(timeout=PATIENCE)[0].split())

    assert process.returncode == -signal.SIGKILL
    with SQLiteStore(path) as store:
        found = {key for key, _ in store.scan("")}
    assert told <= found
    assert found in ({"first"}, {"first", "a", "b", "c"})
    assert (found == {"first"}) == (fatal < 6)


@pytest.mark.parametrize("durability", ["process", "machine"])
@pytest.mark.parametrize("lines", [1, 3, 10, 30, 100, 300])
def test_a_kill_of_eight_writers(path, durability, lines):
    """What was answered before a kill -9 is there after it, at the version that was told."""
    command = [sys.executable, "-c", ENDLESS, str(path), durability]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        told = [process.stdout.readline() for _ in range(lines)]
        process.kill()
        told += process.stdout.readlines()

    answers = [line.split() for line in told if line.endswith("\n")]
    assert len(answers) >= lines
    with SQLiteStore(path) as store:
        found = dict(store.scan(""))
    assert [key for key, _ in answers if key not in found] == []
    assert {(found[key].version, found[key].value[:1]) for key, _ in answers} == {(2, b"y")}
