# SPDX-License-Identifier: MIT
"""Real processes for tests: started quickly, waited for with a limit.

They are forked by a server that has imported this room, what loops load only
when it is needed, and nothing else of the test: none inherits a thread, a lock
or a connection, and none spends its short life importing.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import time
from collections.abc import Callable, Iterator
from multiprocessing.context import ForkServerProcess

__all__ = ["all_ended", "ended", "start"]

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    [
        "anyio._backends._asyncio",
        "anyio._backends._trio",
        "haltable._async_verbs",
        "haltable._drive_async",
        "haltable._effects_async",
        "pytest",
        "tests.faults.effect_judge",
        "tests.faults.effect_kills",
        "tests.faults.effect_workers",
        "tests.faults.lane",
        "tests.faults.point_lives",
        "tests.faults.points",
        "tests.faults.workers",
    ]
)
#: Seconds that any child gets; a hang fails here and not at the CI's limit.
LIMIT = 60.0


def start(work: Callable[..., object], *args: object) -> ForkServerProcess:
    """Starts a process that calls the function, which must be importable."""
    process = _CONTEXT.Process(target=work, args=args)
    process.start()
    return process


def ended(process: ForkServerProcess, within: float = LIMIT) -> int:
    """Waits for a process to end; returns its exit code, minus the signal's number if killed.

    Raises:
        TimeoutError: if it did not; it is killed then.
    """
    process.join(max(0.0, within))
    code = process.exitcode
    if code is None:
        process.kill()
        process.join()
    process.close()
    if code is None:
        raise TimeoutError(f"a child was still running after {within:g} s")
    return code


def all_ended(processes: list[ForkServerProcess], within: float = LIMIT) -> list[int]:
    """Waits for all of them; returns their exit codes."""
    limit = time.monotonic() + within
    with contextlib.ExitStack() as stack:
        for process in processes:
            stack.enter_context(_closing(process))
        return [ended(process, limit - time.monotonic()) for process in processes]


@contextlib.contextmanager
def _closing(process: ForkServerProcess) -> Iterator[None]:
    yield
    with contextlib.suppress(ValueError):  # It is closed already.
        process.kill()
        process.join()
        process.close()
