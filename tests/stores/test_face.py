# SPDX-License-Identifier: MIT
"""The face of the stores: light to import, exact in what it offers."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

import haltable.stores
from haltable.stores import (
    AsyncStore,
    Durability,
    MemoryStore,
    SQLiteStore,
    SQLiteTransaction,
    Store,
)


def loaded_by(code):
    """Returns the names of the modules that a fresh interpreter has loaded after the code."""
    code = f"import sys; {code}; print(*sys.modules)"
    # Measuring coverage would load what the code does not.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE")}
    command = [sys.executable, "-c", code]
    ran = subprocess.run(command, capture_output=True, check=True, text=True, env=environment)
    return set(ran.stdout.split())


def test_the_face_is_light():
    """Neither the face nor the store in memory loads a database; a store on one loads its own."""
    light = loaded_by("import haltable.stores; from haltable.stores import MemoryStore, Store")

    assert light & {"redis", "sqlite3"} == set()
    assert "sqlite3" in loaded_by("from haltable.stores import SQLiteStore")
    assert "redis" in loaded_by("from haltable.stores import RedisStore")


def test_every_name_is_there():
    """What the face lists it has, and what it does not have it says plainly."""
    assert all(getattr(haltable.stores, name) for name in haltable.stores.__all__)
    assert dir(haltable.stores) == sorted(haltable.stores.__all__)
    absent = "CassetteStore"
    with pytest.raises(AttributeError, match="no attribute 'CassetteStore'"):
        getattr(haltable.stores, absent)


def test_what_the_stores_say_of_themselves(tmp_path):
    """Each store states its contract, whether it waits, what it survives, and who it is."""
    memory = MemoryStore()
    memory.write("key", b"", expected=0)
    path = tmp_path / "loops.db"
    with SQLiteStore(path) as process, SQLiteStore(path, "machine") as machine:
        assert all(isinstance(store, Store) for store in (memory, process, machine))
        assert [store.blocks for store in (memory, process, machine)] == [False, True, True]
        assert [store.durability for store in (memory, process, machine)] == [
            Durability.NOTHING,
            Durability.PROCESS,
            Durability.MACHINE,
        ]
        assert repr(memory) == "<MemoryStore: 1 keys>"
        assert repr(machine) == f"<SQLiteStore: {str(path)!r}, survives the machine>"
    assert AsyncStore.__name__ in haltable.stores.__all__


def test_what_a_store_in_a_transaction_says_of_itself(tmp_path):
    """It says that it is one, where it lies, and that it lasts no longer than its database."""
    path = tmp_path / "shop.db"
    with closing(sqlite3.connect(path)) as disk, closing(sqlite3.connect(":memory:")) as memory:
        stores = [SQLiteTransaction(disk), SQLiteTransaction(memory)]

        assert all(isinstance(store, Store) and store.transactional for store in stores)
        assert [store.blocks for store in stores] == [True, True]
        assert [store.durability for store in stores] == [Durability.PROCESS, Durability.NOTHING]
        assert [repr(store) for store in stores] == [
            f"<SQLiteTransaction: {str(path)!r}>",
            "<SQLiteTransaction: ':memory:'>",
        ]
    assert not hasattr(MemoryStore(), "transactional")


def test_the_setting_behind_each_durability(tmp_path):
    """Writes for the machine wait for the disk, writes for the process need not."""
    settings = []
    for durability in ("process", "machine"):
        with SQLiteStore(tmp_path / durability, durability) as store:
            connection = store._file.connection(0.0)
            settings += [
                connection.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("journal_mode", "synchronous")
            ]

    assert settings == ["wal", 1, "wal", 2]
