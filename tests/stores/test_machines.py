# SPDX-License-Identifier: MIT
"""Each store does the same as a dictionary, whatever the order of the calls."""

from __future__ import annotations

import contextlib
import tempfile
import uuid

import hypothesis.strategies as st
import pytest
import redis
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from haltable.stores import Conflict, Durability, Entry, MemoryStore, RedisStore, SQLiteStore
from tests.stores.hands import KINDS, opened

# Few keys, so that calls meet; with what a pattern or an order could trip over.
NAMES = st.sampled_from(["a", "ab", "a%", "b", "é", "\U0001f600", ""])
VALUES = st.binary(max_size=64) | st.sampled_from([b"", b"\0", bytes(range(256)) * 64])


class AgainstADictionary(RuleBasedStateMachine):
    """Calls in any order; the model holds what must be there, and the last version given out."""

    def __init__(self):
        super().__init__()
        self.stack = contextlib.ExitStack()
        self.held: dict[str, Entry] = {}
        self.last: dict[str, int] = {}

    def open(self):
        """Returns another handle on the same data."""
        raise NotImplementedError

    @initialize()
    def begin(self):
        self.space = f"{uuid.uuid4().hex}/"
        self.store = self.open()

    def at(self, name):
        entry = self.held.get(name)
        return entry.version if entry else 0

    def check_write(self, name, value, expected):
        written = self.store.write(self.space + name, value, expected=expected)
        if expected == self.at(name):
            assert isinstance(written, Entry)
            assert written.version > self.last.get(name, 0)
            self.held[name] = Entry(value, written.version)
            self.last[name] = written.version
        else:
            assert isinstance(written, Conflict)
            assert same(written.current, self.held.get(name))

    @rule(name=NAMES, value=VALUES)
    def write(self, name, value):
        self.check_write(name, value, self.at(name))

    @rule(name=NAMES, value=VALUES, back=st.integers(1, 3))
    def write_what_is_out_of_date(self, name, value, back):
        self.check_write(name, value, max(0, self.last.get(name, 0) - back))

    @rule(name=NAMES, value=VALUES, ahead=st.integers(1, 3))
    def write_what_was_never_given_out(self, name, value, ahead):
        self.check_write(name, value, self.last.get(name, 0) + ahead)

    @rule(name=NAMES, value=VALUES)
    def write_with_the_last_version(self, name, value):
        self.check_write(name, value, self.last.get(name, 0))

    @rule(name=NAMES)
    def delete(self, name):
        there = name in self.held

        assert self.store.delete(self.space + name, expected=self.at(name)) is there
        self.held.pop(name, None)

    @rule(name=NAMES, other=st.integers(-2, 2))
    def delete_another_version(self, name, other):
        expected = self.last.get(name, 0) + other
        done = expected == self.at(name) and name in self.held

        assert self.store.delete(self.space + name, expected=expected) is done
        if done:
            del self.held[name]

    @rule(name=NAMES)
    def read(self, name):
        assert same(self.store.read(self.space + name), self.held.get(name))

    @precondition(lambda self: self.held)
    @rule(prefix=NAMES)
    def scan(self, prefix):
        found = list(self.store.scan(self.space + prefix))

        assert sorted(key for key, _ in found) == sorted(
            self.space + name for name in self.held if name.startswith(prefix)
        )
        assert all(same(e, self.held[key.removeprefix(self.space)]) for key, e in found)

    @rule()
    def come_back_with_another_handle(self):
        self.store = self.open()

    @invariant()
    def what_is_there_is_what_was_written(self):
        for name, entry in self.held.items():
            assert same(self.store.read(self.space + name), entry)

    def teardown(self):
        self.stack.close()


def same(found, expected):
    """Whether two entries agree, their ages aside."""
    if found is None or expected is None:
        return found is expected
    return (found.value, found.version) == (expected.value, expected.version) and found.age >= 0


class OfMemory(AgainstADictionary):
    def __init__(self):
        super().__init__()
        self.only = MemoryStore()

    def open(self):
        return self.only


class OfSQLite(AgainstADictionary):
    def __init__(self):
        super().__init__()
        directory = self.stack.enter_context(tempfile.TemporaryDirectory())
        self.path = f"{directory}/loops.db"

    def open(self):
        return self.stack.enter_context(SQLiteStore(self.path))


def run(machine, examples, steps, **more):
    """Runs a machine for so many examples."""
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
            **more,
        ),
    )


def test_memory_is_a_dictionary():
    """MemoryStore agrees with a dictionary after every sequence of calls."""
    run(OfMemory, 100, 50)


def test_sqlite_is_a_dictionary():
    """SQLiteStore agrees with a dictionary, over as many handles as there are."""
    run(OfSQLite, 50, 40)


def test_redis_is_a_dictionary(redis_url):
    """RedisStore agrees with a dictionary, over as many handles as there are."""

    class OfRedis(AgainstADictionary):
        def open(self):
            client = redis.Redis.from_url(redis_url)
            store = RedisStore(client, durability=Durability.NOTHING)
            return self.stack.enter_context(store)

    run(OfRedis, 15, 25)


@pytest.mark.parametrize("kind", KINDS)
def test_postgres_is_a_dictionary(kind, postgres_url):
    """The stores on PostgreSQL agree with a dictionary, over each kind of source."""

    class OfPostgres(AgainstADictionary):
        def open(self):
            store = self.stack.enter_context(opened(kind, postgres_url))
            store.create_schema()
            return store

    run(OfPostgres, 8, 20)


def test_a_machine_finds_a_mistake():
    """A store that gives a version out twice is caught."""

    class Forgetful(MemoryStore):
        __slots__ = ()

        def delete(self, key, *, expected):
            deleted = super().delete(key, expected=expected)
            if deleted:
                self._versions = 0
            return deleted

    class OfTheForgetful(OfMemory):
        def __init__(self):
            super().__init__()
            self.only = Forgetful()

    with pytest.raises(AssertionError):
        run(OfTheForgetful, 100, 50, derandomize=True, database=None, phases=[Phase.generate])
