# SPDX-License-Identifier: MIT
"""Groups of real processes: who is alive, who may be signalled, how long a look waits."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from haltable import _process_group
from haltable._process_group import ProcessGroup, is_alive, pauses, signal_group
from tests.bodies.tether import Tether


def test_a_group_is_alive_while_it_has_a_member():
    """The child itself counts, and once it is reaped nobody is left."""
    with ProcessGroup(["sleep", "1000"], grace=0) as child:
        group = child._process.pid
        alive = is_alive(group)

    assert alive
    assert not is_alive(group)
    assert not signal_group(group, 0)


def test_a_dead_member_does_not_count():
    """One that has died and is not reaped yet, whoever should do it, is as good as gone."""
    child = subprocess.Popen(["/bin/true"], start_new_session=True)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    seen, alive = signal_group(child.pid, 0), is_alive(child.pid)
    child.wait()

    assert seen
    assert not alive


def test_where_nobody_can_tell_a_member_counts(monkeypatch, tmp_path):
    """Without /proc, whoever can be signalled is taken for alive."""
    monkeypatch.setattr(_process_group, "_PROC", tmp_path)
    with ProcessGroup(["sleep", "1000"], grace=0) as child:
        alive = is_alive(child._process.pid)
        child._process.kill()
        os.waitid(os.P_PID, child._process.pid, os.WEXITED | os.WNOWAIT)

        assert is_alive(child._process.pid)

    assert alive


def test_processes_that_vanish_while_being_looked_at_are_dead(monkeypatch, tmp_path):
    """A process that is gone between listing and reading does not count."""
    (tmp_path / "self").mkdir()
    (tmp_path / "123").mkdir()
    monkeypatch.setattr(_process_group, "_PROC", tmp_path)
    with ProcessGroup(["sleep", "1000"], grace=0) as child:
        assert not is_alive(child._process.pid)
        child._process.kill()


def test_strange_names_do_not_confuse(tmp_path):
    """A process may call itself what it likes, brackets included."""
    program = tmp_path / ") Z 1 1 ("
    program.symlink_to("/bin/sleep")
    with ProcessGroup([str(program), "1000"], grace=0) as child:
        alive = is_alive(child._process.pid)

    assert alive


def test_a_wait_may_be_too_short():
    """Waiting so long at most says None while the child runs."""
    with ProcessGroup(["sleep", "1000"], grace=0) as child:
        assert child.wait(0) is None
        assert child.wait(0.01) is None


def test_a_wait_ends_with_the_child():
    """Waiting returns the child's status, and again when asked again."""
    with ProcessGroup(["sh", "-c", "exit 7"], grace=0) as child:
        assert child.wait() == 7
        assert child.wait(0) == 7


def test_what_prints_into_nowhere_is_silent(capfd):
    """Output is thrown away unless it is asked for."""
    with ProcessGroup(["sh", "-c", "echo out; echo err >&2"], grace=0) as child:
        child.wait()

    assert capfd.readouterr() == ("", "")


def test_a_child_that_will_not_start_leaves_nothing():
    """A program that is not there is an OSError, and no child."""
    with pytest.raises(FileNotFoundError), ProcessGroup(["./nothing"], grace=0):
        raise AssertionError("it cannot have started")


def test_a_child_is_not_lost_to_an_interrupt_at_its_birth(tmp_path, monkeypatch):
    """An exception that comes before the child's number is known ends the child."""
    with Tether(tmp_path / "tether") as tether:

        class Interrupted(subprocess.Popen[bytes]):
            def __init__(self, *args, **options):
                super().__init__(*args, **options)
                tether.hear()
                raise KeyboardInterrupt

            def __del__(self):
                """Nobody knows of it, so it has nothing to say."""

        monkeypatch.setattr(subprocess, "Popen", Interrupted)
        group = ProcessGroup(
            ["sh", "-c", Tether.TIE + "sleep 1000"], grace=0, env=tether.environment
        )
        with pytest.raises(KeyboardInterrupt), group:
            raise AssertionError("it cannot have started")

        assert tether.hear_all() == b""


def test_where_nobody_tells_there_are_no_children(monkeypatch, tmp_path):
    """Without /proc, nobody is taken for a child."""
    monkeypatch.setattr(_process_group, "_PROC", tmp_path)

    assert _process_group.children() == set()


def test_a_group_that_left_nothing_gets_no_signal(monkeypatch):
    """After an ordinary end nobody is signalled: the number may be another's by then."""
    sent = []
    killpg = os.killpg
    monkeypatch.setattr(
        os, "killpg", lambda pid, number: (sent.append(number), killpg(pid, number))
    )
    with ProcessGroup(["true"], grace=1) as child:
        child.wait()

    assert set(sent) <= {0}


def test_the_grace_is_no_longer_than_it_must_be(tmp_path):
    """What goes at once upon a TERM is not waited for until the grace is over."""
    with Tether(tmp_path / "tether") as tether:
        with ProcessGroup(
            ["sh", "-c", Tether.TIE + "exec sleep 1000"], grace=1000, env=tether.environment
        ):
            tether.hear()

        assert tether.hear_all() == b""


def test_pauses_grow_and_fill_the_time():
    """Looks come quickly at first and seldom later, and end with the seconds."""
    now = [100.0]
    taken = []
    for pause in pauses(1.0, lambda: now[0]):
        taken.append(pause)
        now[0] += pause

    assert sum(taken) == pytest.approx(1.0)
    assert taken[:3] == [0.001, 0.002, 0.004]
    assert max(taken) == 0.05
    assert list(pauses(0, lambda: 0.0)) == []


def test_signals_reach_the_whole_group(tmp_path):
    """A signal for the group reaches the child and what it started."""
    with Tether(tmp_path / "tether") as tether:
        script = Tether.TIE + "sleep 1000 & sleep 1000"
        with ProcessGroup(["sh", "-c", script], grace=0, env=tether.environment) as child:
            tether.hear()
            signalled = signal_group(child._process.pid, signal.SIGKILL)
            status = child.wait()
            heard = tether.hear_all()

    assert (signalled, status, heard) == (True, -9, b"")
    assert not Path(f"/proc/{child._process.pid}").exists()
