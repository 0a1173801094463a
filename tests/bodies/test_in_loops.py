# SPDX-License-Identifier: MIT
"""A command as the body of a loop, in every way in that takes a body."""

from __future__ import annotations

import functools

import anyio
import pytest

from haltable import ExitCondition, IterationCap, Loop, MemoryStore, Status
from haltable.bodies import Command, CommandFailed
from haltable.conditions import raised, returned
from tests.bodies.tether import Tether


def _run(loop, body):
    return loop.run(body)


def _arun(loop, body, backend):
    async def main():
        return await loop.arun(body)

    return anyio.run(main, backend=backend)


@pytest.fixture(
    params=[
        _run,
        functools.partial(_arun, backend="asyncio"),
        functools.partial(_arun, backend="trio"),
    ],
    ids=["run", "asyncio", "trio"],
)
def drive(request):
    """Runs a loop over a body to its report."""
    return request.param


def test_a_command_is_tried_until_it_works(drive, tmp_path):
    """Failures are counted, and the first success is the result."""
    script = 'echo "$HALTABLE_ITERATION" >>tries; test "$HALTABLE_ITERATION" = 3 && echo done'
    loop = Loop(IterationCap(5), ExitCondition(success=returned))
    report = drive(loop, Command(["sh", "-c", script], cwd=tmp_path))

    assert (report.status, report.starts, report.failures) == (Status.SUCCEEDED, 3, 2)
    assert report.unwrap().text == "done\n"
    assert (tmp_path / "tries").read_text() == "1\n2\n3\n"


def test_a_command_that_always_fails_is_given_up(drive):
    """The cap holds for children too, and the report says what the last one said."""
    loop = Loop(IterationCap(9), key="task-1", store=MemoryStore())
    report = drive(loop, Command(["sh", "-c", 'echo "no $HALTABLE_KEY"; exit 3']))

    assert (report.ok, report.starts) == (False, 3)
    assert isinstance(report.error, CommandFailed)
    assert "ended with status 3; it said last: no task-1" in " ".join(str(report).split())


def test_a_kind_of_failure_can_end_the_loop(drive):
    """A failed command is an exception that conditions know."""
    loop = Loop(IterationCap(9), ExitCondition(give_up=raised(CommandFailed)))
    report = drive(loop, Command(["./nothing"]))

    assert (report.status, report.starts) == (Status.GAVE_UP, 1)


def test_an_interrupted_loop_leaves_nothing(drive, tmp_path):
    """Ctrl-C goes through the loop, and the command's family is gone."""
    script = f"head -c 200000 /dev/zero; {Tether.TIE} sleep 1000 & kill -INT $HOST; sleep 1000"
    with Tether(tmp_path / "tether") as tether:
        with pytest.raises(KeyboardInterrupt):
            drive(Loop(IterationCap(9)), Command(["sh", "-c", script], env=tether.environment))

        assert tether.hear_all() == b"tied\n"
