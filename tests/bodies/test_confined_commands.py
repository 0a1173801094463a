# SPDX-License-Identifier: MIT
"""A command that is confined: it is a body like any other, and its loop's store is hidden."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from haltable import (
    ConfigurationError,
    IdempotencyGuard,
    IterationCap,
    Loop,
    MemoryStore,
    SQLiteStore,
)
from haltable.bodies import Command, CommandFailed, Confinement, Isolated
from tests.bodies import deny


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A directory that is the present one, with one in it for the body."""
    (tmp_path / "out").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def confined(line, **named):
    """A line of shell that may write to `out`."""
    return Command(["sh", "-c", line], confine=Confinement(writable=["out"]), **named)


async def test_it_runs_on_every_event_loop(place):
    """Confined, a command writes where it may, and its result is what it was."""
    report = await Loop(IterationCap(1)).arun(confined("echo one > out/file; echo done"))

    assert report.result.text == "done\n"
    assert (place / "out" / "file").read_text() == "one\n"


def test_it_writes_nowhere_else(place):
    """What it may not write to is a failure of the command, with its words."""
    report = Loop(IterationCap(1)).run(confined("echo one > file"))

    assert isinstance(report.error, CommandFailed)
    assert "file" in str(report.error)
    assert [each.name for each in place.iterdir()] == ["out"]


def test_its_directory_is_where_it_was(place):
    """Relative paths count from `cwd=`, also below a writable path."""
    report = Loop(IterationCap(1)).run(confined("pwd; echo one > file", cwd="out"))

    assert report.result.text == f"{place / 'out'}\n"
    assert (place / "out" / "file").read_text() == "one\n"


def test_its_loops_store_is_hidden(place):
    """The files of the store of its loop cannot even be read."""
    with SQLiteStore("loops.db") as store:
        loop = Loop(IterationCap(1), key="key", store=store)
        report = loop.run(confined("for file in loops.db*; do cat $file && exit 1; done; exit 0"))

    assert report.error is None


def test_its_guards_store_is_hidden(place):
    """So are those of a guard that has a store of its own."""
    line = "cat guards.db; cat loops.db; exit 0"
    with SQLiteStore("guards.db") as guards, SQLiteStore("loops.db") as store:
        cap, guard = IterationCap(1), IdempotencyGuard(store=guards)
        report = Loop(cap, guard, key="key", store=store).run(confined(line))

    assert report.result.text.count("Permission denied") == 2


@pytest.mark.parametrize("way", [Loop.run, lambda loop, body: loop.start().run(body)])
def test_a_store_within_reach_is_refused(place, way):
    """A body that could write to the store of its loop is not started, not once."""
    with SQLiteStore("out/loops.db") as store:
        loop, body = Loop(IterationCap(1), key="key", store=store), confined("true")
        with pytest.raises(ConfigurationError, match=r"the body could change .*loops\.db"):
            way(loop, body)

        assert store.read("haltable/loop/key") is None


async def test_a_store_within_reach_is_refused_in_async_loops(place):
    """The same under `arun`."""
    with SQLiteStore("out/loops.db") as store:
        loop, body = Loop(IterationCap(1), key="key", store=store), confined("true")
        with pytest.raises(ConfigurationError, match=r"the body could change .*loops\.db"):
            await loop.arun(body)


def test_a_missing_directory_is_refused(place):
    """A writable path that is not there is told before the first iteration."""
    shutil.rmtree(place / "out")

    with pytest.raises(ConfigurationError, match="there is nothing; make it first"):
        Loop(IterationCap(1)).run(confined("true"))


def test_a_store_without_files_is_none_to_keep(place):
    """A store in memory keeps nothing within a process's reach."""
    loop = Loop(IterationCap(1), key="key", store=MemoryStore())

    assert loop.run(confined("echo done")).result.text == "done\n"


def present(place):
    """Returns the processes whose directory the place is."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # It has ended, or is somebody else's.
            if (process / "cwd").readlink() == place:
                found.append(process.name)
    return found


def test_nothing_of_it_is_left(place):
    """Whoever left the session is gone when the iteration is over."""
    line = "(setsid sh -c 'echo $$ > out/pid; exec sleep 60' &) ; until [ -s out/pid ]; do :; done"
    before = present(place)
    report = Loop(IterationCap(1)).run(confined(line))

    assert report.error is None
    assert present(place) == before


def test_an_isolated_function_is_confined_too(place):
    """A function in a process of its own writes where it may, talks to us, and no further."""
    shut = Confinement(writable=["out"])
    with SQLiteStore("loops.db") as store:
        made = Isolated(os.mkdir, arguments={"path": str(place / "out" / "made")}, confine=shut)
        report = Loop(IterationCap(1), key="made", store=store).run(made)
        outside = Isolated(os.mkdir, arguments={"path": str(place / "made")}, confine=shut)
        refused = Loop(IterationCap(1), key="refused", store=store).run(outside)

    assert report.error is None
    assert (place / "out" / "made").is_dir()
    assert "Read-only file system" in str(refused.error)


def test_an_isolated_functions_store_is_out_of_reach(place):
    """An isolated function that could write to its loop's store is refused as well."""
    body = Isolated(os.getpid, confine=Confinement(writable=["out"]))
    with SQLiteStore("out/loops.db") as store:
        loop = Loop(IterationCap(1), key="key", store=store)
        with pytest.raises(ConfigurationError, match="the body could change"):
            loop.run(body)


def test_the_status_and_the_signal_are_told(place):
    """How it ended is told as for any command."""
    died = Loop(IterationCap(1)).run(confined("kill -9 $$"))
    failed = Loop(IterationCap(1)).run(confined("exit 7"))

    assert (died.error.signal, failed.error.status) == (9, 7)


def test_a_program_that_is_not_there_is_told(place):
    """A program that cannot be run is one that did not start."""
    body = Command(["./nothing"], confine=Confinement(writable=["out"]))
    report = Loop(IterationCap(1)).run(body)

    assert report.error.status == 127


def test_a_kernel_that_cannot_is_told(place):
    """What the kernel refuses when the body is to start is told in its words."""
    code = (
        "from unittest import mock\n"
        "from haltable import IterationCap, Loop\n"
        "from haltable.bodies import Command, Confinement\n"
        "with mock.patch.object(Confinement, '__attrs_post_init__'):\n"
        "    confine = Confinement(writable=['out'])\n"
        "print(repr(Loop(IterationCap(1)).run(Command(['true'], confine=confine)).error))\n"
    )
    ran = subprocess.run(
        [
            *(sys.executable, "-c", Path(deny.__file__).read_text(), "mount_setattr", "1", "--"),
            *(sys.executable, "-c", code),
        ],
        capture_output=True,
        text=True,
        check=False,
    )

    assert ran.stdout.startswith("ConfigurationError('Confinement: / cannot be made read-only")


@pytest.mark.parametrize("confine", [True, "out", ["out"], {"writable": ["out"]}])
def test_what_confines_is_a_confinement(confine):
    """Anything else is refused, and the message shows what would be right."""
    with pytest.raises(ConfigurationError, match=r"confine=.*Confinement\(writable="):
        Command(["true"], confine=confine)


def test_other_encodings_find_their_files(place):
    """Names that are no text in any encoding are names all the same."""
    name = os.fsdecode(b"out/\xff\xfe")
    Path(name).mkdir()
    body = Command(
        ["sh", "-c", 'echo one > "$1"/file', "-", name], confine=Confinement(writable=[name])
    )
    report = Loop(IterationCap(1)).run(body)

    assert report.error is None
