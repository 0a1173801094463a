# SPDX-License-Identifier: MIT
"""A store over SQLAlchemy Core, on PostgreSQL or SQLite: the host's engine, one table.

It is shown and explained in docs/how-to/bring-your-own-store.md.
"""

import sqlalchemy as sql
from sqlalchemy.dialects import postgresql, sqlite

from haltable import StoreError
from haltable.stores import Conflict, Entry

records = sql.Table(
    "loop_records",
    sql.MetaData(),  # yours, so that your migrations create the table
    sql.Column("key", sql.Text, primary_key=True),
    sql.Column("version", sql.BigInteger, nullable=False),
    sql.Column("written", sql.Float, nullable=False),  # seconds, by the database's clock
    sql.Column("value", sql.LargeBinary),  # NULL once deleted, so that the versions go on
)
of = records.c

DIALECTS = {  # insert with "on conflict", and the present moment in seconds
    "postgresql": (postgresql.insert, "extract(epoch FROM clock_timestamp())::float8"),
    "sqlite": (sqlite.insert, "(julianday('now') - 2440587.5) * 86400"),
}


class RecordStore:
    def __init__(self, engine, durability):
        self.durability = durability  # what your server keeps: only you know its settings
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._insert, now = DIALECTS[engine.dialect.name]
        self._now = sql.literal_column(now, sql.Float)
        self._held = sql.select(of.key, of.value, of.version, self._now - of.written)
        self._held = self._held.where(of.value.is_not(None))

    def read(self, key):
        rows = self._ask(f"read {key!r}", self._held.where(of.key == key))
        return entry(rows[0]) if rows else None

    def write(self, key, value, *, expected):
        new = {"value": value, "version": of.version + 1, "written": self._now}
        if expected:
            write = self._at(key, expected).values(new)
        else:  # make it, or bring a deleted key back to life
            write = self._insert(records).values(new | {"key": key, "version": 1})
            write = write.on_conflict_do_update(
                index_elements=[of.key], set_=new, where=of.value.is_(None)
            )
        rows = self._ask(f"write {key!r}", write.returning(of.version))
        return Entry(value, rows[0].version) if rows else Conflict(self.read(key))

    def delete(self, key, *, expected):
        delete = self._at(key, expected).values(value=None).returning(of.version)
        return bool(self._ask(f"delete {key!r}", delete))

    def scan(self, prefix):
        page, last = self._held.order_by(of.key).limit(100), ""
        page = page.where(of.key.startswith(prefix, autoescape=True))
        while rows := self._ask(f"scan {prefix!r}", page.where(of.key > last)):
            for row in rows:
                last = row.key
                if last.startswith(prefix):  # SQLite's LIKE takes P for p
                    yield last, entry(row)

    def _at(self, key, version):
        return sql.update(records).where(
            of.key == key, of.version == version, of.value.is_not(None)
        )

    def _ask(self, act, statement):
        try:
            with self._engine.connect() as connection:
                return connection.execute(statement).all()
        except sql.exc.SQLAlchemyError as error:  # was it done? nobody knows
            why = getattr(error, "orig", None) or error
            raise StoreError(f"loop_records: {why} (tried to {act})") from error


def entry(row):
    _, value, version, age = row
    return Entry(bytes(value), version, max(0.0, age))
