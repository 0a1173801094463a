# SPDX-License-Identifier: MIT
"""What a command prints is handed on as it comes, and whoever hears it may object."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from haltable import IterationCap, Loop
from haltable.bodies import Command
from haltable.bodies._ear import LONGEST_LINE, Ear
from haltable.errors import ConfigurationError
from tests.bodies.tether import Tether


def test_lines_come_as_they_are_printed(run, tether):
    """A line is heard while the command runs, which only then goes on."""
    heard = []

    def listener(line: str) -> None:
        heard.append(line)
        if line == "question":
            Path(tether.environment["TETHER"] + ".answer").write_text("yes\n")

    script = 'mkfifo "$TETHER.answer"; echo question; read -r line <"$TETHER.answer"; echo "$line"'
    command = Command(["sh", "-c", script], env=tether.environment, on_output=listener)
    completed = run(command)

    assert heard == ["question", "yes"]
    assert completed.text == "question\nyes\n"


def test_a_last_line_without_an_end_is_heard(run):
    """What a command says last is handed on, however it ends."""
    heard = []
    run(Command(["printf", r"one\n\ntwo\377"], on_output=heard.append))

    assert heard == ["one", "", "two\N{REPLACEMENT CHARACTER}"]


def test_a_line_without_end_takes_little_memory(run):
    """Somebody who prints no line's end is handed on in pieces."""
    sizes = []
    command = Command(
        ["head", "-c", "20000000", "/dev/zero"],
        output_limit=100,
        on_output=lambda line: sizes.append(len(line)),
    )
    tracemalloc.start()
    run(command)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert sum(sizes) == 20_000_000
    assert max(sizes) <= 2 * LONGEST_LINE
    assert peak < 3_000_000


def test_what_the_listener_raises_ends_the_command(run, tether):
    """Whoever hears the output can end the command by raising, and hears no more of it."""
    heard = []

    def listener(line: str) -> None:
        heard.append(line)
        raise ValueError(line)

    script = Tether.TIE + "trap 'echo bye; exit' TERM; echo now; while :; do sleep 0.01; done"
    command = Command(["sh", "-c", script], env=tether.environment, on_output=listener)
    with pytest.raises(ValueError, match="now"):
        run(command)

    assert heard == ["now"]
    assert tether.hear_all() == b"tied\n"


def test_what_the_listener_raises_is_the_iterations_failure():
    """In a loop it is counted like any other exception of a body."""
    command = Command(["echo", "x"], on_output=int)
    report = Loop(IterationCap(5, max_consecutive_failures=2)).run(command)

    assert (report.starts, report.failures) == (2, 2)
    assert isinstance(report.error, ValueError)


def test_streams_are_told_apart(run):
    """Each piece comes with the stream that it was printed to, as it was printed; both are kept."""
    heard = {1: b"", 2: b""}

    def listen(stream, piece):
        heard[stream] += piece

    script = r"printf 'a\377\n'; printf b >&2; printf c"
    completed = run(Command(["sh", "-c", script], on_bytes=listen))

    assert heard == {1: b"a\xff\nc", 2: b"b"}
    assert sorted(completed.output) == sorted(b"a\xff\ncb")


def test_who_raises_over_a_piece_fails_the_iteration(run, tether):
    """What a listener raises ends the command, and comes out."""

    def listen(stream, piece):
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        run(Command(["sh", "-c", tether.TIE + "yes"], env=tether.environment, on_bytes=listen))
    assert tether.hear_all() == b"tied\n"


def test_an_ear_without_a_listener_only_keeps():
    """Without a listener no line is put together."""
    ear = Ear(10)
    ear.hear(b"x" * 100)
    ear.rest()

    assert ear.excerpt.size == 100


async def _listener(line: str) -> None: ...


@pytest.mark.parametrize("argument", ["on_output", "on_bytes"])
@pytest.mark.parametrize("listener", [7, "print", _listener])
def test_what_cannot_hear_is_refused(listener, argument):
    """A listener that could not be called from here is refused when the command is made."""
    with pytest.raises(ConfigurationError, match=f"{argument}="):
        Command(["true"], **{argument: listener})
