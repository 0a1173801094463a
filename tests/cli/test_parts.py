# SPDX-License-Identifier: MIT
"""Parts of the command that no process shows: the async body, odd users, faults of ours."""

from __future__ import annotations

import getpass

import pytest

from haltable import IterationCap, Loop, cli
from haltable.bodies import Command
from haltable.cli import parser, store
from haltable.cli.body import CommandBody, FatalExit, NotStarted, TransientExit


@pytest.mark.parametrize(
    ("argv", "kind"),
    [
        (["sh", "-c", "exit 3"], FatalExit),
        (["sh", "-c", "exit 4"], TransientExit),
        (["no-such-program"], NotStarted),
    ],
)
async def test_an_exit_status_means_the_same_in_async_loops(argv, kind):
    """The body gives the same meanings to exit statuses when it is awaited."""
    body = CommandBody(Command(argv), frozenset([3]), frozenset([4]))
    report = await Loop(IterationCap(1)).arun(body)

    assert type(report.error) is kind
    assert str(body) == str(Command(argv))


async def test_a_success_is_its_status_in_async_loops():
    """Awaited, a command that succeeds returns its status."""
    assert (await Loop(IterationCap(1)).arun(CommandBody(Command(["true"])))).result == 0


def test_a_user_without_a_name_has_a_number(monkeypatch):
    """Where nobody knows the login name, the history has the user's number."""

    def unknown():
        raise KeyError("getpwuid(): uid not found: 4711")

    monkeypatch.setattr(getpass, "getuser", unknown)

    assert store.login().startswith("user ")


@pytest.mark.parametrize(
    ("fault", "code"), [(RuntimeError("bug"), 125), (KeyboardInterrupt(), 130)]
)
def test_a_fault_of_ours_is_told_from_the_commands(monkeypatch, capsys, fault, code):
    """A bug of ours is 125 with a traceback, and an early Ctrl-C 130: neither is 1 or 2."""

    def broken(words):
        raise fault

    monkeypatch.setattr(parser, "carry_out", broken)

    assert cli.main(["run"]) == code
    assert ("RuntimeError: bug" in capsys.readouterr().err) is (code == 125)
