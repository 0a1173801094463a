# SPDX-License-Identifier: MIT
"""The suite that a store must pass before a loop's life may depend on it.

It knows only the contract in ``haltable.store``.  It imports no test runner:
its cases are methods named ``test_...``, which pytest and unittest both find.
"""

from __future__ import annotations

import time
from itertools import pairwise
from typing import cast

from haltable.store import Durability
from haltable.testing._store_sharing import SharingCases, case
from haltable.testing._store_subject import Subject, require

__all__ = ["StoreContract"]

_MANY = 150
_SECONDS_FOR_AGE_TO_GROW = 30.0

#: Names that a careless store takes for one another, or for patterns.
_NAMES = (
    *("p", "P", "p%", "p_", "px", "p*", "p?", "[p]", "p\\", "p'", 'p"', "p;--", "{p}", "p:1"),
    *(" p", "p ", "p/1", "p/10", "p/2", "p\n", "p\t", "1", "01", "null", "-"),
    *("é", "e\u0301", "ß", "ss", "İ", "日本語", "\uffff", "\U0001f600", "\U0010ffff"),
    *("p" * 500, "p" * 499 + "q", "\U0001f600" * 400),
)
_VALUES = (
    *(b"", b"\0", b"x", bytes(range(256)), b"\xff\xfe", b"\\x00", b'{"a": 1}', b"\r\n", b" "),
    bytes(range(256)) * 4096,
)


class StoreContract(SharingCases):
    """What every store must do; subclass it, and let pytest find the subclass.

    `make_store` is all that a subclass needs.  For a `haltable.Store` it is a
    plain method, and the races are run by threads; for an `AsyncStore` it is a
    coroutine function, and each case runs once on every event loop in
    ``backends``.  `close_store` and `another_handle` may be defined too; a store
    whose clock counts in coarse steps sets ``age_resolution``, in seconds.

    Cases use keys of their own, so the data may be shared, and old.

    Example:
        >>> from haltable.stores import MemoryStore
        >>> class TestMemoryStore(StoreContract):
        ...     def make_store(self):
        ...         return MemoryStore()
        >>> TestMemoryStore().prove()
    """

    @case
    async def test_it_states_its_durability(self, store: Subject) -> None:
        """A store says what an acknowledged write survives, and whether a call may wait."""
        durability = cast("object", store.store.durability)
        blocks = getattr(store.store, "blocks", True)

        require(
            f"durability must be a Durability, not {durability!r}",
            that=isinstance(durability, Durability),
        )
        require(f"blocks must be a bool, not {blocks!r}", that=isinstance(blocks, bool))

    @case
    async def test_an_absent_key(self, store: Subject) -> None:
        """An absent key reads as None, is not deleted, and is at no version."""
        key = store.key()
        read, deleted = await store.read(key), await store.delete(key, 1)
        none = await store.delete(key, 0)
        there = await store.refused(key, 1)

        require(f"an absent key reads as None, not as {read}", that=read is None)
        require("what is absent cannot be deleted", that=deleted is False and none is False)
        require(f"what is absent conflicts with None, not with {there}", that=there is None)
        require("a refused write writes nothing", that=await store.read(key) is None)

    @case
    async def test_create_and_replace(self, store: Subject) -> None:
        """A write is accepted at the version expected, and read back; versions grow."""
        key = store.key()
        versions = [0]
        for value in (b"one", b"two", b"three"):
            written = await store.wrote(key, value, versions[-1])
            held = await store.held(key)
            versions.append(written.version)

            require(f"{value!r} was written, {held} is there", that=held.value == value)
            require(
                f"version {written.version} was given out, {held.version} is there",
                that=held.version == written.version,
            )
        require(
            f"versions are whole numbers that grow from 1 on: {versions[1:]}",
            that=all(type(new) is int and new > old for old, new in pairwise(versions)),
        )

    @case
    async def test_a_refused_write(self, store: Subject) -> None:
        """A write that expects another version changes nothing and is told what is there."""
        key = store.key()
        old = await store.wrote(key, b"old", 0)
        new = await store.wrote(key, b"new", old.version)
        for expected in (0, old.version, new.version + 1, new.version + 1000):
            there = await store.refused(key, expected)
            held = await store.held(key)

            require(f"nothing was written, but {held} is there", that=held.value == b"new")
            require(f"a refused write takes no version: {held}", that=held.version == new.version)
            require(
                f"the conflict carries what is there ({new}), not {there}",
                that=there is not None
                and (there.value, there.version) == (b"new", new.version)
                and there.age >= 0.0,
            )

    @case
    async def test_delete(self, store: Subject) -> None:
        """A key is removed at the version expected and at no other."""
        key = store.key()
        old = await store.wrote(key, b"old", 0)
        new = await store.wrote(key, b"new", old.version)
        wrong = [await store.delete(key, v) for v in (0, old.version, new.version + 1)]
        kept = await store.held(key)
        deleted = await store.delete(key, new.version)
        again = await store.delete(key, new.version)

        require(f"only the version expected is deleted: {wrong}", that=wrong == [False] * 3)
        require(f"a refused delete changes nothing: {kept}", that=kept.version == new.version)
        require("a delete at the version expected is done", that=deleted is True)
        require("what is deleted is absent", that=await store.read(key) is None)
        require("what is deleted cannot be deleted again", that=again is False)
        require(
            "a write cannot replace what is deleted",
            that=await store.refused(key, new.version) is None,
        )

    @case
    async def test_versions_never_repeat(self, store: Subject) -> None:
        """A version grows with every write of the key, over deletes too: it is a fencing token."""
        key = store.key()
        versions: list[int] = []
        for _ in range(4):
            first = await store.wrote(key, b"first", 0)
            second = await store.wrote(key, b"second", first.version)
            await store.delete(key, second.version)
            versions += [first.version, second.version]

        require(
            f"versions grow, also after a delete: {versions}",
            that=all(new > old for old, new in pairwise(versions)),
        )
        for version in versions:
            await store.refused(key, version)

    @case
    async def test_values_are_any_bytes(self, store: Subject) -> None:
        """Any bytes come back as they went in, as bytes: empty ones, all of them, a mebibyte."""
        key, version = store.key(), 0
        for value in _VALUES:
            version = (await store.wrote(key, value, version)).version
            there = await store.refused(key, 0)
            found = [await store.held(key), there] + [e async for _, e in store.scan(key)]

            for entry in found:
                got = None if entry is None else entry.value
                require(f"{len(value)} bytes went in as {value[:40]!r}", that=got == value)
                require(f"they came back as {type(got).__name__}", that=type(got) is bytes)

    @case
    async def test_keys_are_any_text(self, store: Subject) -> None:
        """Keys that look alike are different keys, patterns are plain text, 500 letters fit."""
        for name in _NAMES:
            await store.wrote(store.key(name), name.encode(), 0)
        for name in _NAMES:
            held = await store.held(store.key(name))

            require(f"{name!r} was taken for {held.value!r}", that=held.value == name.encode())

    @case
    async def test_scan_finds_the_prefix_and_nothing_else(self, store: Subject) -> None:
        """A scan yields each key that starts with the prefix once, with its entry."""
        written = {
            key: (await store.wrote(key, key.encode(), 0)).version for key in map(store.key, _NAMES)
        }
        for prefix in ("", *_NAMES):
            found = [(key, entry) async for key, entry in store.scan(store.key(prefix))]
            expected = sorted(key for key in written if key.startswith(store.key(prefix)))

            require(
                f"a scan of {prefix!r} finds what starts with it, once",
                that=sorted(key for key, _ in found) == expected,
            )
            require(
                f"a scan of {prefix!r} yields whole entries",
                that=all(e.value == k.encode() and e.version == written[k] for k, e in found),
            )
        nothing = [key async for key, _ in store.scan(store.key("absent"))]
        require(f"a scan of what is absent finds nothing, not {nothing}", that=nothing == [])

    @case
    async def test_scan_lets_others_work(self, store: Subject) -> None:
        """While a scan goes on its consumer may write and delete, and may leave it early."""
        versions = {
            key: (await store.wrote(key, b"before", 0)).version
            for key in (store.key(f"{number:04}") for number in range(_MANY))
        }
        gone = await store.wrote(store.key("gone"), b"", 0)
        await store.delete(store.key("gone"), gone.version)
        seen: list[str] = []
        async for key, entry in store.scan(store.key()):
            seen.append(key)
            if len(seen) % 2:
                await store.wrote(key, b"after", entry.version)
            else:
                await store.delete(key, entry.version)
        await store.glance(store.key())
        left = [entry.value async for _, entry in store.scan(store.key())]

        require(
            f"each of {_MANY} keys is seen once, not {len(set(seen))} in {len(seen)} steps",
            that=sorted(seen) == sorted(versions),
        )
        require(
            "what the consumer did while it scanned is done",
            that=left == [b"after"] * ((_MANY + 1) // 2),
        )

    @case
    async def test_age_is_the_time_since_the_last_write(self, store: Subject) -> None:
        """An entry's age grows with real time, and begins again at each write."""
        key, resolution = store.key(), self.age_resolution
        before = time.monotonic()
        first = await store.wrote(key, b"", 0)
        after = time.monotonic()
        until = after + _SECONDS_FOR_AGE_TO_GROW
        age = 0.0
        while age < 3 * resolution:
            earliest = time.monotonic()
            age = (await store.held(key)).age
            latest = time.monotonic()

            require(
                f"the age {age} of a write that was {earliest - after} to {latest - before} s ago",
                that=earliest - after - resolution <= age <= latest - before + resolution,
            )
            require(f"the age grows, it is {age} all the time", that=latest < until)
        before = time.monotonic()
        await store.wrote(key, b"", first.version)
        age = (await store.held(key)).age
        limit = time.monotonic() - before + resolution
        require(f"a write begins the age again, but it is {age}", that=0.0 <= age <= limit)
