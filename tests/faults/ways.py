# SPDX-License-Identifier: MIT
"""Every way into a keyed loop, behind one signature, so that one test holds for all.

A way takes a loop and a plain body, goes on until the run ends, and returns the
report.  A step goes on until its key has ended or something went wrong.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import anyio

from haltable import Loop, LoopHalted, Report, Run

__all__ = ["ASYNC", "BARE", "NO_TIME", "ONE_RUN", "SYNC", "WAYS", "Body", "Way"]

#: Seconds that have passed before anybody could ask.
NO_TIME = 1e-6
Body = Callable[[], object]
Way = Callable[[Loop, Body], Report[Any]]


def by_run(loop: Loop, body: Body) -> Report[Any]:
    return loop.run(body)


def by_step(loop: Loop, body: Body) -> Report[Any]:
    while True:
        report = loop.step(body)
        if _is_over(report):
            return report


def by_for(loop: Loop, body: Body) -> Report[Any]:
    run = loop.start()
    with contextlib.suppress(LoopHalted):
        for iteration in run:
            with iteration:
                body()
    return run.report


def by_wrap(loop: Loop, body: Body) -> Report[Any]:
    run = loop.start()
    with contextlib.suppress(LoopHalted), run:
        tool = run.wrap(body)
        while True:
            with contextlib.suppress(ValueError):
                tool()
    return run.report


def by_tick(loop: Loop, body: Body) -> Report[Any]:
    run = loop.start()
    with contextlib.suppress(LoopHalted), run:
        while True:
            run.tick()
            with contextlib.suppress(ValueError):
                body()
    return run.report


async def by_arun(loop: Loop, body: Body) -> Report[Any]:
    async def work() -> object:
        await anyio.lowlevel.checkpoint()
        return body()

    return await loop.arun(work)


async def by_astep(loop: Loop, body: Body) -> Report[Any]:
    while True:
        report = await by_one_astep(loop, body)
        if _is_over(report):
            return report


async def by_async_for(loop: Loop, body: Body) -> Report[Any]:
    run = loop.start()
    with contextlib.suppress(LoopHalted):
        async with run:
            await _for_each(run, body)
    return run.report


async def by_bare_async_for(loop: Loop, body: Body) -> Report[Any]:
    run = loop.start()
    with contextlib.suppress(LoopHalted):
        await _for_each(run, body)
    return run.report


async def _for_each(run: Run, body: Body) -> None:
    async for iteration in run:
        with iteration:
            await anyio.lowlevel.checkpoint()
            body()


async def by_async_wrap(loop: Loop, body: Body) -> Report[Any]:
    async def work() -> object:
        await anyio.lowlevel.checkpoint()
        return body()

    run = loop.start()
    with contextlib.suppress(LoopHalted):
        async with run:
            tool = run.wrap(work)
            while True:
                with contextlib.suppress(ValueError):
                    await tool()
    return run.report


async def by_one_astep(loop: Loop, body: Body) -> Report[Any]:
    async def work() -> object:
        await anyio.lowlevel.checkpoint()
        return body()

    return await loop.astep(work)


def _is_over(report: Report[Any]) -> bool:
    # A wait that is over by now is no reason to stop.
    waits = (report.retry_after or 0) > NO_TIME
    return report.status.terminal or report.breaker != "run" or waits


def _on(backend: str, way: Callable[[Loop, Body], Any]) -> Way:
    def carried(loop: Loop, body: Body) -> Report[Any]:
        report: Report[Any] = anyio.run(way, loop, body, backend=backend)
        return report

    return carried


#: By name.
SYNC: dict[str, Way] = {
    "run": by_run,
    "step": by_step,
    "for": by_for,
    "wrap": by_wrap,
    "tick": by_tick,
}
#: What is async runs on an event loop of its own ...
ASYNC: dict[str, Way] = {
    f"{name} on {backend}": _on(backend, way)
    for backend in ("asyncio", "trio")
    for name, way in {
        "arun": by_arun,
        "astep": by_astep,
        "async for": by_async_for,
        "async wrap": by_async_wrap,
    }.items()
}
#: ... and this one is refused over an async store.
BARE: dict[str, Way] = {
    f"bare async for on {backend}": _on(backend, by_bare_async_for)
    for backend in ("asyncio", "trio")
}
WAYS = SYNC | ASYNC | BARE
#: The same, but for the steps, of which only one is made.
ONE_RUN = WAYS | {
    "step": Loop.step,
    "astep on asyncio": _on("asyncio", by_one_astep),
    "astep on trio": _on("trio", by_one_astep),
}
