# SPDX-License-Identifier: MIT
"""Processes that make one new file at once."""

from __future__ import annotations

import contextlib
import sqlite3

import pytest

from haltable import SQLiteStore, StoreError
from haltable.stores import _sqlite_file
from haltable.stores._sqlite_connection import QuietConnection


@pytest.mark.parametrize("look", ["application_id", "user_version", "sqlite_master"])
def test_a_file_that_another_makes_meanwhile_is_no_stranger(tmp_path, monkeypatch, look):
    """Whenever another process makes the file, ours takes it for what it is."""
    path = tmp_path / "loops.db"
    with contextlib.closing(sqlite3.connect(path)) as begun:
        begun.execute("PRAGMA journal_mode=WAL")  # As far as a third one had come.

    class Overtaken(QuietConnection):
        """A connection before whose look at the new file another makes it."""

        overtaken = False

        def execute(self, statement, *arguments):
            if look in statement and not self.overtaken:
                self.overtaken = True
                monkeypatch.setattr(_sqlite_file, "QuietConnection", QuietConnection)
                # What we hold may keep the other waiting; then it was not there yet.
                with contextlib.suppress(StoreError):
                    SQLiteStore(path, busy_timeout=0.01).close()
            return super().execute(statement, *arguments)

    monkeypatch.setattr(_sqlite_file, "QuietConnection", Overtaken)
    with SQLiteStore(path) as store:
        entry = store.write("key", b"value", expected=0)

    assert entry.version == 1
