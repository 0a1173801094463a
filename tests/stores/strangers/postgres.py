# SPDX-License-Identifier: MIT
"""A host's own store over PostgreSQL, with psycopg: one statement a verb."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg

from haltable import StoreError
from haltable.stores import Conflict, Durability, Entry

TABLE = """
CREATE TABLE IF NOT EXISTS haltable (
    key text COLLATE "C" PRIMARY KEY,
    version bigint NOT NULL,
    written timestamptz NOT NULL,
    value bytea
)
"""
READ = """
SELECT version, value, extract(epoch FROM clock_timestamp() - written)::float8
FROM haltable WHERE key = %(key)s AND value IS NOT NULL
"""
# A deleted key stays as a row without a value, so that no version is given out twice.
WRITE = """
WITH done AS (
    INSERT INTO haltable AS h (key, version, written, value)
    SELECT %(key)s, 1, clock_timestamp(), %(value)s
    WHERE %(expected)s = 0 OR EXISTS (SELECT FROM haltable WHERE key = %(key)s)
    ON CONFLICT (key) DO UPDATE
    SET version = h.version + 1, written = excluded.written, value = excluded.value
    WHERE CASE WHEN h.value IS NULL THEN 0 ELSE h.version END = %(expected)s
    RETURNING version
)
SELECT version, NULL, 0.0::float8 FROM done
UNION ALL
SELECT version, value, extract(epoch FROM clock_timestamp() - written)::float8
FROM haltable WHERE key = %(key)s AND value IS NOT NULL AND NOT EXISTS (SELECT FROM done)
"""
DELETE = """
UPDATE haltable SET value = NULL
WHERE key = %(key)s AND version = %(expected)s AND value IS NOT NULL
RETURNING version
"""
SCAN = """
SELECT key, version, value, extract(epoch FROM clock_timestamp() - written)::float8
FROM haltable WHERE starts_with(key, %(key)s) AND value IS NOT NULL
"""


class PostgresStore:
    durability = Durability.MACHINE

    def __init__(self, url: str) -> None:
        self._connection = psycopg.connect(url, autocommit=True)
        self._run(TABLE)

    def read(self, key: str) -> Entry | None:
        return first(self._run(READ, key=key))

    def write(self, key: str, value: bytes, *, expected: int) -> Entry | Conflict:
        return outcome(value, self._run(WRITE, key=key, value=value, expected=expected))

    def delete(self, key: str, *, expected: int) -> bool:
        return bool(self._run(DELETE, key=key, expected=expected))

    def scan(self, prefix: str) -> Iterator[tuple[str, Entry]]:
        for key, version, value, age in self._run(SCAN, key=prefix):
            yield key, Entry(value, version, max(0.0, age))

    def close(self) -> None:
        self._connection.close()

    def _run(self, statement: Any, **values: object) -> list[Any]:
        try:
            cursor = self._connection.execute(statement, values or None, binary=True)
            return cursor.fetchall() if cursor.description else []
        except psycopg.Error as error:
            raise StoreError(f"PostgreSQL: {error}") from error


def first(rows: list[Any]) -> Entry | None:
    """Returns the row that was found, if any."""
    for version, value, age in rows:
        return Entry(value, version, max(0.0, age))
    return None


def outcome(value: bytes, rows: list[Any]) -> Entry | Conflict:
    """Returns what a write came to: a row without a value says that it was done."""
    there = first(rows)
    if there is None or there.value is not None:
        return Conflict(there)
    return Entry(value, there.version)
