# SPDX-License-Identifier: MIT
"""How a program comes to be: where it is looked for, and when it is not begun at all."""

from __future__ import annotations

import subprocess
import sys

import pytest

from haltable.bodies import Command, CommandFailed
from haltable.testing import iteration

#: Becomes a program, as the fork of a process that is named by an expression.
BECOME = """
import os, sys
from haltable.bodies._launch import Launch
task = [b"touch", os.fsencode(sys.argv[1])], None, dict(os.environb), 0.0, None
launch = Launch(task, {{}}, os.open(".", os.O_RDONLY), (1, 2), ignored=[], mask=set())
launch.become(2, {keeper}, follows=True)
"""


@pytest.fixture
def tool(tmp_path):
    """Runs `tool`, of which there is one here and one in `folder`, with this path."""
    for place in ("here", "folder", "empty"):
        (tmp_path / place).mkdir()
    for place in ("here", "folder"):
        path = tmp_path / place / "tool"
        path.write_text(f"#!/bin/sh\necho {place}\n")
        path.chmod(0o755)

    def run(*path):
        found = ":".join(str(tmp_path / place) if place else "" for place in path)
        return Command(["tool"], cwd=tmp_path / "here", env={"PATH": found})(iteration()).text

    return run


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (["empty", "folder"], "folder\n"),
        (["gone", "folder", "here"], "folder\n"),
        # As everywhere, nothing between two colons is the directory itself.
        (["empty", "", "folder"], "here\n"),
    ],
)
def test_the_first_place_on_the_path_counts(tool, path, found):
    """A name without a slash is looked for in the folders of the path, in their order."""
    assert tool(*path) == found


def test_a_program_beside_the_path_is_not_found(tool):
    """A name that the path does not have is never taken from the directory instead."""
    with pytest.raises(CommandFailed, match=r"^`tool` did not start: No such file or directory"):
        tool("empty")


def test_an_environment_that_no_program_can_have_is_a_failure():
    """What the system refuses to hand over is told as what it is, and nothing is started."""
    with pytest.raises(CommandFailed, match=r"^`true` did not start: Invalid argument") as caught:
        Command(["true"], env={"A=B": "c"})(iteration())

    assert caught.value.status == 126


@pytest.mark.parametrize(("keeper", "status"), [("os.getppid()", 0), ("os.getpid()", 127)])
def test_a_program_whose_keeper_is_gone_is_not_begun(tmp_path, keeper, status):
    """A fork that finds itself with another parent ends before it has become anything."""
    begun = tmp_path / "begun"
    code = BECOME.format(keeper=keeper)
    ended = subprocess.run([sys.executable, "-c", code, begun], check=False, capture_output=True)

    assert (ended.returncode, ended.stderr) == (status, b"")
    assert begun.exists() is (status == 0)
