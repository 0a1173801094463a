# SPDX-License-Identifier: MIT
"""The contract has teeth: each mistake that a store can make fails the case that names it."""

from __future__ import annotations

import asyncio
import itertools
import math
import threading

import anyio.lowlevel
import attrs
import pytest

from haltable import StoreError
from haltable.stores import Conflict, Durability, Entry, MemoryStore
from haltable.testing.store_contract import StoreContract


class Faulty(MemoryStore):
    """A store that keeps its promises, to be spoilt one at a time."""

    __slots__ = ("__dict__",)


class Durable(Faulty):
    durability = 1


class Undecided(Faulty):
    blocks = "sometimes"


class AbsentIsEmpty(Faulty):
    def read(self, key):
        return super().read(key) or Entry(b"", 0)


class Overwrites(Faulty):
    def write(self, key, value, *, expected):
        held = self.read(key)
        return super().write(key, value, expected=held.version if held else 0)


class CreatesOverExisting(Overwrites):
    def write(self, key, value, *, expected):
        if expected:
            return MemoryStore.write(self, key, value, expected=expected)
        return super().write(key, value, expected=0)


class TellsNothing(Faulty):
    def write(self, key, value, *, expected):
        written = super().write(key, value, expected=expected)
        return Conflict(None) if isinstance(written, Conflict) else written


class RevivesDeleted(Faulty):
    def write(self, key, value, *, expected):
        there = self.read(key)
        return super().write(key, value, expected=expected if there else 0)


class StartsVersionsAnew(Faulty):
    def delete(self, key, *, expected):
        deleted = super().delete(key, expected=expected)
        if deleted:
            self._versions = 0
        return deleted


class SameVersion(Faulty):
    def write(self, key, value, *, expected):
        self._versions = 0
        return super().write(key, value, expected=expected)


class DeletesAnything(Faulty):
    def delete(self, key, *, expected):
        held = self.read(key)
        return super().delete(key, expected=held.version if held else 0)


class ForgetsToDelete(Faulty):
    def delete(self, key, *, expected):
        held = self.read(key)
        return held is not None and held.version == expected


class Text(Faulty):
    def read(self, key):
        held = super().read(key)
        return held and attrs.evolve(held, value=held.value.replace(b"\0", b""))


class Views(Faulty):
    def read(self, key):
        held = super().read(key)
        return held and attrs.evolve(held, value=memoryview(held.value))


class Folds(Faulty):
    def read(self, key):
        return super().read(key.casefold())

    def write(self, key, value, *, expected):
        return super().write(key.casefold(), value, expected=expected)


class Cuts(Faulty):
    def read(self, key):
        return super().read(key[:400])

    def write(self, key, value, *, expected):
        return super().write(key[:400], value, expected=expected)


class Patterns(Faulty):
    def scan(self, prefix):
        return super().scan(prefix.rstrip("%_*"))


class Repeats(Faulty):
    def scan(self, prefix):
        return itertools.chain(super().scan(prefix), super().scan(prefix))


class ShowsDeleted(Faulty):
    def __init__(self):
        super().__init__()
        self.gone = []

    def delete(self, key, *, expected):
        self.gone.append(key)
        return super().delete(key, expected=expected)

    def scan(self, prefix):
        gone = [(key, Entry(b"", 1)) for key in self.gone if key.startswith(prefix)]
        return itertools.chain(super().scan(prefix), gone)


class Ageless(Faulty):
    def read(self, key):
        held = super().read(key)
        return held and attrs.evolve(held, age=0.0)


class AgesFromTheFirstWrite(Faulty):
    def write(self, key, value, *, expected):
        held = self._held.get(key)
        written = super().write(key, value, expected=expected)
        if held and isinstance(written, Entry):
            self._held[key] = (value, written.version, held[2])
        return written


class Ancient(Faulty):
    def read(self, key):
        held = super().read(key)
        return held and attrs.evolve(held, age=math.inf)


class Async:
    """A store that must be awaited, over one that need not."""

    durability = Durability.NOTHING

    def __init__(self):
        self.held = MemoryStore()

    async def read(self, key):
        await anyio.lowlevel.checkpoint()
        return self.held.read(key)

    async def write(self, key, value, *, expected):
        await anyio.lowlevel.checkpoint()
        return self.held.write(key, value, expected=expected)

    async def scan(self, prefix):
        for item in self.held.scan(prefix):
            await anyio.lowlevel.checkpoint()
            yield item

    async def delete(self, key, *, expected):
        await anyio.lowlevel.checkpoint()
        return self.held.delete(key, expected=expected)


class ReadsThenWrites(Async):
    """Looks, and lets others come in before it writes."""

    async def write(self, key, value, *, expected):
        there = await self.read(key)
        await anyio.lowlevel.checkpoint()
        if expected != (there.version if there else 0):
            return Conflict(there)
        now = self.held.read(key)
        return self.held.write(key, value, expected=now.version if now else 0)

    async def delete(self, key, *, expected):
        there = await self.read(key)
        await anyio.lowlevel.checkpoint()
        now = self.held.read(key)
        return there is not None and now is not None and there.version == expected


class MixesAnswersUp(Async):
    """One wire for all calls: who is cut off leaves an answer behind for the next."""

    def __init__(self):
        super().__init__()
        self.answers = []

    async def read(self, key):
        self.answers.append(self.held.read(key))
        await anyio.lowlevel.checkpoint()
        return self.answers.pop(0)

    async def write(self, key, value, *, expected):
        self.answers.append(self.held.write(key, value, expected=expected))
        await anyio.lowlevel.checkpoint()
        return self.answers.pop(0)


MISTAKES = [
    (Durable, "test_it_states_its_durability"),
    (Undecided, "test_it_states_its_durability"),
    (AbsentIsEmpty, "test_an_absent_key"),
    (Overwrites, "test_a_refused_write"),
    (CreatesOverExisting, "test_a_refused_write"),
    (TellsNothing, "test_a_refused_write"),
    (RevivesDeleted, "test_delete"),
    (StartsVersionsAnew, "test_versions_never_repeat"),
    (SameVersion, "test_create_and_replace"),
    (DeletesAnything, "test_delete"),
    (ForgetsToDelete, "test_delete"),
    (Text, "test_values_are_any_bytes"),
    (Views, "test_values_are_any_bytes"),
    (Folds, "test_keys_are_any_text"),
    (Cuts, "test_keys_are_any_text"),
    (Patterns, "test_scan_finds_the_prefix_and_nothing_else"),
    (Repeats, "test_scan_finds_the_prefix_and_nothing_else"),
    (ShowsDeleted, "test_scan_lets_others_work"),
    (Ageless, "test_age_is_the_time_since_the_last_write"),
    (AgesFromTheFirstWrite, "test_age_is_the_time_since_the_last_write"),
    (Ancient, "test_age_is_the_time_since_the_last_write"),
]
ASYNC_MISTAKES = [
    (ReadsThenWrites, "test_a_race_has_one_winner"),
    (ReadsThenWrites, "test_a_race_to_delete"),
    (ReadsThenWrites, "test_no_update_is_lost"),
    (MixesAnswersUp, "test_a_call_that_is_cut_off"),
]


class TestAsyncStore(StoreContract):
    async def make_store(self):
        return Async()


@pytest.mark.parametrize(("mistake", "case"), MISTAKES)
def test_a_mistake_fails_its_case(mistake, case):
    """A store with one mistake fails the case that is about it; without it, it passes."""

    class OfTheFaulty(StoreContract):
        def make_store(self):
            return mistake()

    class OfTheSound(StoreContract):
        def make_store(self):
            return Faulty()

    with pytest.raises(AssertionError):
        getattr(OfTheFaulty(), case)()

    getattr(OfTheSound(), case)()


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize(("mistake", "case"), ASYNC_MISTAKES)
def test_a_mistake_between_tasks_fails_its_case(mistake, case, backend):
    """A store that is not atomic between awaits fails on each event loop."""

    class OfTheFaulty(StoreContract):
        backends = (backend,)

        async def make_store(self):
            return mistake()

    with pytest.raises((AssertionError, BaseExceptionGroup)):
        getattr(OfTheFaulty(), case)()


def test_handles_that_do_not_share_fail():
    """A second handle that does not see the first one's writes fails."""

    class Apart(StoreContract):
        def make_store(self):
            return MemoryStore()

        def another_handle(self, store):
            return MemoryStore()

    with pytest.raises(AssertionError, match="must be there"):
        Apart().test_two_handles_see_each_other()


def test_an_async_store_from_a_plain_make_store_is_named():
    """A subclass that forgot `async` is told so."""

    class Forgot(StoreContract):
        def make_store(self):
            return Async()

    with pytest.raises(AssertionError, match="make_store must be a coroutine function"):
        Forgot().test_an_absent_key()


def test_a_store_that_mixes_plain_and_async_verbs_is_named():
    """A synchronous store with one verb that must be awaited is told so."""

    class Mixed(MemoryStore):
        __slots__ = ()

        async def write(self, key, value, *, expected):
            await asyncio.sleep(0)

    class OfTheMixed(StoreContract):
        def make_store(self):
            return Mixed()

    with pytest.raises(AssertionError, match="must be awaited"):
        OfTheMixed().test_create_and_replace()


def test_a_store_that_raises_in_a_thread_fails():
    """What a store raises in one of the racing threads fails the case."""

    class Raising(MemoryStore):
        __slots__ = ()

        def write(self, key, value, *, expected):
            if threading.current_thread() is not threading.main_thread():
                raise StoreError("too many hands")
            return super().write(key, value, expected=expected)

    class OfTheRaising(StoreContract):
        def make_store(self):
            return Raising()

    with pytest.raises(StoreError, match="too many hands"):
        OfTheRaising().test_a_race_has_one_winner()


def test_a_contract_without_a_store_says_so():
    """A subclass without `make_store` is told what to define."""

    class Empty(StoreContract):
        pass

    with pytest.raises(NotImplementedError, match="Empty must define make_store"):
        Empty().prove()


def test_every_case_has_a_mistake_that_it_finds():
    """No case is there for show."""
    proven = {case for _, case in MISTAKES + ASYNC_MISTAKES}
    proven.add("test_two_handles_see_each_other")

    assert proven == {name for name in dir(StoreContract) if name.startswith("test_")}
