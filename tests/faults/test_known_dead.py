# SPDX-License-Identifier: MIT
"""Rule 1: whom this host knows to be dead, and that nobody is taken for it where it cannot tell."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import attrs
import pytest

from haltable import _owner
from haltable._owner import is_dead, new_owner

BOOT = Path("/proc/sys/kernel/random/boot_id")
MINE = Path(f"/proc/{os.getpid()}/stat")
#: A process that is alive and not this one.
OTHER = Path(f"/proc/{os.getppid()}/stat")


@pytest.fixture
def proc(monkeypatch):
    """Lets the test say which files of /proc cannot be read, and how."""
    missing = {}
    read = Path.read_text

    def read_text(path, *args, **kwargs):
        if path in missing:
            raise missing[path](str(path))
        return read(path, *args, **kwargs)

    monkeypatch.setattr(Path, "read_text", read_text)
    # What a process knows of itself it asks once.
    _owner._process.cache_clear()
    yield missing
    _owner._process.cache_clear()


def other(owner, **changes):
    """The owner of a run in the process that started this one, but for the changes."""
    born = OTHER.read_text().rpartition(")")[2].split()[19]
    return attrs.evolve(owner, pid=os.getppid(), born=born, **changes)


def test_the_dead_and_the_living_are_told_apart():
    """A number given to another process is a death; a process that is there is none."""
    owner = new_owner()

    assert not is_dead(other(owner), alive=())
    assert is_dead(attrs.evolve(other(owner), born="1"), alive=())
    assert is_dead(owner, alive=())
    assert not is_dead(owner, alive={owner.token})


@pytest.mark.parametrize("file", [BOOT, MINE])
@pytest.mark.parametrize("error", [FileNotFoundError, PermissionError])
def test_without_proc_nobody_is_known(proc, file, error):
    """A process that cannot see itself has no name for others to find, and knows none dead."""
    proc[file] = error
    owner = new_owner()

    assert (owner.boot, owner.space, owner.pid, owner.born) == ("", "", os.getpid(), "")
    assert not is_dead(owner, alive=())
    assert not is_dead(attrs.evolve(owner, pid=1), alive=())
    assert len(owner.token) == 32


def test_a_process_that_may_not_be_looked_at_is_not_dead(proc):
    """What is forbidden says nothing: only the lease decides."""
    owner = other(new_owner())
    proc[OTHER] = PermissionError

    assert not is_dead(owner, alive=())


@pytest.mark.parametrize(
    ("answer", "dead"), [(None, False), (PermissionError, False), (ProcessLookupError, True)]
)
def test_a_process_that_is_not_listed_is_asked_for(proc, monkeypatch, answer, dead):
    """Where /proc hides others, the kernel says whether a number is taken, whosoever it is."""
    owner = other(new_owner())
    proc[OTHER] = FileNotFoundError
    asked = []

    def kill(pid, number):
        asked.append((pid, number))
        if answer is not None:
            raise answer

    monkeypatch.setattr(os, "kill", kill)

    assert is_dead(owner, alive=()) is dead
    assert asked == [(os.getppid(), 0)]


def test_a_proc_of_another_namespace_says_nothing():
    """What stands there under this process's number is another process: only the lease decides."""
    alone = ["unshare", "--pid", "--fork", "--kill-child"]
    if os.geteuid() != 0:
        alone += ["--user", "--map-root-user"]
    script = (
        "from haltable._owner import new_owner; "
        "owner = new_owner(); print([owner.boot, owner.space, owner.pid, owner.born])"
    )
    said = subprocess.run(
        [*alone, sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout

    assert said == "['', '', 1, '']\n"
