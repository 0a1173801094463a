# SPDX-License-Identifier: MIT
"""A store under test, synchronous or not, behind one set of coroutine functions.

So `haltable.testing.StoreContract` is written once.  Over a synchronous store
these coroutines never wait, and are driven without any event loop; over an
asynchronous one they run on the loop that the suite has started.
"""

from __future__ import annotations

import inspect
import threading
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import anyio
import anyio.lowlevel

from haltable.store import AnyStore, Conflict, Entry

__all__ = ["Subject", "answer", "driven", "require"]

Answer = TypeVar("Answer")


def require(rule: str, *, that: bool) -> None:
    """Raises an AssertionError that names the broken rule, unless it holds.

    Args:
        rule: what must be true, as a sentence.
        that: whether it is.
    """
    if not that:
        raise AssertionError(rule)


async def answer(value: Answer | Awaitable[Answer]) -> Answer:
    """Returns the value, or what it stands for if it must be awaited."""
    if inspect.isawaitable(value):
        return await value
    return value


def driven(coroutine: Coroutine[Any, Any, Answer]) -> Answer:
    """Runs a coroutine that never waits, and returns its result."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: Answer = end.value
        return result
    coroutine.close()
    message = "a verb of a synchronous store returned something that must be awaited"
    raise AssertionError(message)


class Subject:
    """One store, and a part of its keys that nobody else uses.

    Args:
        store: the store under test.
    """

    def __init__(self, store: AnyStore) -> None:
        self.store = store
        self._space = f"haltable contract {uuid.uuid4().hex}/"

    def over(self, store: AnyStore) -> Subject:
        """Returns another subject with the same keys."""
        other = Subject(store)
        other._space = self._space
        return other

    def key(self, name: str = "") -> str:
        """Returns a key of this test's own; with no name it is the prefix of them all."""
        return self._space + name

    async def read(self, key: str) -> Entry | None:
        """Reads."""
        return await answer(self.store.read(key))

    async def write(self, key: str, value: bytes, expected: int) -> Entry | Conflict:
        """Writes."""
        return await answer(self.store.write(key, value, expected=expected))

    async def delete(self, key: str, expected: int) -> bool:
        """Deletes."""
        return await answer(self.store.delete(key, expected=expected))

    async def scan(self, prefix: str) -> AsyncIterator[tuple[str, Entry]]:
        """Scans."""
        found = self.store.scan(prefix)
        if isinstance(found, AsyncIterator):
            async for key, entry in found:
                yield key, entry
        else:
            for key, entry in found:
                yield key, entry

    async def glance(self, prefix: str) -> None:
        """Begins a scan, and leaves it after the first key."""
        found = self.store.scan(prefix)
        if isinstance(found, AsyncIterator):
            await anext(found)
            close = getattr(found, "aclose", None)
            if close is not None:
                await close()
        else:
            next(found)

    async def wrote(self, key: str, value: bytes, expected: int) -> Entry:
        """Writes, and requires that it is accepted."""
        written = await self.write(key, value, expected)
        if isinstance(written, Entry):
            return written
        message = f"a write that expected version {expected} of {key!r} must be accepted: {written}"
        raise AssertionError(message)

    async def refused(self, key: str, expected: int) -> Entry | None:
        """Writes, requires that it is refused, and returns what is there instead."""
        written = await self.write(key, b"must never be seen", expected)
        if isinstance(written, Conflict):
            return written.current
        message = f"a write that expected version {expected} of {key!r} must be refused: {written}"
        raise AssertionError(message)

    async def held(self, key: str) -> Entry:
        """Reads, and requires that something is there."""
        entry = await self.read(key)
        if entry is None:
            message = f"{key!r} was written and must be there"
            raise AssertionError(message)
        return entry

    async def together(
        self, count: int, contender: Callable[[int], Coroutine[Any, Any, None]]
    ) -> None:
        """Runs contenders at once: threads over a synchronous store, tasks over the other.

        Args:
            count: how many.
            contender: a coroutine function of the contender's number.
        """
        if self.is_async:
            async with anyio.create_task_group() as group:
                for number in range(count):
                    group.start_soon(contender, number)
        else:
            _threads(count, contender)

    async def cut_off(self, checkpoints: int, verb: Callable[[], Awaitable[object]]) -> None:
        """Calls a verb and cancels it a while after it began; a synchronous one runs to its end.

        Args:
            checkpoints: how many turns of the event loop it gets.
            verb: the call.
        """
        if not self.is_async:
            await verb()
            return

        async def call() -> None:
            await verb()

        async with anyio.create_task_group() as group:
            group.start_soon(call)
            for _ in range(checkpoints):
                await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()

    @property
    def is_async(self) -> bool:
        """Whether the verbs of the store must be awaited."""
        return inspect.iscoroutinefunction(self.store.read)


def _threads(count: int, contender: Callable[[int], Coroutine[Any, Any, None]]) -> None:
    start = threading.Barrier(count)
    errors: list[BaseException] = []

    def contend(number: int) -> None:
        try:
            start.wait()
            driven(contender(number))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=contend, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
