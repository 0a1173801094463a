# SPDX-License-Identifier: MIT
"""What a command prints as evidence, with real programs."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from pathlib import Path

import pytest

from haltable.errors import ConfigurationError, HaltableError
from haltable.evidence import Evidence, Output


def shell(line):
    """Returns the evidence of a line of shell."""
    return Output(["sh", "-c", line])


def test_other_words_are_another_state():
    """Each byte of the standard output counts, also the last and one that is no text."""
    words = ["", "a", "a\\n", "b", "\\377", "a\\0", "a\\0b"]

    assert len({shell(f"printf '{each}'").fingerprint() for each in words}) == len(words)


def test_the_same_words_are_the_same_state():
    """However and whenever they are printed, the same words read the same."""
    assert (
        shell("echo one; echo two").fingerprint()
        == Output([sys.executable, "-c", "print('one\\ntwo')"]).fingerprint()
    )


def test_what_is_said_beside_does_not_count():
    """Warnings on the standard error are no news."""
    assert shell("echo 1; echo $$ >&2").fingerprint() == shell("echo 1").fingerprint()


def test_an_output_that_fills_no_memory():
    """A long output is digested as it comes, and nothing of it is lost."""
    code = "import sys\nfor _ in range(48): sys.stdout.write('x' * (1 << 20))\nprint({end})"
    states = {
        Output([sys.executable, "-c", code.format(end=end)]).fingerprint() for end in (1, 2, 1)
    }

    assert len(states) == 2


def test_it_reads_no_input():
    """A program that asks finds nobody."""
    assert shell("cat; echo end").fingerprint() == shell("echo end").fingerprint()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("echo 1; exit 3", r"ended with status 3$"),
        ("echo no such table >&2; exit 1", r"ended with status 1: no such table$"),
        ("kill -KILL $$", r"was killed by signal 9$"),
        ("yes 0123456789 | head -c 100000 >&2; echo last >&2; exit 1", r"789\S*last$"),
    ],
)
def test_a_command_that_fails_is_blind(line, words):
    """Another status than 0 is a fault that names the command and has its last words."""
    with pytest.raises(HaltableError, match=words) as raised:
        shell(line).fingerprint()
    assert str(raised.value).startswith(f"Output(sh -c {shlex.quote(line)}) ")
    assert len(str(raised.value)) < 500


def test_a_command_that_is_not_there_is_blind():
    """One that cannot be started is a fault."""
    with pytest.raises(FileNotFoundError, match="no-such-program"):
        Output(["no-such-program"]).fingerprint()


@pytest.mark.parametrize("line", ["exec sleep 60", "exec >&- 2>&-; sleep 60", "exec yes"])
def test_a_command_that_takes_too_long_is_killed(line):
    """Silent, deaf or talkative, it is killed when its time is up."""
    with pytest.raises(TimeoutError, match=r"took more than 0\.2 s and was killed"):
        Output(["sh", "-c", line], timeout=0.2).fingerprint()


@pytest.mark.parametrize("talks", ["sleep 60", "yes"])
def test_what_it_leaves_running_is_killed(tmp_path, talks):
    """Nothing that it started outlives the look, not even what holds its output open."""
    pid = tmp_path / "pid"
    line = f"{talks} & echo $! > {shlex.quote(str(pid))}; echo done >&2"
    shell(line).fingerprint()
    left = Path(f"/proc/{int(pid.read_text())}/stat")

    assert not left.exists() or left.read_text().rpartition(")")[2].split()[0] in "ZX"


def test_what_escapes_it_holds_nobody_up(tmp_path):
    """Whoever left the group and keeps the output open is not waited for."""
    pid = shlex.quote(str(tmp_path / "pid"))
    escapee = f"setsid sh -c 'echo $$ > {pid}.new; mv {pid}.new {pid}; exec sleep 60' &"
    state = shell(f"{escapee} until test -e {pid}; do :; done; echo done").fingerprint()
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)

    assert state == shell("echo done").fingerprint()


def test_statuses_that_nobody_keeps_are_blind():
    """Where the system forgets how children end, nothing is taken for a success."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        with pytest.raises(HaltableError, match="SIGCHLD"):
            shell("echo 1").fingerprint()
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_it_is_called_by_its_command():
    """Receipts name the command as one would type it, or what it was told to be called."""
    assert str(Output(["wc", "-l", Path("my file")])) == "Output(wc -l 'my file')"
    assert str(Output(["wc"], name="lines") | Output(["ls"])) == "lines or Output(ls)"
    assert isinstance(Output(["ls"]), Evidence)
    assert Output.blocks is True


@pytest.mark.parametrize(
    ("argv", "named", "words"),
    [
        ("ls -l", {}, r"Output\('ls -l'\): give the program and its arguments as a list"),
        ([], {}, r"Output\(\[\]\)"),
        ([""], {}, "list of strings"),
        (["a\0b"], {}, "without NUL"),
        ([7], {}, "list of strings"),
        (7, {}, r"Output\(7\)"),
        (["ls"], {"timeout": 0}, r"Output\(timeout=0\)"),
        (["ls"], {"timeout": float("inf")}, "timeout=inf"),
        (["ls"], {"timeout": True}, "timeout=True"),
        (["ls"], {"timeout": "9"}, "timeout='9'"),
        (["ls"], {"name": ""}, "name=''"),
        (["ls"], {"name": 7}, "name=7"),
    ],
)
def test_bad_input_is_refused(argv, named, words):
    """A command that could never run is refused when it is named."""
    with pytest.raises(ConfigurationError, match=words):
        Output(argv, **named)


def test_the_environment_is_ours(monkeypatch):
    """The command sees what we see."""
    monkeypatch.setenv("WHAT", "one")
    before = shell("echo $WHAT").fingerprint()
    monkeypatch.setenv("WHAT", "two")

    assert shell("echo $WHAT").fingerprint() != before
    assert os.environ["WHAT"] == "two"
