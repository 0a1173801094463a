# SPDX-License-Identifier: MIT
"""One child process from start to end, for a thread that waits for it.

The twin of ``_child_async``, line under line as far as their waits allow.  They
know processes and pipes, and no iteration.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from haltable._process_group import ProcessGroup
from haltable.bodies._excerpt import Excerpt
from haltable.bodies._pipe import Pipe

__all__ = ["run"]

#: Seconds between two looks whether a silent child is still there.
_TICK = 0.1


def run(
    argv: Sequence[str],
    *,
    cwd: str | None,
    env: Mapping[str, str],
    grace: float,
    output: Excerpt,
) -> int:
    """Runs a child and returns its status; nothing of its group is left then.

    Args:
        argv: the program and its arguments.
        cwd: the directory it runs in; None for ours.
        env: its whole environment.
        grace: seconds from TERM to KILL, for what has to be ended.
        output: hears what is printed.

    Raises:
        OSError: if it cannot be started.
        HaltableError: if its status could not be known.
    """
    with (
        Pipe() as pipe,
        ProcessGroup(argv, grace=grace, output=pipe.writer, cwd=cwd, env=env) as child,
    ):
        pipe.close_writer()
        # Either may come first: a child can close its output and live on, or
        # leave somebody behind who never closes it.
        while child.status is None and not pipe.ended:
            pipe.wait(_TICK)
            output.add(pipe.read())
        status = child.wait()
        output.add(pipe.rest())
    return status
