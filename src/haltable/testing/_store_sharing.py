# SPDX-License-Identifier: MIT
"""How the cases of the store contract are played, and those in which many share a store.

`Stage` holds what a subclass says about its store.  The cases with one hand on
the store are in ``haltable.testing.store_contract``.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, ClassVar, TypeVar

import anyio

from haltable.store import AnyStore, Entry
from haltable.testing._store_subject import Subject, answer, driven, require

__all__ = ["SharingCases", "Stage", "case"]

_CONTENDERS = 8
_ROUNDS = 10

OfStage = TypeVar("OfStage", bound="Stage")


class Stage:
    """What a subclass says about its store, and how a case is played on it."""

    #: The event loops that an asynchronous store is for.
    backends: ClassVar[tuple[str, ...]] = ("asyncio", "trio")
    #: Seconds: how coarse the store's clock is.
    age_resolution: ClassVar[float] = 0.02

    def make_store(self) -> AnyStore | Awaitable[AnyStore]:
        """Returns a store to be tested; what it holds already does not matter."""
        message = f"{type(self).__name__} must define make_store"
        raise NotImplementedError(message)

    def close_store(self, store: Any) -> Awaitable[None] | None:
        """Closes what `make_store` made; a coroutine function for an asynchronous store."""

    def another_handle(self, store: Any) -> AnyStore | Awaitable[AnyStore] | None:
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

    def play(self, check: Callable[[Subject], Coroutine[Any, Any, None]]) -> None:
        """Runs a check on a fresh store, for an asynchronous one on every event loop.

        Args:
            check: a coroutine function.
        """
        if inspect.iscoroutinefunction(self.make_store):
            for backend in self.backends:
                anyio.run(self._scene, check, backend=backend)
        else:
            driven(self._scene(check))

    async def _scene(self, check: Callable[[Subject], Coroutine[Any, Any, None]]) -> None:
        store: AnyStore = await answer(self.make_store())
        subject = Subject(store)
        require(
            "make_store must be a coroutine function if the verbs of its store are, and only then",
            that=subject.is_async == inspect.iscoroutinefunction(self.make_store),
        )
        try:
            await check(subject)
        finally:
            await answer(self.close_store(store))


def case(
    check: Callable[[OfStage, Subject], Coroutine[Any, Any, None]],
) -> Callable[[OfStage], None]:
    """Makes a plain test of a check that is handed a fresh store."""

    def test(self: OfStage) -> None:
        self.play(lambda subject: check(self, subject))

    # Not functools.wraps: a runner that looks through it would ask for a fixture `store`.
    test.__name__, test.__qualname__, test.__doc__ = (
        check.__name__,
        check.__qualname__,
        check.__doc__,
    )
    return test


class SharingCases(Stage):
    """The cases in which many use a store at once."""

    @case
    async def test_a_race_has_one_winner(self, store: Subject) -> None:
        """Of many writes that expect the same version one is accepted, and only that one."""
        key, version = store.key(), 0
        for _ in range(_ROUNDS):
            won = await self._race(store, key, version)
            held = await store.held(key)

            require(f"a race has one winner, not {len(won)}", that=len(won) == 1)
            require(f"{won[0]} won, but {held} is there", that=held.value == won[0].value)
            require(f"{won[0]} won, but {held} is there", that=held.version == won[0].version)
            version = held.version

    @staticmethod
    async def _race(store: Subject, key: str, expected: int) -> list[Entry]:
        won: list[Entry] = []

        async def contend(number: int) -> None:
            written = await store.write(key, b"%d" % number, expected)
            if isinstance(written, Entry):
                won.append(written)

        await store.together(_CONTENDERS, contend)
        return won

    @case
    async def test_a_race_to_delete(self, store: Subject) -> None:
        """Of many writes and deletes that expect the same version one is done."""
        key = store.key()
        written = await store.wrote(key, b"", 0)
        done: list[bool] = []

        async def contend(number: int) -> None:
            if number % 2:
                done.append(await store.delete(key, written.version))
            else:
                last = await store.write(key, b"last", written.version)
                done.append(isinstance(last, Entry))

        await store.together(_CONTENDERS, contend)
        require(f"one is done, not {sum(done)}", that=sum(done) == 1)

    @case
    async def test_no_update_is_lost(self, store: Subject) -> None:
        """Counting by read and write from many sides is exact, and no version is given twice."""
        key = store.key()
        steps: list[tuple[int, int]] = []

        async def count(_: int) -> None:
            steps.extend([await self._count_one(store, key) for _ in range(_ROUNDS)])

        await store.together(_CONTENDERS, count)
        steps.sort()
        total = _CONTENDERS * _ROUNDS

        require(
            f"{total} accepted writes count to {total}, each with a version of its own: {steps}",
            that=[number for _, number in steps] == list(range(1, total + 1))
            and len(dict(steps)) == total,
        )

    @staticmethod
    async def _count_one(store: Subject, key: str) -> tuple[int, int]:
        while True:
            held = await store.read(key)
            number, expected = (int(held.value) + 1, held.version) if held else (1, 0)
            written = await store.write(key, b"%d" % number, expected)
            if isinstance(written, Entry):
                return written.version, number

    @case
    async def test_a_call_that_is_cut_off(self, store: Subject) -> None:
        """A cancelled call is done or not done, and no later call gets its answer."""
        for turns in range(_ROUNDS):
            key, other = store.key(f"cut {turns}"), store.key(f"other {turns}")
            first = await store.wrote(key, b"first", 0)
            other_version = (await store.wrote(other, b"other", 0)).version
            await store.cut_off(turns, partial(store.write, key, b"second", first.version))
            beside, held = await store.held(other), await store.held(key)
            absent = await store.read(store.key(f"absent {turns}"))

            require(
                f"after {turns} turns {held} is there, and is neither of the two",
                that=(held.value, held.version > first.version)
                in {(b"first", False), (b"second", True)},
            )
            require(
                f"after {turns} turns the next call got another's answer: {beside}, {absent}",
                that=(beside.value, beside.version) == (b"other", other_version) and absent is None,
            )

    @case
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

            require(
                f"{first} was written, the other handle sees {seen}", that=seen.value == b"first"
            )
            require(
                f"{second} was written, the conflict of the other handle shows {there}",
                that=there is not None and there.version == second.version,
            )
            require("a delete reaches the other handle", that=deleted and not await other.read(key))
        finally:
            await answer(self.close_store(other.store))
