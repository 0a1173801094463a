# SPDX-License-Identifier: MIT
"""The one table of haltable in a PostgreSQL database: its form, its statements, its rows.

It knows no connection and no driver: a store sends what is written here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from haltable.errors import ConfigurationError
from haltable.store import Durability, Entry

__all__ = [
    "PAGE",
    "Statements",
    "done",
    "first",
    "keyed",
    "quoted_table",
    "schema_of",
    "version_of",
]

#: How many rows one page of a scan holds.
PAGE = 64

_LONGEST_NAME = 63  # Bytes; PostgreSQL cuts longer ones short without an error.
# Text of the C collation is in the order of its bytes, so that keys with one
# prefix lie together.  A deleted key stays as a row without a value, so that its
# version goes on from there.
_SCHEMA = """\
CREATE TABLE IF NOT EXISTS {table} (
    key text COLLATE "C" PRIMARY KEY,
    version bigint NOT NULL,
    written timestamptz NOT NULL,
    value bytea
)"""
# The server's clock, and not the moment at which a host's transaction began.  A
# write that waits for a lock may be dated before the wait, never before it was sent.
_AGE = "GREATEST(0, extract(epoch FROM clock_timestamp() - written))::float8"
# What this very commit survives: settings of this session on this server.
_SURVIVES = """\
CASE WHEN current_setting('synchronous_commit') = 'off' THEN 0
     WHEN current_setting('fsync') = 'off' OR current_setting('full_page_writes') = 'off' THEN 1
     WHEN current_setting('synchronous_commit') <> 'local'
      AND current_setting('synchronous_standby_names') <> '' THEN 3
     ELSE 2 END"""
_READ = (
    f"SELECT version, value, {_AGE} FROM {{table}} WHERE key = %(key)s::text AND value IS NOT NULL"
)
# One statement, so that a write and what refused it are one round trip.  The
# second half sees the table as it was when the statement began: if the first
# half had to wait for another's commit, it may be older than that.
_ANSWER = f"""
SELECT version, NULL::bytea, ({_SURVIVES})::float8 FROM done
UNION ALL
{_READ} AND NOT EXISTS (SELECT FROM done)"""
_CREATE = f"""\
WITH done AS (
    INSERT INTO {{table}} AS held (key, version, written, value)
    VALUES (%(key)s::text, {{first}}, clock_timestamp(), %(value)b::bytea)
    ON CONFLICT (key) DO UPDATE
    SET version = {{held}}, written = clock_timestamp(), value = excluded.value
    WHERE held.value IS NULL
    RETURNING version
){_ANSWER}"""
# Nothing but the write, which is nearly always done: the server plans each statement
# anew, behind a pooler, and the answer to a lost race would take as long again.
_REPLACE = f"""\
UPDATE {{table}} AS held
SET version = {{held}}, written = clock_timestamp(), value = %(value)b::bytea
WHERE key = %(key)s::text AND version = %(expected)s::bigint AND value IS NOT NULL
RETURNING version, NULL::bytea, ({_SURVIVES})::float8"""
_DELETE = """\
UPDATE {table} SET value = NULL, written = clock_timestamp()
WHERE key = %(key)s::text AND version = %(expected)s::bigint AND value IS NOT NULL
RETURNING version"""
_SCAN = f"""\
SELECT version, value, {_AGE}, key FROM {{table}}
WHERE key COLLATE "C" {{than}} %(key)s::text AND value IS NOT NULL
ORDER BY key COLLATE "C" LIMIT {PAGE}"""
_VERIFY = "SELECT version, value, written, key FROM {table} LIMIT 0"
_MICROSECONDS = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"


@attrs.frozen
class Statements:
    """The statements over one table, with the driver's placeholders.

    Args:
        create: writes an absent key.
        replace: writes a key at a version.
        delete: removes a key at a version.
        read: finds a key.
        first_page: finds the first keys from one on.
        next_page: finds the keys behind one.
        verify: fails if the table has another form.
    """

    create: bytes
    replace: bytes
    delete: bytes
    read: bytes
    first_page: bytes
    next_page: bytes
    verify: bytes

    @classmethod
    def over(cls, table: str, *, may_roll_back: bool = False) -> Statements:
        """Returns the statements over a table.

        Args:
            table: its name, as it is quoted.
            may_roll_back: whether the host may roll a write back, so that its
                version must not depend on what the table holds: time goes on.
        """
        names = {
            "table": table.replace("%", "%%"),  # The driver's sign for a value.
            "first": _MICROSECONDS if may_roll_back else "1",
            "held": "held.version + 1",
            "than": ">=",
        }
        if may_roll_back:
            names["held"] = f"GREATEST(held.version + 1, {_MICROSECONDS})"
        texts = (_CREATE, _REPLACE, _DELETE, _READ, _SCAN, _SCAN.replace("{than}", ">"), _VERIFY)
        return cls(*(text.format(**names).encode() for text in texts))


def schema_of(table: str) -> str:
    """Returns what creates the table, as SQL text."""
    return _SCHEMA.format(table=table)


def quoted_table(table: object, schema: object) -> str:
    """Returns the table's name as SQL text.

    Raises:
        ConfigurationError: if one of the two can be no name.
    """
    names = [] if schema is None else [_quoted("schema", schema)]
    return ".".join([*names, _quoted("table", table)])


def _quoted(argument: str, name: object) -> str:
    if not isinstance(name, str) or not name or "\0" in name:
        raise ConfigurationError(f"{argument}={name!r}: give a name of PostgreSQL, as text")
    if len(name.encode(errors="surrogatepass")) > _LONGEST_NAME:
        raise ConfigurationError(
            f"{argument}={name!r}: PostgreSQL's names have at most {_LONGEST_NAME} bytes"
        )
    quoted = name.replace('"', '""')
    return f'"{quoted}"'


def first(rows: Sequence[Sequence[Any]]) -> Entry | None:
    """Returns the first row's entry, None without a row."""
    for version, value, age, *_ in rows:
        # A host's own adapters may make other types of them.
        return Entry(bytes(value), int(version), max(0.0, float(age)))
    return None


def keyed(row: Sequence[Any]) -> tuple[str, Entry]:
    """Returns a row of a page as its key and its entry."""
    version, value, age, key = row
    # A database without an encoding gives bytes.
    text = key.decode() if isinstance(key, bytes) else str(key)
    return text, Entry(bytes(value), int(version), max(0.0, float(age)))


def done(rows: Sequence[Sequence[Any]]) -> tuple[int, Durability] | None:
    """Returns the version of a write that was done and what it survives, None if it was not."""
    for version, value, survives in rows:
        if value is None:
            return int(version), Durability(int(survives))
    return None


def version_of(entry: Entry | None) -> int:
    """Returns the version that a write must expect to replace the entry; 0 if it is absent."""
    return 0 if entry is None else entry.version
