# SPDX-License-Identifier: MIT
"""One child process from start to end, for a task that waits for it.

The twin of ``_child_sync``, on asyncio and on trio.
"""

from __future__ import annotations

import functools
import signal
import subprocess
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager

import anyio
from anyio.abc import Process, TaskGroup

from haltable._process_group import SETTLE, check_statuses, is_alive, pauses, signal_group
from haltable.bodies._excerpt import Excerpt
from haltable.bodies._pipe import Pipe

__all__ = ["run"]


async def run(
    argv: Sequence[str],
    *,
    cwd: str | None,
    env: Mapping[str, str],
    grace: float,
    output: Excerpt,
) -> int:
    """Runs a child and returns its status; nothing of its group is left then.

    The arguments are those of the twin.  Cancelled, it ends the group first,
    shielded, within the grace.

    Raises:
        OSError: if it cannot be started.
        HaltableError: if its status could not be known.
    """
    check_statuses()
    with Pipe() as pipe:
        opening = functools.partial(
            anyio.open_process,
            argv,
            stdin=subprocess.DEVNULL,
            stdout=pipe.writer,
            stderr=pipe.writer,
            cwd=cwd,
            env=env,
            start_new_session=True,
        )
        born: list[Process] = []
        try:
            # In a task of its own: a cancellation that comes while the child is
            # being born would lose it before anybody knows its number.
            async with _tasks() as tasks:
                tasks.start_soon(_start, opening, born)
            pipe.close_writer()
            async with _tasks() as tasks:
                tasks.start_soon(_listen, pipe, output)
                status = await born[0].wait()
                tasks.cancel_scope.cancel()
            output.add(pipe.rest())
        finally:
            for process in born:
                with _shield():
                    await _end(process, grace)
    return status


async def _start(opening: Callable[[], Awaitable[Process]], born: list[Process]) -> None:
    with _shield():
        born.append(await opening())


async def _listen(pipe: Pipe, output: Excerpt) -> None:
    while not pipe.ended:
        await anyio.wait_readable(pipe.reader)
        output.add(pipe.read())


@asynccontextmanager
async def _tasks() -> AsyncGenerator[TaskGroup]:
    """A task group out of which exceptions come as they went in."""
    try:
        async with anyio.create_task_group() as tasks:
            yield tasks
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None


def _shield() -> AbstractContextManager[object]:
    return anyio.CancelScope(shield=True)


async def _end(process: Process, grace: float) -> None:
    """Ends what is left of the group: TERM, then KILL for what outlives the grace."""
    gone = False
    try:
        gone = await _gone_within(process, 0)
        if not gone:
            signal_group(process.pid, signal.SIGTERM)
            gone = await _gone_within(process, grace)
    finally:
        if not gone:
            signal_group(process.pid, signal.SIGKILL)
            await _gone_within(process, SETTLE)


async def _gone_within(process: Process, seconds: float) -> bool:
    for pause in pauses(seconds, anyio.current_time):
        if process.returncode is not None and not is_alive(process.pid):
            return True
        await anyio.sleep(pause)
    return process.returncode is not None and not is_alive(process.pid)
