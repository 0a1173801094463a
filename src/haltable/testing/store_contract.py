# SPDX-License-Identifier: MIT
"""The suite that a store must pass before a loop's life may depend on it.

It knows only the contract in ``haltable.store``.  It imports no test runner:
its cases are methods named ``test_...``, which pytest and unittest both find.
"""

from __future__ import annotations

import inspect
import random
import time
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from itertools import pairwise
from typing import Any, ClassVar

from haltable.store import AnyStore, AsyncStore, Durability, Entry, Store
from haltable.testing._store_subject import Subject, answer, driven, require

__all__ = ["StoreContract"]

_CONTENDERS = 8
_ROUNDS = 10
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
    random.Random(7).randbytes(1024 * 1024),
)


def _case(
    check: Callable[[StoreContract, Subject], Coroutine[Any, Any, None]],
) -> Callable[[StoreContract], None]:
    """Makes a plain test of a check that is handed a fresh store."""

    def test(self: StoreContract) -> None:
        self._play(lambda subject: check(self, subject))

    # Not functools.wraps: a runner that looks through it would ask for a fixture `store`.
    test.__name__, test.__qualname__, test.__doc__ = (
        check.__name__,
        check.__qualname__,
        check.__doc__,
    )
    return test


class StoreContract:
    """What every store must do; subclass it, and let pytest find the subclass.

    `make_store` is all that a subclass needs.  For a `haltable.Store` it is a
    plain method, and the races are run by threads; for an `AsyncStore` it is a
    coroutine function, and each case runs once on every event loop in
    ``backends``.  Two cases may be given stores over the same data.

    Example:
        >>> from haltable.stores import MemoryStore
        >>> class TestMemoryStore(StoreContract):
        ...     def make_store(self):
        ...         return MemoryStore()
        >>> TestMemoryStore().prove()
    """

    #: The event loops that an asynchronous store is for.
    backends: ClassVar[tuple[str, ...]] = ("asyncio", "trio")
    #: Seconds: how coarse the store's clock is.
    age_resolution: ClassVar[float] = 0.02

    def make_store(self) -> Store | Awaitable[AsyncStore]:
        """Returns a store to be tested; what it holds already does not matter."""
        message = f"{type(self).__name__} must define make_store"
        raise NotImplementedError(message)

    def close_store(self, store: Any) -> None | Awaitable[None]:
        """Closes what `make_store` made; a coroutine function for an asynchronous store."""

    def another_handle(self, store: Any) -> AnyStore | None:
        """Returns a second store over the same data, as another process would make it.

        None, the default, says that there is no such thing.
        """

    def prove(self) -> None:
        """Runs every case, without a test runner.

        Raises:
            AssertionError: the store breaks the contract, in words.
        """
        for name in dir(self):
            if name.startswith("test_"):
                getattr(self, name)()

    def _play(self, check: Callable[[Subject], Coroutine[Any, Any, None]]) -> None:
        if not inspect.iscoroutinefunction(self.make_store):
            driven(self._scene(check))
            return
        import anyio

        for backend in self.backends:
            anyio.run(self._scene, check, backend=backend)

    async def _scene(self, check: Callable[[Subject], Coroutine[Any, Any, None]]) -> None:
        store = await answer(self.make_store())
        try:
            await check(Subject(store))
        finally:
            await answer(self.close_store(store))

    @_case
    async def test_it_states_its_durability(self, store: Subject) -> None:
        """A store says what an acknowledged write survives, and whether a call may wait."""
        durability = store.store.durability
        blocks = getattr(store.store, "blocks", True)

        require(
            f"durability must be a Durability, not {durability!r}",
            that=isinstance(durability, Durability),
        )
        require(f"blocks must be a bool, not {blocks!r}", that=isinstance(blocks, bool))

    @_case
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

    @_case
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

    @_case
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

    @_case
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

    @_case
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

    @_case
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

    @_case
    async def test_keys_are_any_text(self, store: Subject) -> None:
        """Keys that look alike are different keys, patterns are plain text, 500 letters fit."""
        for name in _NAMES:
            await store.wrote(store.key(name), name.encode(), 0)
        for name in _NAMES:
            held = await store.held(store.key(name))

            require(f"{name!r} was taken for {held.value!r}", that=held.value == name.encode())

    @_case
    async def test_scan_finds_the_prefix_and_nothing_else(self, store: Subject) -> None:
        """A scan yields each key that starts with the prefix once, with its entry."""
        written = {
            key: (await store.wrote(key, key.encode(), 0)).version
            for key in map(store.key, _NAMES)
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

    @_case
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
        async for _ in store.scan(store.key()):
            break
        left = [entry.value async for _, entry in store.scan(store.key())]

        require(
            f"each of {_MANY} keys is seen once, not {len(seen)} of them, {len(set(seen))} different",
            that=sorted(seen) == sorted(versions),
        )
        require(
            "what the consumer did while it scanned is done",
            that=left == [b"after"] * ((_MANY + 1) // 2),
        )

    @_case
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

    @_case
    async def test_a_race_has_one_winner(self, store: Subject) -> None:
        """Of many that expect the same version one is accepted; the others are told who."""
        key = store.key()
        version = 0
        for _ in range(_ROUNDS):
            won: list[Entry] = []
            lost: list[Entry | None] = []

            async def contend(number: int, expected: int = version) -> None:
                written = await store.write(key, f"{number}".encode(), expected)
                if isinstance(written, Entry):
                    won.append(written)
                else:
                    lost.append(written.current)

            await store.together(_CONTENDERS, contend)
            held = await store.held(key)

            require(f"a race has one winner, not {len(won)}", that=len(won) == 1)
            require(f"what the winner wrote is there: {held}", that=held.value == won[0].value)
            require(f"the winner's version is there: {held}", that=held.version == won[0].version)
            version = held.version
        deleted: list[bool] = []

        async def end(number: int) -> None:
            if number % 2:
                deleted.append(await store.delete(key, version))
            else:
                deleted.append(isinstance(await store.write(key, b"", version), Entry))

        await store.together(_CONTENDERS, end)
        require(
            f"of deletes and writes at one version one is done, not {sum(deleted)}",
            that=sum(deleted) == 1,
        )

    @_case
    async def test_no_update_is_lost(self, store: Subject) -> None:
        """Counting by read and compare-and-set from many sides is exact; no version is given twice."""
        key = store.key()
        steps: list[tuple[int, int]] = []

        async def count(_: int) -> None:
            for _ in range(_ROUNDS):
                written: object = None
                while not isinstance(written, Entry):
                    held = await store.read(key)
                    number, expected = (int(held.value), held.version) if held else (0, 0)
                    written = await store.write(key, b"%d" % (number + 1), expected)
                steps.append((written.version, number + 1))

        await store.together(_CONTENDERS, count)
        steps.sort()
        total = _CONTENDERS * _ROUNDS

        require(
            f"{total} accepted writes count to {total}, each with a version of its own: {steps}",
            that=[number for _, number in steps] == list(range(1, total + 1))
            and len({version for version, _ in steps}) == total,
        )

    @_case
    async def test_a_call_that_is_cut_off(self, store: Subject) -> None:
        """A cancelled call is done or not done, and no later call gets its answer."""
        for turns in range(_ROUNDS):
            key, other = store.key(f"cut {turns}"), store.key(f"other {turns}")
            first = await store.wrote(key, b"first", 0)
            other_version = (await store.wrote(other, b"other", 0)).version
            await store.cut_off(
                turns, partial(store.write, key, b"second", first.version)
            )
            beside, held = await store.held(other), await store.held(key)
            absent = await store.read(store.key(f"absent {turns}"))

            require(
                f"after {turns} turns {held} is there, and is neither of the two",
                that=(held.value, held.version > first.version)
                in {(b"first", False), (b"second", True)},
            )
            require(
                f"after {turns} turns the next call got another's answer: {beside}, {absent}",
                that=(beside.value, beside.version) == (b"other", other_version)
                and absent is None,
            )

    @_case
    async def test_two_handles_see_each_other(self, store: Subject) -> None:
        """What one handle wrote, another over the same data reads, expects and deletes."""
        made = self.another_handle(store.store)
        if made is None:
            return
        other = store.over(await answer(made))
        key = store.key()
        try:
            first = await store.wrote(key, b"first", 0)
            seen = await other.held(key)
            second = await other.wrote(key, b"second", first.version)
            there = await store.refused(key, first.version)
            deleted = await store.delete(key, second.version)

            require(f"{first} was written, the other handle sees {seen}", that=seen.value == b"first")
            require(
                f"{second} was written, the conflict of the other handle shows {there}",
                that=there is not None and there.version == second.version,
            )
            require("a delete reaches the other handle", that=deleted and not await other.read(key))
        finally:
            await answer(self.close_store(other.store))
