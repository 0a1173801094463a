# SPDX-License-Identifier: MIT
"""What can befall a database file: a named error, nothing lost, and usable again afterwards."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
import subprocess
import sys
import time
import types

import pytest

from haltable import ConfigurationError, StoreError
from haltable.stores import Conflict, Entry, SQLiteStore, _sqlite_file, _sqlite_form
from haltable.stores._directory_lock import directory_lock
from haltable.stores._sqlite_faults import store_error
from haltable.stores._sqlite_form import prepare
from tests.stores.disks import enlarge, read_only, small_disk

#: Holds a lock on a database until its standard input ends.
LOCKER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute(sys.argv[2])
print("locked", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path):
    """Where the database lies."""
    return tmp_path / "loops.db"


@pytest.fixture(autouse=True)
def looks_at_each_call(monkeypatch):
    """Has the file looked at before every call, however soon after the last one."""
    monkeypatch.setattr(_sqlite_file, "_TRUSTED", 0.0)


@pytest.fixture
def store(path):
    """A store that was written to, with its connection open."""
    with SQLiteStore(path, busy_timeout=0.05) as made:
        made.write("key", b"value", expected=0)
        yield made


@contextlib.contextmanager
def locked(path, statement):
    """Has another process hold a lock for the time of the block."""
    command = [sys.executable, "-c", LOCKER, str(path), statement]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as locker:
        assert locker.stdout.readline() == b"locked\n"
        yield
        locker.stdin.close()


def refusal(call, *arguments, **named):
    """Returns the message of the StoreError that the call raises, which is certain."""
    with pytest.raises(StoreError) as raised:
        call(*arguments, **named)
    assert raised.value.outcome == "refused"
    return str(raised.value)


def refusals(store):
    """Returns what each verb says."""
    return [
        refusal(store.read, "key"),
        refusal(store.write, "key", b"never", expected=1),
        refusal(store.write, "new", b"never", expected=0),
        refusal(store.delete, "key", expected=1),
        refusal(list, store.scan("")),
    ]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([""], "path=''"),
        ([b"loops.db"], "path=b'loops.db'"),
        ([None], "path=None"),
        ([3], "path=3"),
        (["a\0b"], "path='a"),
        ([":memory:"], "MemoryStore"),
        (["/"], "is a directory"),
        (["loops.db", "disk"], "durability='disk'"),
    ],
)
def test_bad_arguments(arguments, named, tmp_path, monkeypatch):
    """An argument that cannot be right is one clear error, and no file appears."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match=named):
        SQLiteStore(*arguments)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), True, "5", None])
def test_a_bad_timeout(seconds, path):
    """A timeout that is no positive number of seconds is one clear error."""
    with pytest.raises(ConfigurationError, match="busy_timeout="):
        SQLiteStore(path, busy_timeout=seconds)

    assert not path.exists()


def test_a_relative_path_counts_once(tmp_path, monkeypatch):
    """A relative path means the directory of the moment in which the store was made."""
    monkeypatch.chdir(tmp_path)
    with SQLiteStore("loops.db") as store:
        monkeypatch.chdir("/")
        store.write("key", b"value", expected=0)

        assert store.path == str(tmp_path / "loops.db")
    assert (tmp_path / "loops.db").exists()


def test_odd_names_of_files(tmp_path):
    """A file's name is a name, whatever a URI would make of it."""
    for name in ("a b", "a?mode=memory", "a#b", "a%41", "file:x", "é\U0001f600", "a'b"):
        with SQLiteStore(tmp_path / name) as store:
            store.write("key", name.encode(), expected=0)

        assert (tmp_path / name).is_file()


def test_a_missing_file(path):
    """With create=False a file that is not there is an error, and stays away."""
    message = refusal(SQLiteStore, path, create=False)

    assert str(path) in message
    assert "is not there" in message
    assert not path.exists()


def test_a_missing_directory(tmp_path):
    """A directory that is not there is an error that names the file."""
    message = refusal(SQLiteStore, tmp_path / "absent" / "loops.db")

    assert "absent/loops.db" in message
    assert "cannot be made (No such file or directory)" in message


def test_no_regular_file(tmp_path):
    """A pipe is refused, not waited for."""
    os.mkfifo(tmp_path / "pipe")

    assert "is no regular file" in refusal(SQLiteStore, tmp_path / "pipe")


def test_an_empty_file(path):
    """An empty file is made a database only where a new one may be made."""
    path.touch()
    message = refusal(SQLiteStore, path, create=False)
    SQLiteStore(path)
    with SQLiteStore(path, create=False) as store:
        assert store.read("key") is None

    assert "is empty" in message


def test_another_applications_file(path):
    """A database of something else is refused and not touched."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE haltable (mine)")
    before = path.read_bytes()
    message = refusal(SQLiteStore, path)

    assert "another application" in message
    assert path.read_bytes() == before


def test_a_newer_form(store, path):
    """A file that a later version wrote is refused, not misread."""
    store.close()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version=2")

    assert "has form 2" in refusal(SQLiteStore, path)


def test_no_database(path):
    """A file that is no database is refused and not touched."""
    path.write_bytes(b"to do: buy milk\n" * 400)
    message = refusal(SQLiteStore, path)

    assert "is not a SQLite database" in message
    assert path.read_bytes() == b"to do: buy milk\n" * 400


def test_a_deleted_file(store, path):
    """Every call says that the file is gone, none makes it anew, and a new store heals the old."""
    path.unlink()
    messages = refusals(store)

    assert all(str(path) in message for message in messages)
    assert "was deleted" in messages[0]
    assert not path.exists()
    with SQLiteStore(path):
        assert store.read("key") is None
        assert isinstance(store.write("key", b"anew", expected=0), Entry)


def test_a_file_is_looked_at_once_a_millisecond(store, path, monkeypatch):
    """What was seen of the file is trusted for a millisecond, and no longer."""
    monkeypatch.setattr(_sqlite_file, "_TRUSTED", 0.001)
    file = store._file
    file.connection(100.0)
    path.unlink()
    trusting = file.connection(100.0009)

    assert trusting is file.connection(100.0)
    assert "was deleted" in refusal(file.connection, 100.0011)


def test_a_file_that_was_moved_away_and_back(store, path):
    """Nothing is lost when the file comes back."""
    path.rename(path.with_suffix(".away"))
    messages = refusals(store)
    path.with_suffix(".away").rename(path)

    assert "was deleted or moved" in messages[0]
    assert store.read("key").value == b"value"
    assert store.write("key", b"more", expected=1).version == 2


def test_a_replaced_file(store, path, tmp_path):
    """A file that took the place of the one in use is noticed once, and then used."""
    with SQLiteStore(tmp_path / "other.db") as other:
        other.write("key", b"other", expected=0)
    path.with_name("loops.db-wal").unlink()
    (tmp_path / "other.db").rename(path)
    message = refusal(store.write, "key", b"never", expected=1)

    assert "was replaced" in message
    assert store.read("key").value == b"other"


@pytest.mark.parametrize("noticed", [True, False])
def test_a_replaced_file_beside_the_old_log(store, path, tmp_path, noticed):
    """The log of the old file is never played into the new one, until somebody takes it away."""
    log = path.with_name("loops.db-wal")
    with SQLiteStore(tmp_path / "other.db") as other:
        other.write("key", b"other", expected=0)
    if noticed:
        path.unlink()
        refusals(store)
    (tmp_path / "other.db").rename(path)
    first = refusal(store.read, "key")
    messages = refusals(store)
    log.rename(tmp_path / "log")

    assert ("SQLite would mix" if noticed else "was replaced while in use") in first
    assert all(f"{str(log)!r} is still the log of the old file" in text for text in messages)
    assert store.read("key").value == b"other"
    assert store.write("key", b"more", expected=1).version == 2


def test_a_file_that_is_replaced_while_it_is_opened(store, path, tmp_path, monkeypatch):
    """A file that changes hands between the look and the opening is not taken for the first."""
    store._file._drop()
    SQLiteStore(tmp_path / "other.db")
    prepare = _sqlite_file.prepare

    def replace(*arguments, **named):
        prepare(*arguments, **named)
        (tmp_path / "other.db").rename(path)

    monkeypatch.setattr(_sqlite_file, "prepare", replace)
    message = refusal(store.read, "key")
    monkeypatch.undo()

    assert "was replaced while it was being opened" in message
    assert store.read("key") is None


def test_a_link_that_leads_elsewhere(store, path, tmp_path):
    """A link that is turned to another file is noticed as a replacement."""
    link = tmp_path / "link.db"
    link.symlink_to(path)
    with SQLiteStore(tmp_path / "other.db") as other:
        other.write("key", b"other", expected=0)
    with SQLiteStore(link) as linked:
        assert linked.read("key").value == b"value"
        link.unlink()
        link.symlink_to(tmp_path / "other.db")

        assert "was replaced" in refusal(linked.read, "key")
        assert linked.read("key").value == b"other"


def test_a_file_made_anew_while_others_use_the_old_one(store, path):
    """What is left of a deleted file does not disturb the new one, nor the old one's users it."""
    for number in range(50):
        store.write(f"key {number}", b"old" * 1000, expected=0)
    path.unlink()
    code = (
        "import sys; from haltable.stores import SQLiteStore\n"
        "store = SQLiteStore(sys.argv[1])\n"
        "print(store.read('key'), store.write('key', b'new', expected=0).version)"
    )
    ran = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, check=True)

    assert ran.stdout == b"None 1\n"
    assert "was replaced" in refusal(store.read, "key")
    assert store.read("key").value == b"new"


@pytest.mark.parametrize("size", [0, 100, 4096, 5000])
def test_a_file_that_was_cut_short(store, path, size):
    """A file cut to any length is an error, and whole again when it is restored."""
    store.close()
    whole = path.read_bytes()
    with SQLiteStore(path) as later:
        os.truncate(path, size)
        messages = refusals(later)
        path.write_bytes(whole)

        assert all(str(path) in message for message in messages)
        assert later.read("key").value == b"value"


def test_a_file_that_was_cut_to_nothing_keeps_its_log(store, path):
    """What the write-ahead log still holds is not thrown away with a file cut to nothing."""
    whole = path.read_bytes()
    log = path.with_name("loops.db-wal")
    kept = log.read_bytes()
    store._file.pause()
    store._file.resume()
    path.write_bytes(b"")
    log.write_bytes(kept)
    message = refusal(SQLiteStore, path)

    assert "was cut short" in message
    assert log.read_bytes() == kept
    path.write_bytes(whole)
    assert store.read("key").value == b"value"


@pytest.mark.parametrize("seed", range(60))
def test_flipped_bits(path, seed):
    """Whatever bits are flipped, a call answers or raises StoreError, and a copy makes it whole."""
    places = memoryview(hashlib.shake_128(b"%d" % seed).digest(64)).cast("I")
    with SQLiteStore(path) as store:
        for number in range(20):
            store.write(f"key {number}", b"value %d" % number * 40, expected=0)
    whole = path.read_bytes()
    damaged = bytearray(whole)
    # Half of the time only near the beginning, where the format is described.
    within = len(damaged) if seed % 2 else 300
    for place in places:
        damaged[place % within] ^= 1 << (place >> 24) % 8
    path.write_bytes(damaged)
    with contextlib.suppress(StoreError), SQLiteStore(path) as store:
        for number in range(20):
            with contextlib.suppress(StoreError):
                answer = store.read(f"key {number}")
                assert answer is None or type(answer) is Entry
            with contextlib.suppress(StoreError):
                assert type(store.write(f"key {number}", b"new", expected=1)) in {Entry, Conflict}
        with contextlib.suppress(StoreError):
            list(store.scan("key"))
    for rest in path.parent.glob("loops.db-*"):
        rest.unlink()
    path.write_bytes(whole)
    with SQLiteStore(path) as store:
        assert len(list(store.scan("key"))) == 20


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE haltable SET value = 'text'",
        "UPDATE haltable SET value = 7",
        "UPDATE haltable SET version = 'one'",
        "UPDATE haltable SET version = 1.5",
        "UPDATE haltable SET written = 'then'",
        "UPDATE haltable SET boot = x'00'",
        "UPDATE haltable SET key = x'ff'",
        "UPDATE haltable SET key = CAST(x'ff' AS TEXT)",
    ],
)
def test_a_row_that_makes_no_sense(store, path, damage):
    """A row with values of the wrong kind is an error, never an answer."""
    store.close()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(damage)
    with SQLiteStore(path) as later:
        message = refusal(list, later.scan(""))

    assert str(path) in message


def test_a_lock_of_another_process(store, path):
    """A write that another process blocks is refused after the timeout; reads go on."""
    with locked(path, "BEGIN IMMEDIATE"):
        messages = [
            refusal(store.write, "key", b"never", expected=1),
            refusal(store.write, "new", b"never", expected=0),
            refusal(store.delete, "key", expected=1),
        ]
        entry = store.read("key")

    assert all("is locked by another process" in message for message in messages)
    assert entry.value == b"value"
    assert store.write("key", b"then", expected=1).version == 2


def test_a_lock_while_a_file_is_made(path):
    """A file that another process holds while it is made a database is waited for, then refused."""
    path.touch()
    with locked(path, "BEGIN EXCLUSIVE"):
        message = refusal(SQLiteStore, path, busy_timeout=0.05)

    assert "is locked by another process" in message
    with SQLiteStore(path) as store:
        assert store.read("key") is None


def test_a_lock_while_the_log_is_switched_on(path):
    """The switch to the write-ahead log waits for others, and then says who is in the way."""
    SQLiteStore(path)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
    with locked(path, "BEGIN IMMEDIATE"):
        message = refusal(SQLiteStore, path, busy_timeout=0.05)

    assert "is locked by another process" in message
    with SQLiteStore(path) as store:
        assert store.read("key") is None


def test_a_lock_that_goes_away_while_the_log_is_switched_on(path, monkeypatch):
    """The switch to the write-ahead log, for which SQLite does not wait, is tried again."""
    SQLiteStore(path)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode=DELETE")
        other.execute("BEGIN IMMEDIATE")
        pauses = []

        def pause(seconds):
            pauses.append(seconds)
            other.execute("ROLLBACK")

        clock = types.SimpleNamespace(monotonic=time.monotonic, sleep=pause)
        monkeypatch.setattr(_sqlite_form, "time", clock)
        with SQLiteStore(path) as store:
            assert store.read("key") is None

    assert len(pauses) == 1


def test_somebody_else_makes_files_in_the_directory(path):
    """While another process makes a file in the directory, one waits for it, and then says so."""
    with directory_lock(str(path.parent), 1.0):
        message = refusal(SQLiteStore, path, busy_timeout=0.05)

    assert "cannot be made (Resource temporarily unavailable)" in message
    assert not path.exists()


def test_a_place_without_a_write_ahead_log():
    """Where SQLite cannot keep a write-ahead log the file is refused: nobody could share it."""
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        named = {"create": True, "synchronous": "NORMAL", "busy_timeout": 1.0}
        message = refusal(prepare, connection, "loops.db", **named)

    assert "cannot keep a write-ahead log" in message


def test_a_disk_that_became_read_only(tmp_path):
    """On a read-only disk a call is refused by name, and works once it is writable again."""
    home = tmp_path / "disk"
    home.mkdir()
    with small_disk(home, "4m") as mounted:
        store = SQLiteStore(home / "loops.db")
        store.write("key", b"value", expected=0)
        store._file.connection(0.0).execute("PRAGMA query_only=1")
        live = refusal(store.write, "key", b"never", expected=1)
        # Root without the right to mount stops at nothing: then only the first half holds.
        if mounted or os.geteuid() != 0:
            with read_only(home):
                again = [
                    refusal(store.write, "key", b"never", expected=1),
                    refusal(SQLiteStore, home / "loops.db"),
                ]

            assert all("read-only" in message for message in again)
        assert "is read-only" in live
        assert store.write("key", b"then", expected=1).version == 2
        store.close()


def test_a_full_disk(tmp_path):
    """A full disk refuses a write by name, loses nothing, and is usable when there is room."""
    home = tmp_path / "disk"
    home.mkdir()
    with small_disk(home, "1m") as mounted, SQLiteStore(home / "loops.db") as store:
        if not mounted:
            store._file.connection(0.0).execute("PRAGMA max_page_count=40")
        acknowledged = {}
        value = os.urandom(16000)

        def fill():
            while True:
                store.write(f"key {len(acknowledged)}", value, expected=0)
                acknowledged[f"key {len(acknowledged)}"] = value

        with pytest.raises(StoreError) as raised:
            fill()
        held = {key: entry.value for key, entry in store.scan("")}
        if mounted:
            enlarge(home, "8m")
        else:
            store._file.connection(0.0).execute("PRAGMA max_page_count=4000")

        assert raised.value.outcome == "refused"
        assert "the disk or the quota is full" in str(raised.value)
        assert held == acknowledged
        assert store.write("key 0", b"shorter", expected=1).version == 2
        assert store.write(f"key {len(acknowledged)}", value, expected=0).version == 1
        assert len(list(store.scan(""))) == len(acknowledged) + 1


@pytest.mark.parametrize(
    ("verb", "arguments", "named"),
    [
        ("read", ["\ud800"], {}),
        ("write", ["\ud800", b""], {"expected": 0}),
        ("write", ["key", b""], {"expected": 2**63}),
        ("delete", ["\ud800"], {"expected": 1}),
    ],
)
def test_what_cannot_be_sent(store, verb, arguments, named):
    """A key or version that the database cannot take is refused, and the store goes on."""
    message = refusal(getattr(store, verb), *arguments, **named)

    assert verb in message
    assert store.read("key").value == b"value"


def test_a_closed_store(store):
    """After `close` every call says so; closing twice does nothing."""
    store.close()
    store.close()

    assert all("was closed" in message for message in refusals(store))


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        (sqlite3.SQLITE_BUSY, "refused"),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, "refused"),
        (sqlite3.SQLITE_FULL, "refused"),
        (sqlite3.SQLITE_READONLY_DBMOVED, "refused"),
        (sqlite3.SQLITE_CORRUPT, "refused"),
        (sqlite3.SQLITE_IOERR_FSYNC, "unknown"),
        (sqlite3.SQLITE_IOERR_WRITE, "unknown"),
        (sqlite3.SQLITE_PROTOCOL, "unknown"),
        (sqlite3.SQLITE_NOMEM, "unknown"),
        (None, "unknown"),
    ],
)
def test_what_is_certain(code, outcome):
    """A write is called refused only where SQLite cannot have committed it; a read always is."""
    error = sqlite3.OperationalError("words")
    if code is not None:
        error.sqlite_errorcode = code

    assert store_error("loops.db", "write", error, writes=True).outcome == outcome
    assert store_error("loops.db", "read", error, writes=False).outcome == "refused"


def test_an_error_that_is_not_sqlites(store, monkeypatch):
    """Whatever the driver raises leaves as a StoreError, and the store is usable afterwards."""

    class Odd(sqlite3.Connection):
        def execute(self, *arguments):
            raise ZeroDivisionError

    with contextlib.closing(sqlite3.connect(":memory:", factory=Odd)) as odd:
        monkeypatch.setattr(_sqlite_file.SQLiteFile, "connection", lambda file, now: odd)
        with pytest.raises(StoreError) as raised:
            store.write("key", b"never", expected=1)
        monkeypatch.undo()

    assert raised.value.outcome == "unknown"
    assert isinstance(raised.value.__cause__, ZeroDivisionError)
    assert store.write("key", b"then", expected=1).version == 2
