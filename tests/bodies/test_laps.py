# SPDX-License-Identifier: MIT
"""A command lap after lap: one keeper carries them all, and each ends whole before the next."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import anyio
import pytest

from haltable import ExitCondition, IdempotencyGuard, IterationCap, Loop, MemoryStore
from haltable.bodies import Body, Command, _keeper_process
from haltable.bodies._holders import signal_holders
from haltable.bodies._pipe import Pipe
from haltable.conditions import returned
from haltable.testing import iteration
from tests.bodies.tether import Tether

LAPS = 4


def _run(loop, body):
    return loop.run(body)


def _on_asyncio(loop, body):
    return anyio.run(loop.arun, body, backend="asyncio")


def _on_trio(loop, body):
    return anyio.run(loop.arun, body, backend="trio")


@pytest.fixture(params=[_run, _on_asyncio, _on_trio])
def drive(request):
    """Runs a loop over a body to its report."""
    return request.param


def laps(drive, script, *, between=lambda completed: None, count=LAPS, **options):
    """Runs a script so many times; returns what each lap said.

    Args:
        drive: how.
        script: for a shell.
        between: is called after each lap with what it said.
        count: how many laps.
        options: of the command.
    """
    said = []

    def after(completed):
        said.append(completed.text.strip())
        between(completed)
        return False

    loop = Loop(IterationCap(count, max_consecutive_failures=None), ExitCondition(success=after))
    report = drive(loop, Command(["sh", "-c", script], **options))

    assert (report.starts, report.failures) == (count, 0), report
    return said


def gone(pid):
    """Waits for the end of a process that is no child of ours."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    poller.poll()
    os.close(descriptor)


def test_one_keeper_carries_all_laps(drive):
    """Every lap is the child of one and the same interpreter, which ends with the run."""
    parents = laps(drive, "echo $PPID $HALTABLE_ITERATION")

    assert [each.split()[1] for each in parents] == ["1", "2", "3", "4"]
    assert len({each.split()[0] for each in parents}) == 1
    assert not Path("/proc", parents[0].split()[0]).exists()


def test_each_lap_ends_whole_before_the_next(drive, tmp_path):
    """Whoever left the session and ignores TERM is gone when the next lap begins."""
    script = (
        "test -e pid && kill -0 $(cat pid) 2>/dev/null && echo alive; rm -f pid; "
        "setsid sh -c 'trap \"\" TERM; echo $$ >new; mv new pid; exec sleep 1000' & "
        "while ! test -s pid; do sleep 0.01; done; cat pid"
    )
    pids = laps(drive, script, cwd=tmp_path, grace=0.02)

    assert all(pid.isdecimal() for pid in pids)
    assert len({*pids}) == LAPS
    assert not Path("/proc", pids[-1]).exists()


def test_what_a_lap_leaves_gets_its_grace(drive, tmp_path):
    """In every lap, what is left running may act on the TERM before the lap is over."""
    script = (
        'sh -c \'trap "echo bye >>byes; exit" TERM; echo on >ready; '
        "while :; do sleep 0.01; done' 2>/dev/null & "
        "while ! test -s ready; do sleep 0.01; done; rm ready; cat byes 2>/dev/null | wc -l"
    )
    heard = laps(drive, script, cwd=tmp_path, grace=1000)

    assert heard == ["0", "1", "2", "3"]


@pytest.mark.parametrize("waiting", [True, False])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_a_keeper_that_is_ended_between_laps_is_replaced(drive, tmp_path, number, waiting):
    """Whoever ends the keeper between two laps costs nothing: every lap runs, and runs once."""

    def between(completed):
        os.kill(int(completed.text), number)
        if waiting:
            gone(int(completed.text))

    parents = laps(drive, "echo $PPID; echo >>ran", between=between, cwd=tmp_path)

    assert len({*parents}) == (LAPS if waiting else len({*parents}))
    assert (tmp_path / "ran").read_text() == "\n" * LAPS


def test_an_order_that_is_lost_with_its_keeper_is_given_to_another(drive, tmp_path, monkeypatch):
    """A keeper that is killed after it got an order, and before it began, costs no start."""
    order = _keeper_process.KeeperProcess.order
    parents = []

    def lost(keeper, task, streams):
        second = keeper.orders == 1
        if second:
            os.kill(parents[-1], signal.SIGSTOP)
        order(keeper, task, streams)
        if second:
            os.kill(parents[-1], signal.SIGKILL)

    monkeypatch.setattr(_keeper_process.KeeperProcess, "order", lost)
    script = "echo $PPID; echo >>ran"
    laps(
        drive, script, between=lambda said: parents.append(int(said.text)), cwd=tmp_path, count=LAPS
    )

    assert len({*parents}) == LAPS
    assert (tmp_path / "ran").read_text() == "\n" * LAPS


def test_a_keeper_that_is_killed_in_mid_lap_is_replaced(drive, tether):
    """The lap has failed, its group is ended, and the next lap has a keeper of its own."""
    script = Tether.TIE + 'test "$HALTABLE_ITERATION" = 2 || { kill -KILL $PPID; sleep 1000; }'
    loop = Loop(IterationCap(3), ExitCondition(success=returned))
    report = drive(loop, Command(["sh", "-c", script], env=tether.environment))

    assert (report.ok, report.starts, report.failures) == (True, 2, 1)
    assert tether.hear_all() == b"tied\ntied\n"


def test_a_keeper_that_dies_with_its_first_order_is_not_tried_for_ever(monkeypatch):
    """An interpreter that cannot be a keeper is a failure, not a loop in a lap."""
    broken = ("-I", "-S", "-c", "raise SystemExit(1)")
    monkeypatch.setattr(_keeper_process, "LAUNCH", broken)
    report = Loop(IterationCap(2)).run(Command(["true"]))

    assert (report.starts, report.failures) == (2, 2)
    assert "process that keeps it is gone" in str(report.error)


@pytest.fixture
def nothing_ignored():
    """No signal is ignored, as whoever began the tests may have it: by `nohup`, or in a shell."""
    before = {number: signal.getsignal(number) for number in (signal.SIGHUP, signal.SIGQUIT)}
    for number, handler in before.items():
        if handler is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_program_whose_number_nobody_knows_is_found(tether, monkeypatch, nothing_ignored):
    """A program that kills its keeper at once is found by the pipe it holds."""
    begun = _keeper_process.KeeperProcess.begun
    monkeypatch.setattr(
        _keeper_process.KeeperProcess, "begun", lambda keeper: (begun(keeper)[0], 0)
    )
    script = Tether.TIE + "sleep 1000 & kill -KILL $PPID; wait"
    report = Loop(IterationCap(1)).run(Command(["sh", "-c", script], env=tether.environment))

    assert report.failures == 1
    assert tether.hear_all() == b"tied\n"


def test_only_who_leads_a_session_and_writes_is_found():
    """Somebody who reads the same pipe, or has it from us, is not hit."""
    with Pipe() as pipe:
        waiting = ["sleep", "1000"]
        reading = subprocess.Popen(waiting, pass_fds=[pipe.reader], start_new_session=True)
        member = subprocess.Popen(waiting, pass_fds=[pipe.writer], process_group=0)
        leader = subprocess.Popen(waiting, pass_fds=[pipe.writer], start_new_session=True)
        signal_holders(pipe.reader, signal.SIGKILL)
        status = leader.wait()
        others = [reading.poll(), member.poll()]
        for each in (reading, member):
            each.kill()
            each.wait()

    assert (status, others) == (-signal.SIGKILL, [None, None])


HOST = """
import os, sys, json, time
from haltable import ExitCondition, IdempotencyGuard, IterationCap, Loop
from haltable.bodies import Command
said = []
def between(completed):
    said.append(completed.text.strip())
    {between}
    return False
loop = Loop(IterationCap(3), ExitCondition(success=between), delay={delay})
loop.run(Command(["sh", "-c", "echo $PPID"]))
print(json.dumps(said), flush=True)
"""
#: A copy of the host that lives on, and holds whatever the host held.
COPIED = "os.fork() or (os.write(1, b'%d\\n' % os.getpid()), time.sleep(1000))"


def host(between, delay=0):
    """Starts a process that runs three laps."""
    code = HOST.format(between=between, delay=delay)
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)


@pytest.mark.parametrize("copied", [False, True])
def test_an_idle_keeper_does_not_outlive_us(copied):
    """A host that is killed between two laps takes the keeper along, copies of it or not."""
    between = "os.write(1, completed.output)"
    copy = None
    with host(f"{between}; {COPIED}" if copied else between, delay=1000) as process:
        keeper = int(process.stdout.readline())
        if copied:
            copy = int(process.stdout.readline())
        process.kill()
        process.wait()
        gone(keeper)
        if copy is not None:
            os.kill(copy, signal.SIGKILL)

    assert process.returncode == -signal.SIGKILL


def test_a_copy_of_the_host_has_a_keeper_of_its_own():
    """A host that forks between laps goes on with its keeper, and so does the copy with another."""
    between = "pid = os.fork() if len(said) == 1 else 1; copy = globals().setdefault('copy', pid)"
    code = HOST.format(between=between, delay=0) + "if copy: os.waitpid(copy, 0)\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    first, second = sorted(map(json.loads, done.stdout.splitlines()), key=lambda said: len({*said}))

    assert len({*first}) == 1
    assert second == [first[0], second[1], second[1]]
    assert second[1] != first[0]


def test_a_lap_sees_where_the_host_is_and_what_it_has_set(drive, tmp_path, monkeypatch):
    """Directory and environment are those of the moment, not those of the first lap."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAP", "first")

    def between(completed):
        (tmp_path / "in").mkdir(exist_ok=True)
        os.chdir(tmp_path / "in")
        os.environ["LAP"] = "later"

    said = laps(drive, "echo $LAP $(pwd)", between=between, count=3)

    assert said == [f"first {tmp_path}", *[f"later {tmp_path}/in"] * 2]


@pytest.mark.parametrize("hangup", [signal.SIG_DFL, signal.SIG_IGN], ids=["plain", "nohup"])
def test_a_keeper_keeps_no_directory(tmp_path, hangup):
    """Between two laps the keeper stands in no directory that somebody may want to unmount."""
    found = []

    def between(completed):
        found.append(Path("/proc", completed.text.strip(), "cwd").readlink())

    before = signal.signal(signal.SIGHUP, hangup)
    laps(_run, "echo $PPID", between=between, cwd=tmp_path)
    signal.signal(signal.SIGHUP, before)

    assert found == [Path("/")] * LAPS


def test_nothing_accumulates(drive):
    """Neither we nor the keeper hold more after two hundred laps than after twenty."""
    ours = []
    script = (
        'echo $(ls /proc/$PPID/fd | wc -l) $(sed -n "s/^VmRSS:[^0-9]*\\([0-9]*\\).*/\\1/p" '
        "/proc/$PPID/status)"
    )

    def between(completed):
        ours.append(sum(1 for _ in Path("/proc/self/fd").iterdir()))

    said = [
        tuple(map(int, each.split())) for each in laps(drive, script, between=between, count=200)
    ]

    assert len({*ours[1:]}) == 1
    # It may be seen in the moment before it has closed what came with the order.
    assert max(descriptors for descriptors, _ in said) <= min(said)[0] + 4
    assert said[-1][1] <= said[20][1] * 1.05


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_cancelled_run_leaves_the_next_run_alone(tether, backend):
    """A run that is cancelled in mid-lap ends with its keeper; another run starts afresh."""
    command = Command(
        ["sh", "-c", Tether.TIE + 'test "$HALTABLE_KEY" = quick || sleep 1000; echo $PPID'],
        env=tether.environment,
        grace=0.1,
    )

    async def main():
        store = MemoryStore()
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(Loop(IterationCap(2), key="slow", store=store).arun, command)
                await anyio.wait_readable(tether.descriptor)
                scope.cancel()
        loop = Loop(IterationCap(2), ExitCondition(success=returned), key="quick", store=store)
        return scope.cancelled_caught, await loop.arun(command)

    cancelled, report = anyio.run(main, backend=backend)

    assert cancelled
    assert report.ok
    assert tether.hear_all() == b"tied\ntied\n"


def test_two_threads_may_use_one_runs_command():
    """A command of a run that is called twice at once has two keepers, for as long as it takes."""
    command = Command(["sh", "-c", "echo $PPID; sleep 0.2"]).kept_from(())
    said = []
    threads = [
        threading.Thread(target=lambda: said.append(command(iteration()).text)) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    again = command(iteration()).text
    command.close()

    assert len({*said}) == 2
    assert again in said


def test_a_run_that_starts_nothing_starts_no_keeper(monkeypatch):
    """What is already done costs no process."""

    def refused(*args, **options):
        raise AssertionError

    monkeypatch.setattr(subprocess, "Popen", refused)
    loop = Loop(IterationCap(2), ExitCondition(success=lambda: True))

    assert not loop.run(Command(["true"])).ran


def test_a_stopped_idle_keeper_does_not_hold_the_run_up(monkeypatch):
    """A keeper that somebody has stopped does not answer at the end of a run, and is killed."""
    monkeypatch.setattr(_keeper_process, "_PARTING", 50)
    command = Command(["sh", "-c", "echo $PPID"]).kept_from(())
    keeper = int(command(iteration()).text)
    os.kill(keeper, signal.SIGSTOP)
    started = time.monotonic()
    command.close()

    assert time.monotonic() - started < 2
    assert not Path("/proc", str(keeper)).exists()


class _Closing(Body):
    """A body that notes when it is closed, and may be interrupted."""

    def __init__(self, raises=None):
        self.raises = raises
        self.noted = []

    def __call__(self, iteration):
        self.noted.append("call")
        if self.raises is not None:
            raise self.raises

    async def acall(self, iteration):
        self(iteration)

    def close(self):
        self.noted.append("close")


def _step(loop, body):
    return loop.step(body)


def _astep(loop, body):
    return anyio.run(loop.astep, body)


@pytest.mark.parametrize("error", [None, KeyboardInterrupt, ValueError])
@pytest.mark.parametrize("way", [_run, _on_asyncio, _on_trio, _step, _astep])
def test_a_body_is_closed_once_after_its_run(way, error):
    """Whatever ends a run, its body is told so, once, after the last iteration."""
    body = _Closing(error and error())
    loop = Loop(IterationCap(1), ExitCondition(success=returned), key="k", store=MemoryStore())
    try:
        way(loop, body)
    except KeyboardInterrupt:
        body.noted.append("interrupted")

    interrupted = ["interrupted"] if error is KeyboardInterrupt else []
    assert body.noted == ["call", "close", *interrupted]


def test_the_body_of_an_effect_is_closed_too():
    """A guard around whole bodies hides none of them from the end of the run."""
    body = _Closing()
    Loop(
        IterationCap(1),
        IdempotencyGuard(key=lambda iteration: "once"),
        key="k",
        store=MemoryStore(),
    ).run(body)

    assert body.noted == ["call", "close"]
