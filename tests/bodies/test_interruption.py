# SPDX-License-Identifier: MIT
"""A command that is interrupted: nothing of its group is left, whatever it does about it."""

from __future__ import annotations

import asyncio
import ctypes
import subprocess
import threading

import anyio
import pytest
import trio

from haltable.bodies import Command
from haltable.bodies._kept import Kept
from haltable.testing import iteration
from tests.bodies.tether import Tether

#: A family of three that would run for ever, and begins with more than a pipe
#: holds: whatever comes after that, comes while its parent is listening.
FAMILY = "head -c 200000 /dev/zero; " + Tether.TIE + "sleep 1000 & (sleep 1000; true) & "
#: Seconds that no test waits for: whoever needs them has lost an exception.
AGES = 1000


def family(tether: Tether, script: str, *, grace: float) -> Command:
    """Returns a command whose whole family holds the tether."""
    return Command(["sh", "-c", FAMILY + script], env=tether.environment, grace=grace)


def test_an_interrupt_ends_the_group(run, tether):
    """Ctrl-C passes through, and the child's whole family is ended first."""
    command = family(tether, "kill -INT $HOST; wait", grace=AGES)
    with pytest.raises(KeyboardInterrupt):
        run(command)

    assert tether.hear_all() == b"tied\n"


def test_an_interrupted_child_may_say_goodbye(run, tether):
    """The child gets a TERM first, and the grace to act on it."""
    script = "trap 'echo goodbye >&9; exit' TERM; kill -INT $HOST; wait"
    with pytest.raises(KeyboardInterrupt):
        run(family(tether, script, grace=AGES))

    assert tether.hear_all() == b"tied\ngoodbye\n"


def test_a_child_that_talks_through_its_goodbye_is_not_stuck(run, tether):
    """Nobody reads any more, and still the goodbye can be ended by KILL."""
    script = "trap '' TERM; kill -INT $HOST; yes"
    with pytest.raises(KeyboardInterrupt):
        run(family(tether, script, grace=0.05))

    assert tether.hear_all() == b"tied\n"


@pytest.mark.parametrize("grace", [0, 0.05])
def test_a_stubborn_child_is_killed(run, tether, grace):
    """What ignores the TERM is killed when the grace is over."""
    script = "trap '' TERM; kill -INT $HOST; while :; do sleep 0.01; done"
    with pytest.raises(KeyboardInterrupt):
        run(family(tether, script, grace=grace))

    assert tether.hear_all() == b"tied\n"


def test_a_second_interrupt_cuts_the_grace_short(tether):
    """Whoever presses Ctrl-C again gets the KILL at once."""
    script = "trap 'kill -INT $HOST' TERM; kill -INT $HOST; while :; do sleep 0.01; done"
    with pytest.raises(KeyboardInterrupt):
        family(tether, script, grace=AGES)(iteration())

    assert tether.hear_all() == b"tied\n"


def test_a_second_interrupt_may_come_before_the_first_is_dealt_with(run, tether, monkeypatch):
    """Ctrl-C at the very moment at which the family is told to end gets the KILL, too."""
    let_go = Kept.let_go

    def pressed(kept):
        let_go(kept)
        raise KeyboardInterrupt

    monkeypatch.setattr(Kept, "let_go", pressed)
    with pytest.raises(KeyboardInterrupt):
        run(family(tether, "trap '' TERM; kill -INT $HOST; wait; wait", grace=AGES))

    assert tether.hear_all() == b"tied\n"


@pytest.mark.parametrize("script", ["wait", "exec >&- 2>&-; wait"])
def test_an_exception_from_another_thread_ends_the_group(tether, script):
    """A thread that waits for a silent child can be interrupted from outside."""
    raised: list[BaseException] = []

    def work() -> None:
        try:
            family(tether, script, grace=AGES)(iteration())
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    tether.hear()
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit)
    )
    thread.join()

    assert [type(error) for error in raised] == [SystemExit]
    assert tether.hear_all() == b""


def test_an_interrupt_at_its_birth_ends_the_group(tether, monkeypatch):
    """An exception that comes before the keeper's number is known does not lose the keeper.

    Nor is anybody waited for, who was ordered nothing yet.
    """

    class Interrupted(subprocess.Popen[bytes]):
        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            raise KeyboardInterrupt

        def __del__(self):
            """Nobody knows of it, so it has nothing to say."""

    monkeypatch.setattr(subprocess, "Popen", Interrupted)
    command = Command(["sh", "-c", Tether.TIE + "sleep 1000"], env=tether.environment, grace=AGES)
    with pytest.raises(KeyboardInterrupt):
        command(iteration())

    assert tether.hear_all() == b""


@pytest.mark.anyio
async def test_cancellation_ends_the_group(tether):
    """A cancelled task ends the whole family before it goes on."""
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(family(tether, "wait", grace=AGES).acall, iteration())
            await anyio.wait_readable(tether.descriptor)
            scope.cancel()

    assert scope.cancelled_caught
    assert tether.hear_all() == b"tied\n"


@pytest.mark.anyio
async def test_a_cancelled_child_may_say_goodbye(tether):
    """Cancellation leaves the child its grace: it comes as a TERM."""
    script = "trap 'echo goodbye >&9; exit' TERM; echo ready >&9; wait"
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(family(tether, script, grace=AGES).acall, iteration())
            heard = b""
            while b"ready" not in heard:
                await anyio.wait_readable(tether.descriptor)
                heard += tether.hear()
            scope.cancel()

    assert tether.hear_all() == b"goodbye\n"


@pytest.mark.anyio
async def test_a_stubborn_child_is_killed_within_the_grace(tether):
    """Cancellation takes no longer than the grace, whatever the child does."""
    script = "trap '' TERM; while :; do sleep 0.01; done"
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(family(tether, script, grace=0.05).acall, iteration())
            await anyio.wait_readable(tether.descriptor)
            scope.cancel()

    assert tether.hear_all() == b"tied\n"


@pytest.mark.anyio
async def test_a_child_is_not_lost_to_an_early_cancellation(tether):
    """Cancelled before it began or while the child starts, it leaves nothing behind."""
    with anyio.CancelScope() as scope:
        scope.cancel()
        await family(tether, "wait", grace=0).acall(iteration())

    assert scope.cancelled_caught
    assert tether.hear_all() in (b"", b"tied\n")


@pytest.mark.parametrize("native", [True, False])
def test_a_child_is_not_lost_to_a_cancellation_at_its_birth(tether, monkeypatch, native):
    """A cancellation that comes before the keeper's number is known does not lose the child."""
    command = Command(["sh", "-c", Tether.TIE + "sleep 1000 & wait"], env=tether.environment)

    async def main() -> bool:
        task, scope = asyncio.current_task(), anyio.CancelScope()

        class Cancelled(subprocess.Popen[bytes]):
            def __init__(self, *args, **options):
                super().__init__(*args, **options)
                (task if native else scope).cancel()

        monkeypatch.setattr(subprocess, "Popen", Cancelled)
        try:
            with scope:
                await command.acall(iteration())
        except asyncio.CancelledError:
            return native
        return scope.cancelled_caught

    assert asyncio.run(main())
    assert tether.hear_all() in (b"", b"tied\n")


def test_a_native_cancellation_of_asyncio_ends_the_group(tether):
    """A task that is cancelled once, and then again in the grace, ends the family."""
    script = "trap 'echo stubborn >&9' TERM; echo ready >&9; while :; do sleep 0.01; done"

    async def hear(word: bytes) -> None:
        heard = b""
        while word not in heard:
            await anyio.wait_readable(tether.descriptor)
            heard += tether.hear()

    async def main() -> bool:
        task = asyncio.create_task(family(tether, script, grace=AGES).acall(iteration()))
        await hear(b"ready")
        task.cancel()
        await hear(b"stubborn")
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    assert asyncio.run(main())
    assert tether.hear_all() == b""


def test_a_native_cancellation_of_trio_ends_the_group(tether):
    """A trio task that runs out of time ends the family."""

    async def main() -> bool:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(family(tether, "wait", grace=AGES).acall, iteration())
                await trio.lowlevel.wait_readable(tether.descriptor)
                scope.cancel()
        return scope.cancelled_caught

    assert trio.run(main)
    assert tether.hear_all() == b"tied\n"


@pytest.mark.anyio
async def test_the_event_loop_goes_on_while_the_child_runs(tether, tmp_path):
    """A child can be answered by another task of the same loop."""
    answer = tmp_path / "answer"
    script = f'mkfifo {answer}; echo asked >&9; read -r line <{answer}; echo "got $line"'
    results = []

    async def work() -> None:
        command = Command(["sh", "-c", Tether.TIE + script], env=tether.environment)
        results.append(await command.acall(iteration()))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(work)
        heard = b""
        while b"asked" not in heard:
            await anyio.wait_readable(tether.descriptor)
            heard += tether.hear()
        await anyio.Path(answer).write_text("an answer\n")

    assert results[0].text == "got an answer\n"
