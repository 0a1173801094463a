# SPDX-License-Identifier: MIT
"""The keeper's and the body's pieces where a system lacks what they would like to have."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading

import pytest

from haltable.bodies import (
    Isolated,
    IsolatedFailed,
    Threaded,
    _in_isolation,
    _keeper,
    _keeper_process,
)
from haltable.bodies._ear import LONGEST_LINE, Ear
from haltable.bodies._family import sent, signal_family
from haltable.errors import EffectHeld, HaltableError, LoopInterrupt
from haltable.testing import iteration
from tests.bodies import isolated_bodies as bodies


def test_a_system_without_proc_has_no_reaper(monkeypatch):
    """Where orphans could not be found, nobody becomes their parent."""
    monkeypatch.setattr(os.path, "exists", lambda path: False)

    assert not _keeper._becomes_reaper()


@pytest.mark.parametrize("fault", [OSError, AttributeError, ImportError])
def test_a_system_without_prctl_has_no_reaper(monkeypatch, fault):
    """Where the call is missing, that is no error."""

    def missing(name):
        raise fault

    monkeypatch.setattr(ctypes, "CDLL", missing)

    assert not _keeper._becomes_reaper()


def test_a_parents_end_is_told_where_it_can_be(monkeypatch):
    """A descriptor tells the parent's end; without one, or after it, the lifeline must do."""
    (descriptor,) = _keeper._watched(os.getppid())
    os.close(descriptor)
    stranger = _keeper._watched(os.getpid())

    def missing(pid):
        raise OSError

    monkeypatch.setattr(os, "pidfd_open", missing)

    assert stranger == ()
    assert _keeper._watched(os.getppid()) == ()


def test_whoever_is_gone_cannot_be_signalled():
    """A signal to nobody is no error, and says that nobody was there."""
    child = subprocess.Popen(["/bin/true"])
    child.wait()

    assert not sent(os.kill, child.pid, 0)
    assert not signal_family(child.pid, signal.SIGKILL)


def test_a_child_that_is_still_in_its_parents_group_is_signalled_alone():
    """A fork that has not left the keeper's group yet is found, and nobody else is hit."""
    code = "import subprocess; subprocess.Popen(['sleep', '1000']).wait(); print('on', flush=True)"
    with subprocess.Popen(
        [sys.executable, "-c", code], start_new_session=True, stdout=subprocess.PIPE
    ) as parent:
        while not signal_family(parent.pid, signal.SIGKILL):
            continue
        heard = parent.stdout.read()

    assert heard == b"on\n"


def test_instructions_need_no_memory_file(monkeypatch):
    """Elsewhere than on Linux, a file without a name holds them."""
    monkeypatch.setattr(sys, "platform", "darwin")
    with _keeper_process.written(b"instructions") as file:
        assert file.read() == b"instructions"
        assert os.fstat(file.fileno()).st_nlink == 0


def test_a_host_without_an_interpreter_is_told_so(monkeypatch):
    """An isolated function cannot run where nobody knows what an interpreter is."""
    monkeypatch.setattr(sys, "executable", None)
    with pytest.raises(HaltableError, match="keeper of a child could not be started"):
        Isolated(bodies.inside)(iteration())


def test_a_function_whose_interpreter_will_not_start_has_failed(run, monkeypatch):
    """What the keeper could not start is a failure of the function's process."""
    task = Isolated._task

    def elsewhere(body, *given):
        found = task(body, *given)
        return type(found)(("/nowhere/python",), cwd=None, env={}, grace=0, handed=found.handed)

    monkeypatch.setattr(Isolated, "_task", elsewhere)
    with pytest.raises(IsolatedFailed, match=r"did not start: .*No such file"):
        run(Isolated(bodies.inside))


def test_errors_are_rebuilt_as_far_as_they_can_be():
    """An error of ours keeps its type over there; of others the name and the text are left."""
    held = {"kind": "EffectHeld", "args": ["charge", "somebody", 3.0], "text": "held"}
    rebuilt = _in_isolation._rebuilt(held)

    assert isinstance(rebuilt, EffectHeld)
    assert rebuilt.key == "charge"
    assert str(_in_isolation._rebuilt(held | {"args": []})) == "EffectHeld: held"
    assert str(_in_isolation._rebuilt(held | {"kind": "in_words"})) == "in_words: held"


def test_another_loops_interrupt_is_a_failure(run):
    """A function that raises an interrupt which nobody sent has failed."""
    with pytest.raises(IsolatedFailed) as caught:
        run(Isolated(bodies.raises_interrupt))

    assert caught.value.kind == f"{LoopInterrupt.__module__}.LoopInterrupt"


def test_a_thread_that_cannot_be_started_leaves_nothing(run, monkeypatch):
    """No thread, no wait, and nothing that stays open."""

    def refused(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refused)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        run(Threaded(print))


def test_an_ear_hands_long_lines_on_in_pieces():
    """A line without end does not grow, and an empty word is none."""
    heard = []
    ear = Ear(10, heard.append)
    ear.hear(b"")
    ear.hear(b"x" * LONGEST_LINE)
    ear.hear(b"y")
    ear.rest()

    assert heard == ["x" * LONGEST_LINE, "y"]
