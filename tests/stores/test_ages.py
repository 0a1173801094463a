# SPDX-License-Identifier: MIT
"""Ages are measured by a clock that nobody sets, and another boot is infinitely long ago."""

from __future__ import annotations

import contextlib
import math
import sqlite3
import time

import pytest

from haltable import ConfigurationError
from haltable.stores import MemoryStore, SQLiteStore
from haltable.stores._boot_clock import BootClock


def test_the_machines_clock_counts_from_its_boot():
    """On Linux the clock is CLOCK_BOOTTIME and the boot has a number."""
    clock = BootClock.of_this_machine()
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    now = clock.now()

    assert before <= now <= time.clock_gettime(time.CLOCK_BOOTTIME)
    assert clock.boot > 0
    assert clock.boot == BootClock.of_this_machine().boot


@pytest.mark.parametrize("text", [None, "", "not hexadecimal"])
def test_a_platform_without_a_boot_number(tmp_path, text):
    """Elsewhere it is the monotonic clock, without a boot."""
    file = tmp_path / "boot_id"
    if text is not None:
        file.write_text(text)

    assert BootClock.of_this_machine(file) == BootClock(time.monotonic, 0)


def test_a_platform_without_the_clock(tmp_path, monkeypatch):
    """A platform that has no CLOCK_BOOTTIME gets the monotonic clock too."""
    monkeypatch.delattr(time, "CLOCK_BOOTTIME")

    assert BootClock.of_this_machine() == BootClock(time.monotonic, 0)


@pytest.mark.parametrize(
    ("boot", "written", "then", "age"),
    [
        (7, 90.0, 7, 10.0),
        (7, 100.0, 7, 0.0),
        (7, 100.1, 7, 0.0),
        (7, 90.0, 8, math.inf),
        (7, 90.0, 0, math.inf),
        (0, 90.0, 0, 10.0),
        (0, 100.1, 0, math.inf),
    ],
)
def test_the_age_of_a_time(boot, written, then, age):
    """An age is never negative; another boot, or a time to come without a boot, is infinite."""
    assert BootClock(lambda: 100.0, boot).age(written, then) == age


def test_a_row_of_another_boot(tmp_path):
    """What was written before the machine came up is infinitely old, until it is written again."""
    path = tmp_path / "loops.db"
    with SQLiteStore(path) as store:
        store.write("key", b"", expected=0)
        fresh = store.read("key").age
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE haltable SET boot = boot + 1")
    with SQLiteStore(path) as store:
        old = store.read("key").age
        scanned = [entry.age for _, entry in store.scan("")]
        conflict = store.write("key", b"", expected=7).current.age
        store.write("key", b"", expected=1)
        again = store.read("key").age

    assert fresh < 60
    assert [old, *scanned, conflict] == [math.inf] * 3
    assert again < 60


def test_the_wall_clock_changes_no_age(tmp_path, monkeypatch):
    """Setting the wall clock by ten years makes nothing older or younger."""
    with SQLiteStore(tmp_path / "loops.db") as store:
        store.write("key", b"", expected=0)
        monkeypatch.setattr(time, "time", lambda: 2.0e9)

        assert 0.0 <= store.read("key").age < 60.0


def test_memory_measures_by_the_clock_it_is_given():
    """A clock that is handed in decides alone."""
    now = 100.0
    store = MemoryStore(clock=lambda: now)
    written = store.write("key", b"", expected=0)
    now = 160.0
    ages = [
        store.read("key").age,
        *(entry.age for _, entry in store.scan("")),
        store.write("key", b"", expected=0).current.age,
    ]
    store.write("key", b"", expected=written.version)
    now = 150.0

    assert ages == [60.0] * 3
    assert store.read("key").age == 0.0


def test_a_clock_that_is_none():
    """Something that cannot be called is one clear error."""
    with pytest.raises(ConfigurationError, match=r"clock=12\.5"):
        MemoryStore(clock=12.5)
