# SPDX-License-Identifier: MIT
"""Every asynchronous way in under one signature: a policy and a body in, the end out.

Bodies are the plain ones of the synchronous ways, made awaitable here; each
hands the event loop on once, so that whatever can overlap does.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import anyio
import sniffio

from haltable import Loop, LoopHalted, Status
from tests.ways_in.policy import End, Policy, acarried, ended
from tests.ways_in.sync_ways import ROUNDS, Body

AsyncBody = Callable[[], Awaitable[Any]]
AsyncWay = Callable[[Policy, Body], Awaitable[End]]

ASYNC_WAYS: dict[str, AsyncWay] = {}


def way(function: AsyncWay) -> AsyncWay:
    """Enters a way into the table."""
    ASYNC_WAYS[function.__name__] = function
    return function


def awaited(body: Body) -> AsyncBody:
    """Returns the body as a coroutine function."""

    async def abody() -> Any:
        await anyio.lowlevel.checkpoint()
        return body()

    return abody


async def items() -> AsyncIterator[str]:
    """Yields items without end."""
    while True:
        await anyio.lowlevel.checkpoint()
        yield "item"


async def call_for_ever(tool: AsyncBody) -> None:
    """Does what an agent does: calls a tool whatever becomes of it."""
    for _ in range(ROUNDS):
        with contextlib.suppress(OSError):
            await tool()
    raise AssertionError("nothing stops it")


@way
async def arun(policy: Policy, body: Body) -> End:
    """`await loop.arun(body)`."""
    return ended(await policy.loop.arun(awaited(body)))


@way
async def start_arun(policy: Policy, body: Body) -> End:
    """`await loop.start().arun(body)`."""
    return ended(await policy.loop.start().arun(awaited(body)))


@way
async def astep(policy: Policy, body: Body) -> End:
    """`await loop.astep(body)`, again and again."""
    for _ in range(ROUNDS):
        report = await policy.loop.astep(awaited(body))
        if report.status is not Status.OPEN:
            return ended(report)
    raise AssertionError("nothing stops it")


async def iterate(iterable: Any, body: Body, *, blocks: bool) -> None:
    """Is the `async for` of a host."""
    async for iteration in iterable:
        with iteration if blocks else contextlib.nullcontext():
            await awaited(body)()


@way
async def async_for(policy: Policy, body: Body) -> End:
    """`async for iteration in loop`."""
    return await acarried(iterate(policy.loop, body, blocks=False))


@way
async def async_for_with(policy: Policy, body: Body) -> End:
    """`async for iteration in loop: with iteration`."""
    return await acarried(iterate(policy.loop, body, blocks=True))


@way
async def start_async_for(policy: Policy, body: Body) -> End:
    """`async for iteration in loop.start(): with iteration`."""
    run = policy.loop.start()
    await acarried(iterate(run, body, blocks=True))
    return ended(run.report)


@way
async def async_with_async_for(policy: Policy, body: Body) -> End:
    """`async with loop.start() as run: async for iteration in run: with iteration`."""

    async def go() -> None:
        async with policy.loop.start() as run:
            await iterate(run, body, blocks=True)

    return await acarried(go())


async def pass_over(loop: Loop, body: Body, *, blocks: bool) -> None:
    """Is the `async for` of a host around its own items."""
    source = items()
    try:
        async for iteration, item in loop.over(source):
            assert item == "item"
            with iteration if blocks else contextlib.nullcontext():
                await awaited(body)()
    finally:
        await source.aclose()


@way
async def async_over(policy: Policy, body: Body) -> End:
    """`async for iteration, item in loop.over(items)`."""
    return await acarried(pass_over(policy.loop, body, blocks=False))


@way
async def async_over_with(policy: Policy, body: Body) -> End:
    """`async for iteration, item in loop.over(items): with iteration`."""
    return await acarried(pass_over(policy.loop, body, blocks=True))


@way
async def atick(policy: Policy, body: Body) -> End:
    """`async with loop.start() as run`, and `await run.atick()` in somebody else's loop."""

    async def go() -> None:
        async with policy.loop.start() as run:
            for _ in range(ROUNDS):
                await run.atick()
                await awaited(body)()
        if not run.report.ok:
            raise AssertionError("nothing stops it")

    return await acarried(go())


@way
async def wrap_async(policy: Policy, body: Body) -> End:
    """`run.wrap(tool)` of a coroutine function, within a block."""
    run = policy.loop.start()
    with contextlib.suppress(LoopHalted):
        async with run:
            await call_for_ever(run.wrap(awaited(body)))
    return ended(run.report)


@way
async def wrap_in_tasks(policy: Policy, body: Body) -> End:
    """`run.wrap(tool)`, two tools called by four tasks at once, `asyncio.gather` where it is."""
    run = policy.loop.start()
    halts: list[LoopHalted] = []

    async def go(tool: AsyncBody) -> None:
        try:
            await call_for_ever(tool)
        except LoopHalted as halted:
            halts.append(halted)

    tools = [run.wrap(awaited(body)), run.wrap(awaited(body))] * 2
    if sniffio.current_async_library() == "asyncio":
        await asyncio.gather(*(go(tool) for tool in tools))
    else:
        async with anyio.create_task_group() as group:
            for tool in tools:
                group.start_soon(go, tool)
    assert len(halts) == len(tools)
    return ended(run.report)


@way
async def coroutine_function(policy: Policy, body: Body) -> End:
    """A coroutine function under `@bounded_loop`, awaited."""

    @policy.decorate
    async def work() -> Any:
        return await awaited(body)()

    return await acarried(work())


@way
async def coroutine_method(policy: Policy, body: Body) -> End:
    """A coroutine method under `@bounded_loop`, asked for its report."""

    class Worker:
        @policy.decorate
        async def work(self) -> Any:
            return await awaited(body)()

    return ended(await Worker().work.report())


@way
async def async_class_method(policy: Policy, body: Body) -> End:
    """A coroutine function that is a class method."""

    class Worker:
        @classmethod
        @policy.decorate
        async def work(cls) -> Any:
            return await awaited(body)()

    return await acarried(Worker.work())


@way
async def async_static_method(policy: Policy, body: Body) -> End:
    """A coroutine function that is a static method."""

    class Worker:
        @policy.decorate
        @staticmethod
        async def work() -> Any:
            return await awaited(body)()

    return ended(await Worker.work.report())


@way
async def async_generator(policy: Policy, body: Body) -> End:
    """An async generator under `@bounded_loop`."""

    @policy.decorate
    async def work() -> Any:
        while True:
            yield await awaited(body)()

    async def go() -> Any:
        return [value async for value in work()][-1]

    return await acarried(go())
