# SPDX-License-Identifier: MIT
"""One child process from start to end, for a task that waits for it.

The twin of ``_child_sync``, on asyncio and on trio.
"""

from __future__ import annotations

import signal
import subprocess
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Any

import anyio
import anyio.abc

from haltable._process_group import SETTLE, is_alive, pauses, signal_group
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
    """
    with Pipe() as pipe:
        with _shielded():  # Cancelled half-way, an event loop might lose what it has started.
            process = await anyio.open_process(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=pipe.writer,
                stderr=pipe.writer,
                cwd=cwd,
                env=env,
                start_new_session=True,
            )
        try:
            pipe.close_writer()
            async with _beside(_listen, pipe, output):
                status = await process.wait()
            output.add(pipe.rest())
        finally:
            with _shielded():
                await _end(process, grace)
    return status


async def _listen(pipe: Pipe, output: Excerpt) -> None:
    while not pipe.ended:
        await anyio.wait_readable(pipe.reader)
        output.add(pipe.read())


@asynccontextmanager
async def _beside(
    work: Callable[[Pipe, Excerpt], Coroutine[Any, Any, None]], pipe: Pipe, output: Excerpt
) -> AsyncGenerator[None]:
    """Has the work done while the block lasts."""
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(work, pipe, output)
            yield
            tasks.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        # What interrupts the program shall leave as it came.
        raise group.exceptions[0] from None


def _shielded() -> AbstractContextManager[object]:
    return anyio.CancelScope(shield=True)


async def _end(process: anyio.abc.Process, grace: float) -> None:
    """Ends what is left of the group: TERM, then KILL for what outlives the grace."""
    if await _gone_within(process, 0):
        return
    gone = False
    try:
        signal_group(process.pid, signal.SIGTERM)
        gone = await _gone_within(process, grace)
    finally:
        if not gone:
            signal_group(process.pid, signal.SIGKILL)
            await _gone_within(process, SETTLE)


async def _gone_within(process: anyio.abc.Process, seconds: float) -> bool:
    for pause in pauses(seconds, anyio.current_time):
        if process.returncode is not None and not is_alive(process.pid):
            return True
        await anyio.sleep(pause)
    return process.returncode is not None and not is_alive(process.pid)
