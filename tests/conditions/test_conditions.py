# SPDX-License-Identifier: MIT
"""The ready-made conditions: when each is asked, when it holds, and how they compose."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys

import pytest

from haltable import ExitCondition, IterationCap, Loop, Status
from haltable.conditions import command_succeeds, file_exists, never, raised, returned
from haltable.errors import ConfigurationError
from haltable.probe import Condition, Due

MOMENTS = (Due.START, Due.RETURN, Due.FAILURE)


def holds_at(condition: Condition, subject: object = None) -> list[bool]:
    """Returns whether it holds at the start, after a return and after a failure."""
    return [bool(condition.at(moment, subject)) for moment in MOMENTS]


@pytest.mark.parametrize("result", [None, 0, "", "done", False])
def test_returned_holds_after_any_return(result):
    """Whatever an iteration returned, it returned; nothing else counts."""
    assert holds_at(returned, result) == [False, True, False]


def test_never_is_never_asked():
    """It has no moment of its own, and does not hold if it is asked all the same."""
    assert holds_at(never) == [False, False, False]
    assert not [moment for moment in MOMENTS if moment in never.due]
    assert never.holds(None) is False


def test_raised_holds_after_its_exceptions():
    """It is asked after failures, and holds for its types and their subclasses."""
    condition = raised(OSError, ValueError)

    assert condition.due is Due.FAILURE
    assert holds_at(condition, FileNotFoundError()) == [False, False, True]
    assert holds_at(condition, UnicodeError()) == [False, False, True]
    assert holds_at(condition, KeyError()) == [False, False, False]


def test_file_exists_looks_when_it_is_asked(tmp_path):
    """It is asked at every moment, and the disk of that moment decides."""
    condition = file_exists(tmp_path / "out" / "final.md")
    before = holds_at(condition)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "final.md").write_text("")
    there = holds_at(condition)
    (tmp_path / "out" / "final.md").unlink()

    assert (before, there) == ([False] * 3, [True] * 3)
    assert holds_at(condition) == [False] * 3


def test_file_exists_knows_directories_and_links(tmp_path, monkeypatch):
    """Directories count, links count as what they lead to, relative paths follow the body."""
    (tmp_path / "directory").mkdir()
    (tmp_path / "file").write_text("")
    (tmp_path / "good").symlink_to("file")
    (tmp_path / "dangling").symlink_to("nothing")
    monkeypatch.chdir(tmp_path)
    found = {name: file_exists(name).holds(None) for name in ("good", "dangling", "directory")}

    assert found == {"good": True, "dangling": False, "directory": True}
    assert not file_exists("file/below").holds(None)


def test_file_exists_takes_no_silence_for_an_answer(tmp_path):
    """A path that cannot be looked at is a fault, and not "not there"."""
    with pytest.raises(OSError, match="File name too long"):
        file_exists(tmp_path / ("x" * 300)).holds(None)


def test_command_succeeds_when_the_status_is_zero():
    """The exit status decides, at every moment."""
    assert holds_at(command_succeeds(["true"])) == [True] * 3
    assert holds_at(command_succeeds(["false"])) == [False] * 3
    assert not command_succeeds(["sh", "-c", "kill -9 $$"]).holds(None)


def test_a_command_prints_nothing_and_reads_nothing(capfd):
    """A check neither disturbs the terminal nor waits for it."""
    held = command_succeeds(["sh", "-c", "echo out; echo err >&2; cat"]).holds(None)

    assert held
    assert capfd.readouterr() == ("", "")


def test_a_command_that_takes_too_long_is_a_fault(tmp_path):
    """It is killed with all that it started, and is no answer."""
    fifo = tmp_path / "tether"
    os.mkfifo(fifo)
    tether = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    script = f"exec 9>{fifo}; trap '' TERM; sleep 1000 & sleep 1000"
    with pytest.raises(TimeoutError, match=r"command_succeeds\(sh -c .* took more than 0.2 s"):
        command_succeeds(["sh", "-c", script], timeout=0.2).holds(None)
    os.set_blocking(tether, True)
    heard = os.read(tether, 1)
    os.close(tether)

    assert heard == b""


def test_a_command_that_is_not_there_is_a_fault():
    """What cannot be started is broken, and not "does not hold"."""
    with pytest.raises(FileNotFoundError, match="nothing"):
        command_succeeds(["./nothing"]).holds(None)


def test_only_a_command_may_keep_an_event_loop_waiting():
    """Async drivers ask it in a worker thread, and the others where they stand."""
    blocking = [
        getattr(each, "blocks", False)
        for each in (command_succeeds(["true"]), file_exists("a"), returned, never, raised(OSError))
    ]

    assert blocking == [True, False, False, False, False]


def test_they_are_called_what_they_are():
    """Receipts name a condition as it was written."""
    named = [str(each) for each in (returned, never, raised(OSError, KeyError), file_exists("a/b"))]

    assert named == ["returned", "never", "raised(OSError, KeyError)", "file_exists(a/b)"]
    assert str(command_succeeds(["sh", "-c", "exit 1"])) == "command_succeeds(sh -c 'exit 1')"
    assert str(returned & (never | raised(OSError))) == "returned and (never or raised(OSError))"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (raised, "at least one"),
        (lambda: raised(KeyboardInterrupt), "derive from Exception"),
        (lambda: raised(OSError, "ValueError"), "derive from Exception"),
        (lambda: raised(OSError()), "derive from Exception"),
        (lambda: file_exists(""), "file_exists"),
        (lambda: file_exists(None), "file_exists"),
        (lambda: file_exists(b"a"), "file_exists"),
        (lambda: command_succeeds("pytest -q"), r'\["sh", "-c", line\]'),
        (lambda: command_succeeds([]), "as a list"),
        (lambda: command_succeeds(None), "as a list"),
        (lambda: command_succeeds(["true", 7]), "as a list"),
        (lambda: command_succeeds(["true"], timeout=0), "timeout=0"),
        (lambda: command_succeeds(["true"], timeout=-1), "timeout=-1"),
        (lambda: command_succeeds(["true"], timeout=True), "timeout=True"),
        (lambda: command_succeeds(["true"], timeout=float("nan")), "timeout=nan"),
        (lambda: command_succeeds(["true"], timeout=float("inf")), "timeout=inf"),
        (lambda: command_succeeds(["true"], timeout=None), "timeout=None"),
        (lambda: returned & 7, "give a function"),
    ],
)
def test_bad_input_is_refused(make, words):
    """A condition that could never hold as it was meant is refused when it is made."""
    with pytest.raises(ConfigurationError, match=words):
        make()


def good(result: object) -> bool:
    """Stands for a user's predicate of the result."""
    return result == "good"


async def good_later(result: object) -> bool:
    """The same, for async drivers."""
    return result == "good"


def test_they_compose_with_functions():
    """Conditions and plain functions mix, each asked at its own moments only."""
    either, both = raised(OSError) | good, good & returned

    assert holds_at(either, "good") == [False, True, False]
    assert holds_at(either, OSError()) == [False, False, True]
    assert holds_at(both, "good") == [False, True, False]
    assert holds_at(both, "bad") == [False, False, False]
    assert holds_at(never | returned) == [False, True, False]
    assert holds_at(never & returned) == [False, False, False]
    assert holds_at((lambda: True) & raised(OSError), OSError()) == [False, False, True]


def test_a_composition_asks_no_more_than_it_must(tmp_path):
    """What the first part settles, the second is not asked."""
    broken = command_succeeds(["./nothing"])

    assert (file_exists(tmp_path) | broken).holds(None)
    assert not (file_exists(tmp_path / "none") & broken).holds(None)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("compose", "expected"),
    [
        (lambda: returned & good_later, {"good": True, "bad": False}),
        (lambda: good_later & returned, {"good": True, "bad": False}),
        (lambda: never | good_later | good, {"good": True, "bad": False}),
        (lambda: good_later | returned, {"good": True, "bad": True}),
        (lambda: good_later & (good_later | never) & good, {"good": True, "bad": False}),
    ],
)
async def test_async_predicates_compose_too(compose, expected):
    """A composition with an async part is awaited, and means the same."""
    condition = compose()
    found = {}
    for result in expected:
        answer = condition.at(Due.RETURN, result)
        found[result] = await answer if inspect.isawaitable(answer) else answer

    assert found == expected


def test_a_loop_ends_by_them():
    """`returned` is "until it works once", `raised` gives up, `never` leaves it to the cap."""
    attempts = []

    def flaky() -> str:
        attempts.append(1)
        if len(attempts) < 3:
            raise OSError("not yet")
        return "done"

    def closed() -> None:
        raise PermissionError("account closed")

    retry = Loop(IterationCap(5), ExitCondition(success=returned)).run(flaky)
    give_up = Loop(IterationCap(5), ExitCondition(give_up=raised(PermissionError))).run(closed)
    repeat = Loop(IterationCap(5), ExitCondition(success=never)).run(lambda: None)

    assert (retry.status, retry.starts, retry.unwrap()) == (Status.SUCCEEDED, 3, "done")
    assert (give_up.status, give_up.starts) == (Status.GAVE_UP, 1)
    assert (repeat.ok, repeat.starts) == (False, 5)


def test_what_is_already_done_runs_nothing(tmp_path):
    """A file that is there, or a command that succeeds, is seen before the first start."""
    (tmp_path / "final.md").write_text("")
    for condition in (file_exists(tmp_path / "final.md"), command_succeeds(["true"])):
        report = Loop(IterationCap(5), ExitCondition(success=condition)).run(lambda: None)

        assert (report.ok, report.starts) == (True, 0)


def test_a_broken_check_ends_the_loop():
    """A command that cannot be started is no permission to go on."""
    check = command_succeeds(["./nothing"])
    report = Loop(IterationCap(5), ExitCondition(success=check)).run(lambda: None)

    assert (report.status, report.starts) == (Status.TRIPPED, 0)
    assert "nothing" in report.reason


def test_the_door_is_light():
    """Conditions that start no process load nothing that could."""
    code = (
        "import sys; from haltable.conditions import raised, returned, never, file_exists; "
        "raised(OSError), file_exists('a').holds(None); "
        "assert not {'subprocess', 'anyio', 'asyncio'} & set(sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
