# SPDX-License-Identifier: MIT
"""The one table of haltable in a SQLite database: its form, how it is read, what its rows mean.

It knows no file and no connection: a store asks, with the statements of this room.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from haltable.store import Entry
from haltable.stores._boot_clock import BootClock
from haltable.stores._sqlite_faults import refusal

__all__ = ["DELETE", "READ", "SCHEMA", "entry_of", "keyed_entry", "paged"]

SCHEMA = """
CREATE TABLE IF NOT EXISTS haltable (
    key TEXT PRIMARY KEY NOT NULL,
    version INTEGER NOT NULL,
    boot INTEGER NOT NULL,
    written REAL NOT NULL,
    value BLOB
)
"""
# A deleted key stays as a row without a value: its version goes on from there.
# No RETURNING: the SQLite of a long-lived system may be older than that.
READ = "SELECT value, version, boot, written FROM haltable WHERE key = ?"
DELETE = (
    "UPDATE haltable SET value = NULL, boot = ?, written = ?"
    " WHERE key = ? AND version = ? AND value IS NOT NULL"
)
# Keys that share a prefix lie together, in the order of their bytes.
_FIRST_PAGE = (
    "SELECT key, value, version, boot, written FROM haltable"
    " WHERE key >= ? AND value IS NOT NULL ORDER BY key LIMIT 64"
)
_NEXT_PAGE = (
    "SELECT key, value, version, boot, written FROM haltable"
    " WHERE key > ? AND value IS NOT NULL ORDER BY key LIMIT 64"
)


def entry_of(path: str, key: object, row: Sequence[Any], clock: BootClock) -> Entry:
    """Returns a row's entry.

    Args:
        path: the database, for what is said about it.
        key: the row's.
        row: the columns that `READ` asks for.
        clock: the one that the row was written by.

    Raises:
        StoreError: if the row makes no sense.
    """
    value, version, boot, written = row
    if not (
        isinstance(value, bytes)
        and isinstance(version, int)
        and isinstance(boot, int)
        and isinstance(written, float)
    ):
        raise refusal(path, f"is damaged: the row of {key!r} makes no sense")
    return Entry(value, version, clock.age(written, boot))


def keyed_entry(path: str, row: Sequence[Any], clock: BootClock) -> tuple[str, Entry]:
    """Returns a row of a page as its key and its entry, likewise."""
    key, *rest = row
    if not isinstance(key, str):
        raise refusal(path, f"is damaged: the row of {key!r} makes no sense")
    return key, entry_of(path, key, rest, clock)


def paged(
    rows: Callable[[str, str], Sequence[Sequence[Any]]],
    keyed: Callable[[Sequence[Any]], tuple[str, Entry]],
    prefix: str,
) -> Iterator[tuple[str, Entry]]:
    """Yields the entries whose keys start with the prefix, page by page.

    So the iterator may be left at any point, and its consumer may write.

    Args:
        rows: asks for a page: the statement, and the key that it starts at.
        keyed: makes a key and an entry of a row.
        prefix: what the keys start with.
    """
    page, start = _FIRST_PAGE, prefix
    while found := rows(page, start):
        for start, entry in map(keyed, found):  # The next page starts at the last key.
            if not start.startswith(prefix):
                return
            yield start, entry
        page = _NEXT_PAGE
