# SPDX-License-Identifier: MIT
"""A store over a Django model, on any of Django's databases with long text keys.

It is shown and explained in docs/how-to/bring-your-own-store.md.
"""

from contextlib import contextmanager

from django.db import Error, IntegrityError, close_old_connections, connections, models
from django.db.models import F
from django.db.models.functions import Now

from haltable import StoreError
from haltable.stores import Conflict, Entry


class LoopRecord(models.Model):
    key = models.TextField(primary_key=True)
    version = models.BigIntegerField()
    written = models.DateTimeField()  # by the database's clock
    value = models.BinaryField(null=True)  # NULL once deleted, so that its versions go on

    class Meta:
        app_label = "loops"  # yours; then `manage.py makemigrations loops`


class ModelStore:
    def __init__(self, durability, using="default"):
        self.durability = durability  # what *your* server keeps: you know its settings
        self._using = using
        self._rows = LoopRecord.objects.using(using)
        held = self._rows.filter(value__isnull=False).annotate(age=Now() - F("written"))
        self._held = held.values_list("key", "value", "version", "age")

    def read(self, key):
        with self._asking(f"read {key!r}"):
            rows = list(self._held.filter(key=key))
        return entry(rows[0]) if rows else None

    def write(self, key, value, *, expected):
        with self._asking(f"write {key!r}"):
            version = self._wrote(key, value, expected)
        return Entry(value, version) if version else Conflict(self.read(key))

    def delete(self, key, *, expected):
        with self._asking(f"delete {key!r}"):
            rows = self._rows.filter(key=key, version=expected, value__isnull=False)
            return bool(rows.update(value=None))

    def scan(self, prefix):
        last, rows = "", self._held.filter(key__startswith=prefix).order_by("key")
        while True:
            with self._asking(f"scan {prefix!r}"):
                page = list(rows.filter(key__gt=last)[:100])
            if not page:
                return
            for row in page:
                last = row[0]
                if last.startswith(prefix):  # SQLite's LIKE takes P for p
                    yield last, entry(row)

    def _wrote(self, key, value, expected):
        dead = not expected
        if dead:
            try:
                self._rows.create(key=key, value=value, version=1, written=Now())
            except IntegrityError:  # it is there, or was deleted: then its version goes on
                deleted = self._rows.filter(key=key, value=None).values_list("version", flat=True)
                expected = deleted.first() or 0
            else:
                return 1
        rows = self._rows.filter(key=key, version=expected, value__isnull=dead)
        done = rows.update(value=value, version=expected + 1, written=Now())
        return expected + 1 if done else 0

    @contextmanager
    def _asking(self, act):
        close_old_connections()  # as Django does around a request
        try:
            if not connections[self._using].get_autocommit():  # a rollback would undo it
                raise StoreError(f"inside a transaction (tried to {act})", outcome="refused")
            yield
        except Error as error:  # was it done? nobody knows
            raise StoreError(f"{error} (tried to {act})") from error
        finally:
            close_old_connections()


def entry(row):
    _, value, version, age = row
    return Entry(bytes(value), version, max(0.0, age.total_seconds()))
