# SPDX-License-Identifier: MIT
"""Commands that misbehave: what becomes of their output and code, and what they leave running."""

from __future__ import annotations

import shlex
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cli.commands import HALTABLE, Ended

LARGE = 300 * 1024 * 1024


def test_output_goes_on_byte_for_byte(haltable):
    """Each stream of the command comes out of the same stream of ours, unchanged."""
    script = r"printf 'a\000b\377\r\n'; printf 'c\200' >&2"
    process = haltable.start("run", "--max", 1, "--", "sh", "-c", script)
    out, err = process.communicate()

    assert out == b"a\0b\xff\r\n"
    assert err.startswith(b"c\x80")


def test_a_closed_stream_is_nobody_elses(haltable):
    """With our output closed, what the command prints goes nowhere, and into no store above all."""
    words = "run --max 2 --key k --store s.db -- echo x"
    script = f"exec {shlex.join(HALTABLE)} {words} >&- 2>&- <&-"
    code = subprocess.run(
        ["/bin/sh", "-c", script], cwd=haltable.directory, env=haltable.environment(), check=False
    ).returncode

    assert code == 90
    assert haltable("show", "k", "--store", "s.db").out.startswith("TRIPPED  k")


def test_a_slow_reader_is_no_silence(haltable):
    """A command that waits for our reader is not idle."""
    words = ("run", "--max", 1, "--idle-timeout", "0.3s", "--total-timeout", "2s", "--", "yes")
    process = haltable.start(*words)
    err = process.stderr.read()
    process.stdout.close()
    process.stderr.close()

    assert process.wait() == 124
    assert b"Deadline" in err


def test_what_is_piped_has_no_escape_codes(haltable):
    """Nothing that is written to a pipe is coloured or moves a cursor."""
    ended = haltable("run", "--max", 1, "--", "echo", "x")

    assert "\x1b" not in ended.out + ended.err
    assert "\r" not in ended.err


def test_a_flood_passes_in_bounded_memory(haltable):
    """Hundreds of megabytes pass through without being kept."""
    words = ("run", "--max", 1, "--", "head", "-c", LARGE, "/dev/zero")
    process = haltable.start(*words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    passed, peaks = 0, []
    while piece := process.stdout.read(1 << 20):
        passed += len(piece)
        peaks.append(_peak(process.pid))
    process.stdout.close()
    process.wait()

    assert (passed, process.returncode) == (LARGE, 90)
    assert 0 < max(peaks) < 120 * 1024


def _peak(pid):
    """Returns the most memory, in KiB, that a process has had since it became its program."""
    # What `wait4` tells counts what it was a copy of, too: this suite.
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    return 0  # It has ended, and waits for being waited for.


def test_a_reader_that_leaves_ends_the_loop(haltable):
    """If nobody reads our output any more, the loop ends as any program in a pipe does."""
    process = haltable.start("run", "--max", 9, "--", "yes", stderr=subprocess.PIPE)
    process.stdout.read(10)
    process.stdout.close()
    ended = _end(process)

    assert "nobody reads our output any more" in ended.err
    assert ended.code == 128 + signal.SIGPIPE


def _end(process):
    with process:
        err = process.stderr.read()
        process.wait()
    return Ended(process.returncode, "", err.decode())


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("trap '' TERM INT HUP; sleep 1000 & wait; sleep 1000", 124),
        ("setsid sleep 1000 & sleep 1000", 124),
        ("sleep 1000 & exit 0", 90),
        ("setsid sleep 1000 & exit 1", 90),
        ("sleep 1000 & kill -9 $$", 90),
    ],
)
def test_nothing_is_left_running(haltable, tether, script, code):
    """A command that hangs, ignores TERM, forks away or is killed leaves nothing behind."""
    # Ending what was left behind may take the grace, which counts.
    limit = "1s" if code == 124 else "1m"
    words = ("--max", 1, "--iteration-timeout", limit, "--", "sh", "-c", tether.TIE + script)
    ended = haltable("run", *words)
    tether.hear_all()

    assert ended.code == code


def test_a_kill_of_ours_ends_the_command(haltable, tether):
    """Whoever kills us with KILL ends the command as well."""
    process = haltable.start("run", "--max", 9, "--", "sh", "-c", tether.TIE + "sleep 1000")
    tether.hear()
    process.kill()
    _end(process)

    assert tether.hear_all() is not None


def test_kills_count_as_failures(haltable):
    """Three runs of a key that were killed are three failures: the fourth starts nothing."""
    keyed = ("run", "--key", "k", "--store", "s.db", "--max", 9, "--", "sh", "-c")
    for _ in range(3):
        process = haltable.start(*keyed, "echo begun; sleep 1000")
        process.stdout.readline()
        process.kill()
        _end(process)
    ended = haltable(*keyed, "echo ran")

    assert (ended.code, ended.out) == (92, "")
    assert "FailureCap: 3 failures in a row" in ended.err


def test_silence_is_told_from_work(haltable):
    """A command that prints is not idle however long it takes; one that stops printing is."""
    talks = "for i in 1 2 3 4 5 6; do echo $i; sleep 0.3; done"
    talking = haltable("run", "--max", 1, "--idle-timeout", "1.2s", "--", "sh", "-c", talks)
    silent = haltable(
        "run", "--max", 1, "--idle-timeout", "0.3s", "--", "sh", "-c", "echo; sleep 9"
    )

    assert (talking.code, silent.code) == (90, 124)
    assert "the command printed nothing for 0.3" in " ".join(silent.err.split())


def test_a_confined_command_writes_only_where_it_may(haltable):
    """With --confine, what lies elsewhere cannot be written."""
    (haltable.path / "out").mkdir()
    script = "echo x > out/may; echo x > may-not"
    haltable("run", "--max", 1, "--confine", "out", "--", "sh", "-c", script)

    assert (haltable.path / "out" / "may").exists()
    assert not (haltable.path / "may-not").exists()


def test_a_command_that_goes_away_ends_the_loop(haltable):
    """A program that cannot be started any more is no failure to be repeated."""
    tool = haltable.path / "tool"
    tool.write_text("#!/bin/sh\nrm $0\n")
    tool.chmod(0o755)
    ended = haltable("run", "--max", 9, "--", "./tool")

    assert ended.code == 127
    assert "starts 2 of 9" in ended.err
