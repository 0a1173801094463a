# SPDX-License-Identifier: MIT
"""One database file under many hands: threads, processes, forks, and deaths among them."""

from __future__ import annotations

import _thread
import collections
import contextlib
import gc
import operator
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import traceback
import warnings
from pathlib import Path

import pytest

from haltable import StoreError
from haltable.stores import Entry, SQLiteStore, _sqlite_file
from haltable.stores._sqlite_connection import QuietConnection

# Later versions of Python warn of what these tests are about.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")

#: Counts a key up; prints each version it was given and the number it wrote there.
COUNTER = """
import sys
from haltable.stores import Entry, SQLiteStore
print("ready", flush=True)
sys.stdin.readline()
store = SQLiteStore(sys.argv[1])
for _ in range(int(sys.argv[2])):
    written = None
    while not isinstance(written, Entry):
        held = store.read("counter")
        number, expected = (int(held.value), held.version) if held else (0, 0)
        written = store.write("counter", b"%d" % (number + 1), expected=expected)
    print(written.version, number + 1, flush=True)
"""

#: Uses a store and ends, without closing it, once the second argument was carried out.
ENDING = """
import gc, os, sqlite3, sys, types
from haltable.stores import SQLiteStore
store = SQLiteStore(sys.argv[1])
store.write("key", b"value", expected=0)
connection = store._file.connection(0.0)
circle = types.SimpleNamespace(store=store)
circle.itself = circle
# From now on the connection is before its file for the collector.
(lambda connection: gc.collect())(connection)
exec(sys.argv[2])
"""


@pytest.fixture
def path(tmp_path):
    """Where the database lies."""
    return tmp_path / "loops.db"


@pytest.fixture
def store(path):
    """A store that was written to, with its connection open."""
    with SQLiteStore(path, busy_timeout=0.05) as made:
        made.write("key", b"value", expected=0)
        yield made


def fork(child):
    """Runs a function in a forked child; returns the child's number."""
    number = os.fork()
    if number == 0:
        code = 1
        try:
            child()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return number


def ended(number):
    """Waits for a child, and returns its exit code."""
    return os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])


@contextlib.contextmanager
def counter(path, times):
    """Starts a process that counts, once its standard input says so."""
    command = [sys.executable, "-c", COUNTER, str(path), str(times)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"ready\n"
        yield process


def opened(path):
    """Returns what of a database this process has open."""
    found = []
    for number in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # The listing's own.
            found.append(str(number.readlink()))
    return [target for target in found if target.startswith(str(path))]


def test_eight_processes_count_exactly(path):
    """Eight processes that make the file and race for one key lose nothing, repeat nothing."""
    with contextlib.ExitStack() as stack:
        racers = [stack.enter_context(counter(path, 50)) for _ in range(8)]
        for racer in racers:
            racer.stdin.write(b"go\n")
            racer.stdin.flush()
        lines = [line for racer in racers for line in racer.communicate()[0].splitlines()]

    steps = sorted(tuple(map(int, line.split())) for line in lines)
    assert steps == [(number, number) for number in range(1, 401)]


def test_threads_and_their_consumers_count_exactly(store):
    """Eight threads on one store lose nothing, while another scans without an end."""
    stop = threading.Event()

    def scan():
        while not stop.is_set():
            list(store.scan(""))

    def count():
        for _ in range(100):
            written = None
            while not isinstance(written, Entry):
                held = store.read("counter")
                number, expected = (int(held.value), held.version) if held else (0, 0)
                written = store.write("counter", b"%d" % (number + 1), expected=expected)

    scanner = threading.Thread(target=scan)
    counters = [threading.Thread(target=count) for _ in range(8)]
    for thread in (scanner, *counters):
        thread.start()
    for thread in counters:
        thread.join()
    stop.set()
    scanner.join()

    assert store.read("counter").value == b"800"


@pytest.mark.parametrize("lines", [1, 2, 7, 40])
def test_a_killed_writer_loses_nothing(path, lines):
    """What a process was told is written is there after it was killed with SIGKILL."""
    SQLiteStore(path)
    with counter(path, 10**6) as victim:
        victim.stdin.write(b"go\n")
        victim.stdin.flush()
        told = [victim.stdout.readline() for _ in range(lines)]
        victim.send_signal(signal.SIGKILL)
        told += victim.stdout.read().splitlines(keepends=True)
    with SQLiteStore(path) as store:
        held = store.read("counter")
    last = int([line for line in told if line.endswith(b"\n")][-1].split()[0])

    assert last <= held.version <= last + 1


def test_a_fork_takes_no_connection_along(store, path):
    """Nothing of the file is open in a child, and it works there and in the parent."""

    def child():
        assert opened(path) == []
        assert store.write("key", b"child", expected=1).version == 2

    before = opened(path)
    number = fork(child)

    assert before
    assert ended(number) == 0
    assert store.write("key", b"parent", expected=2).version == 3


def test_a_child_writes_on_when_others_close(store, path):
    """What a child wrote stays when its parent, and then everybody else, closes the file."""
    go, wrote = os.pipe(), os.pipe()

    def child():
        assert store.write("child", b"1", expected=0).version == 1
        os.write(wrote[1], b"x")
        os.read(go[0], 1)
        assert store.write("child", b"2", expected=1).version == 2

    store.read("key")
    number = fork(child)
    os.read(wrote[0], 1)
    store.close()
    with SQLiteStore(path) as other:
        other.read("key")
    os.write(go[1], b"x")
    code = ended(number)
    for end in (*go, *wrote):
        os.close(end)
    with SQLiteStore(path) as other:
        entry = other.read("child")

    assert code == 0
    assert (entry.value, entry.version) == (b"2", 2)


def test_a_fork_waits_for_a_call_in_another_thread(store, path):
    """A fork in the midst of another thread's call gives the child a store that works."""
    with SQLiteStore(path) as blocker:
        blocker._file.connection(0.0).execute("BEGIN IMMEDIATE")
        failures = []

        def write():
            try:
                store.write("key", b"late", expected=1)
            except StoreError as error:
                failures.append(error)

        thread = threading.Thread(target=write)
        thread.start()
        while thread.is_alive() and store._file.lock.acquire(blocking=False):
            store._file.lock.release()
        number = fork(lambda: store.read("key"))
        thread.join()

    assert ended(number) == 0
    assert len(failures) == 1


def test_a_fork_that_cannot_wait_any_longer(store, monkeypatch):
    """A child that was forked in the midst of a call that hangs refuses, and does not hang."""
    monkeypatch.setattr(_sqlite_file, "_SECONDS_TO_FINISH", 0.0)
    held, done = threading.Event(), threading.Event()

    def hang():
        with store._file.lock:
            held.set()
            done.wait()

    thread = threading.Thread(target=hang)
    thread.start()
    held.wait()

    def child():
        for _ in range(2):
            with pytest.raises(StoreError, match="start the process afresh"):
                store.read("key")

    number = fork(child)
    done.set()
    thread.join()

    assert ended(number) == 0
    assert store.write("key", b"parent", expected=1).version == 2


def test_a_fork_of_a_closed_store(store):
    """A store that was closed is closed in a child as well."""
    store.close()

    def child():
        with pytest.raises(StoreError, match="was closed"):
            store.read("key")

    assert ended(fork(child)) == 0


def test_a_fork_during_a_scan(store):
    """A child goes on with a scan that its parent began, and so does the parent."""
    for number in range(200):
        store.write(f"scan {number:03}", b"", expected=0)
    scan = store.scan("scan")
    next(scan)

    def child():
        assert len(list(scan)) == 199

    assert ended(fork(child)) == 0
    assert len(list(scan)) == 199


def test_stores_that_are_gone_are_forgotten(path):
    """What is done at a fork does not grow with the stores that were ever made."""
    known = _sqlite_file.close_before_fork.__globals__["_forks"]._known
    before = len(known)
    for _ in range(10):
        SQLiteStore(path)

    assert len(known) == before


def test_a_store_that_is_dropped_closes_its_file(path):
    """A store that nobody holds any more leaves no file open."""
    store = SQLiteStore(path)
    store.write("key", b"value", expected=0)
    before = opened(path)
    del store

    assert before
    assert opened(path) == []


class Knot:
    """Refers to itself, so that only the garbage collector ends it."""

    def __init__(self, store):
        self.store, self.itself = store, self


@pytest.mark.parametrize("kept_first", [False, True], ids=["file", "connection"])
def test_a_store_in_a_circle_closes_its_file(path, kept_first):
    """A store that the garbage collector ends leaves no file open, whatever it ends first."""
    knot = Knot(SQLiteStore(path))
    knot.store.write("key", b"value", expected=0)
    # The collector's order is that of its list, to whose end it moves what it
    # finds only through others.
    kept = knot.store._file.connection(0.0) if kept_first else None
    gc.collect()
    before = opened(path)
    del knot, kept
    with warnings.catch_warnings(record=True, action="always") as warned:
        gc.collect()

    assert before
    assert opened(path) == []
    assert warned == []


def test_a_connection_that_is_lost_is_closed(path):
    """A connection that its file never got is closed; one that never came about says nothing."""
    lost = QuietConnection.opened(str(path), mode="rwc", busy_timeout=0.05)
    with pytest.raises(sqlite3.OperationalError, match="unable to open"):
        QuietConnection.opened(f"{path}/none", mode="rw", busy_timeout=0.05)
    before = opened(path)
    del lost
    gc.collect()

    assert before
    assert opened(path) == []


def test_a_connection_that_goes_loses_no_interrupt(path):
    """A Ctrl-C just before the last reference to a connection goes is raised all the same."""
    kept = [QuietConnection.opened(str(path), mode="rwc", busy_timeout=0.05)]
    kept[0].close()
    # One step of the interpreter does both, so that nothing comes in between.
    acts = map(operator.call, [_thread.interrupt_main, kept.pop])

    with pytest.raises(KeyboardInterrupt):
        collections.deque(acts, maxlen=0)
    assert kept == []


@pytest.mark.parametrize(
    "keep",
    [
        "",
        "del circle, connection",
        "del store, connection",
        "del store, circle",
        "del store, circle, connection",
        "gc.kept = os.kept = sqlite3.kept = store",
    ],
)
def test_a_store_at_the_end_of_its_process_says_nothing(path, keep):
    """A process that ends with a store open, wherever it is kept, says nothing of it."""
    done = subprocess.run(
        [sys.executable, "-W", "always::ResourceWarning", "-c", ENDING, str(path), keep],
        check=True,
        capture_output=True,
    )

    assert done.stderr == b""


def test_a_signal_handler_may_use_the_store(store):
    """A handler that runs in the midst of a call of its own thread does not wait for itself."""
    before = signal.signal(signal.SIGUSR1, lambda *_: store.write("handler", b"", expected=0))
    try:
        with store._file.lock:
            signal.raise_signal(signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)

    assert store.read("handler").version == 1
