# SPDX-License-Identifier: MIT
"""One child with its keeper from start to end: the twin of ``_child_sync``.

Line under line the same as the sync twin, ``await`` aside; a test holds the
two against each other.  They know processes, and no iteration.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from haltable._process_group import SETTLE
from haltable.bodies import _waits_async as waits
from haltable.bodies._ear import Ear
from haltable.bodies._keepers import ALONE, Keepers
from haltable.bodies._kept import Kept
from haltable.bodies._task import Task

__all__ = ["keeping", "run"]

#: Seconds that a keeper gets beyond the grace, to be scheduled and to look around.
_MARGIN = 2.0


async def run(task: Task, ear: Ear, keepers: Keepers = ALONE) -> int:
    """Runs a child and returns its status; nothing of its family is left then.

    Interrupted, it ends the family first, within the grace.

    Args:
        task: what is run.
        ear: hears what is printed.
        keepers: who lends the child a keeper; by default it has one of its own.

    Raises:
        Refused: if it cannot be started.
        HaltableError: if its status cannot be known.
    """
    async with keeping(task, ear, keepers) as kept:
        while kept.status is None and not kept.gone:
            await waits.ready(kept.readers)
            ear.hear(*kept.read())
    ear.rest()
    return kept.result()


@asynccontextmanager
async def keeping(task: Task, ear: Ear, keepers: Keepers = ALONE) -> AsyncGenerator[Kept]:
    """Starts a child for a block; after the block, nothing of its family is left.

    Args:
        task: what is run.
        ear: hears what is printed.
        keepers: who lends the child a keeper; by default it has one of its own.
    """
    kept = Kept(task, keepers)
    try:
        kept.start()
        yield kept
    finally:
        with waits.sheltered():
            await _end(kept, ear)


async def _end(kept: Kept, ear: Ear) -> None:
    try:
        # A second Ctrl-C may come as soon as the family is told.
        kept.let_go()
        await _settle(kept, ear, kept.task.grace + SETTLE + _MARGIN)
    finally:
        # An exception that cuts the grace short goes on after the KILL.
        try:
            kept.hurry()
            await _settle(kept, ear, SETTLE + _MARGIN)
        finally:
            kept.close()


async def _settle(kept: Kept, ear: Ear, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not kept.gone and (left := deadline - time.monotonic()) > 0:
        await waits.ready(kept.readers, left)
        ear.hear(*kept.read())
