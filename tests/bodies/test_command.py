# SPDX-License-Identifier: MIT
"""A command as a body: real children, on a thread, on asyncio and on trio."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest

from haltable import bodies
from haltable.bodies import Body, Command, CommandFailed, Completed, _waits_sync
from haltable.bodies._pipe import Pipe
from haltable.errors import ConfigurationError, HaltableError
from haltable.testing import iteration
from tests.bodies.tether import Tether


def shell(script: str, **options) -> Command:
    """Returns a command that runs the script."""
    return Command(["sh", "-c", script], **options)


def test_status_zero_is_a_result(run):
    """A command that ends well returns what it said on both streams, in order."""
    completed = run(shell("echo one; echo two >&2; echo three"))

    assert completed.status == 0
    assert completed.output == b"one\ntwo\nthree\n"
    assert completed.text == "one\ntwo\nthree\n"
    assert completed.argv == ("sh", "-c", "echo one; echo two >&2; echo three")
    assert not completed.truncated
    assert completed.signal is None


@pytest.mark.parametrize("status", [1, 2, 127, 255])
def test_any_other_status_is_a_failure(run, status):
    """A status that is not 0 is an exception, with the status and what was said."""
    with pytest.raises(CommandFailed) as caught:
        run(shell(f"echo working; echo broken; exit {status}"))

    assert caught.value.status == status
    assert caught.value.signal is None
    assert caught.value.completed.text == "working\nbroken\n"
    assert str(caught.value).endswith(f"ended with status {status}; it said last: working / broken")


@pytest.mark.parametrize(("number", "name"), [(9, "SIGKILL"), (15, "SIGTERM"), (40, "signal 40")])
def test_death_by_a_signal_is_a_failure(run, number, name):
    """A command that a signal killed is a failure that names the signal."""
    with pytest.raises(CommandFailed, match=f"was killed by {name}$") as caught:
        run(shell(f"kill -{number} $$"))

    assert caught.value.signal == number
    assert caught.value.status == -number


def test_a_program_that_is_not_there_is_a_failure(run, tmp_path):
    """What does not exist fails with a shell's status for it, and is named."""
    with pytest.raises(
        CommandFailed, match=r"did not start: No such file.*: \./nothing$"
    ) as caught:
        run(Command(["./nothing"]))
    with pytest.raises(CommandFailed, match=f"No such file.*: {tmp_path}/gone$") as elsewhere:
        run(Command(["true"], cwd=tmp_path / "gone"))

    assert caught.value.status == elsewhere.value.status == 127
    assert isinstance(caught.value.__cause__, FileNotFoundError)


def test_a_program_that_cannot_be_run_is_a_failure(run, tmp_path):
    """What cannot be executed fails with a shell's status for it, and says why."""
    text = tmp_path / "text"
    text.write_text("no program")
    garbage = tmp_path / "garbage"
    garbage.write_bytes(b"\0no program")
    garbage.chmod(0o755)
    with pytest.raises(CommandFailed, match=f"Permission denied: {text}") as refused:
        run(Command([text]))
    with pytest.raises(CommandFailed, match="Exec format error") as unreadable:
        run(Command([garbage]))
    with pytest.raises(CommandFailed, match="Argument list too long") as long:
        run(Command(["true", "x" * (1 << 22)]))

    assert {each.value.status for each in (refused, unreadable, long)} == {126}


def _environment(command, run, **numbers) -> dict[str, str]:
    environment = json.loads(run(command, **numbers).output)
    return {name: value for name, value in environment.items() if name.startswith("HALTABLE")}


SHOW = [sys.executable, "-c", "import json, os; print(json.dumps(dict(os.environ)))"]


def test_the_child_knows_its_iteration(run):
    """A script finds the key and the numbers of its iteration in its environment."""
    found = _environment(Command(SHOW), run, number=2, starts=7, key="report-42")

    assert found == {
        "HALTABLE_KEY": "report-42",
        "HALTABLE_ITERATION": "2",
        "HALTABLE_STARTS": "7",
    }


def test_the_key_of_another_loop_is_not_handed_on(run, monkeypatch):
    """A command inside a command does not take the outer loop's key for its own."""
    monkeypatch.setenv("HALTABLE_KEY", "outer")
    monkeypatch.setenv("HALTABLE_ITERATION", "9")

    assert _environment(Command(SHOW), run) == {"HALTABLE_ITERATION": "1", "HALTABLE_STARTS": "1"}


def test_an_environment_is_taken_as_it_was_given(run):
    """A given environment replaces ours, and is not touched by us nor by later changes."""
    given = {"ONE": "1"}
    command = Command([sys.executable, "-I", *SHOW[1:]], env=given)
    given["TWO"] = "2"
    found = json.loads(run(command).output)

    assert found["ONE"] == "1"
    assert "TWO" not in found
    assert "HOME" not in found
    assert given == {"ONE": "1", "TWO": "2"}


def test_it_runs_where_it_is_told(run, tmp_path):
    """The program, its directory and its arguments are those that were given."""
    program = tmp_path / "agent.sh"
    program.write_text('#!/bin/sh\npwd; printf "<%s>" "$@"')
    program.chmod(0o755)
    completed = run(Command(["./agent.sh", "a b", "$HOME", "*"], cwd=tmp_path))

    assert completed.text == f"{tmp_path}\n<a b><$HOME><*>"


@pytest.mark.parametrize(
    "way",
    ["command(iteration())", "anyio.run(command.acall, iteration(), backend='asyncio')"],
)
def test_there_is_no_input(way):
    """A child that reads finds the end at once, and takes nothing that was meant for us."""
    code = (
        "import anyio, sys; from haltable.bodies import Command; "
        "from haltable.testing import iteration; command = Command(['cat']); "
        f"sys.exit({way}.output)"
    )
    host = subprocess.run(
        [sys.executable, "-c", code], input=b"ours", stderr=subprocess.PIPE, check=False
    )

    assert host.stderr == b"b''\n"


def test_an_ordinary_end_is_seen_at_once(monkeypatch):
    """The end of the output wakes the reader: nobody waits for the next look."""
    monkeypatch.setattr(_waits_sync, "_TICK", 1000)

    assert shell("echo done")(iteration()).text == "done\n"


def test_the_child_leads_a_group_and_a_session(run):
    """A terminal's Ctrl-C is ours alone, and the child's group can be ended as one."""
    code = "import os; print(os.getpid() == os.getpgrp() == os.getsid(0))"

    assert run(Command([sys.executable, "-c", code])).text == "True\n"


def test_much_output_is_kept_in_little_memory(run):
    """Of many megabytes the head and the tail are kept, and it is said what was not."""
    command = shell("echo head; head -c 30000000 /dev/zero; echo; echo tail", output_limit=1000)
    tracemalloc.start()
    completed = run(command)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert completed.truncated
    assert completed.left_out == 30_000_011 - 1000
    assert b"[29999011 bytes left out]" in completed.output
    assert completed.output.startswith(b"head\n")
    assert completed.output.endswith(b"\ntail\n")
    assert peak < 3_000_000


def test_what_is_no_text_is_kept_and_shown(run):
    """Output is bytes; as text, what is no UTF-8 is replaced."""
    completed = run(shell(r"printf '\377ok'"))

    assert completed.output == b"\xffok"
    assert completed.text == "\N{REPLACEMENT CHARACTER}ok"


def test_a_closed_output_is_not_the_end(run):
    """A child that closes its output and lives on is waited for."""
    with pytest.raises(CommandFailed) as caught:
        run(shell("echo bye; exec >&- 2>&-; sleep 0.2; exit 4"))

    assert caught.value.status == 4
    assert caught.value.completed.text == "bye\n"


def test_a_closed_output_is_not_waited_on(monkeypatch):
    """Once a child has closed its output, its end is waited for without spinning."""
    waits = []
    wait = _waits_sync.ready
    monkeypatch.setattr(_waits_sync, "ready", lambda *given: (waits.append(1), wait(*given)))
    shell("exec >&- 2>&-; sleep 0.2")(iteration())

    assert len(waits) < 50


def test_the_rest_of_a_pipe_is_no_more_than_it_can_hold(monkeypatch):
    """Whoever goes on writing as fast as it is read does not keep the reader."""
    monkeypatch.setattr(Pipe, "read", lambda _: b"x" * 65536)
    with Pipe() as pipe:
        rest = pipe.rest()

    assert len(rest) == 1 << 20


def test_the_last_words_are_heard(run):
    """All that a child wrote before its end is kept, however much that is at once."""
    code = "import os; os.write(1, b'x' * 60000); os._exit(0)"

    assert run(Command([sys.executable, "-c", code])).output == b"x" * 60000


def test_whoever_holds_the_output_is_not_waited_for(run, tether):
    """A grandchild that keeps the pipe open neither delays the end nor outlives it."""
    script = Tether.TIE + "sleep 1000 & echo started"
    completed = run(shell(script, env=tether.environment))

    assert completed.text == "started\n"
    assert tether.hear_all() == b"tied\n"


def test_whoever_fills_the_output_is_not_waited_for(run, tether):
    """A grandchild that never stops talking does not keep the loop from going on."""
    script = Tether.TIE + "yes & echo started"
    completed = run(shell(script, env=tether.environment))

    assert completed.status == 0
    assert tether.hear_all() == b"tied\n"


def test_what_is_left_running_may_say_goodbye(run, tether):
    """What a command leaves behind gets a TERM first, and the grace to act on it."""
    os.mkfifo(tether.environment["TETHER"] + ".ready")
    script = (
        Tether.TIE
        + "(trap 'echo goodbye >&9; exit' TERM; echo >\"$TETHER.ready\"; "
        + 'while :; do sleep 0.01; done) & read -r line <"$TETHER.ready"'
    )
    run(shell(script, env=tether.environment, grace=30))

    assert tether.hear_all() == b"tied\ngoodbye\n"


def test_what_is_left_running_and_will_not_go_is_killed(run, tether):
    """What ignores the TERM is killed when the grace is over."""
    os.mkfifo(tether.environment["TETHER"] + ".ready")
    script = (
        Tether.TIE
        + "(trap '' TERM; echo >\"$TETHER.ready\"; while :; do sleep 0.01; done) & "
        + 'read -r line <"$TETHER.ready"'
    )
    run(shell(script, env=tether.environment, grace=0.05))

    assert tether.hear_all() == b"tied\n"


def test_a_status_is_known_where_ours_are_forgotten(run):
    """Where the kernel forgets the host's dead children, a command's status is still its own."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        with pytest.raises(CommandFailed) as caught:
            run(shell("exit 3"))
    finally:
        signal.signal(signal.SIGCHLD, before)

    assert caught.value.status == 3


@pytest.mark.parametrize(
    ("argv", "named", "words"),
    [
        ("./agent.sh --fast", {}, r'\["sh", "-c", line\]'),
        (b"true", {}, "as a list"),
        ([], {}, "as a list"),
        ([""], {}, "as a list"),
        (None, {}, "as a list"),
        (["true", 7], {}, "as a list"),
        ([b"true"], {}, "as a list"),
        (["true", "a\0b"], {}, "without NUL"),
        (["true"], {"cwd": ""}, "cwd=''"),
        (["true"], {"cwd": 7}, "cwd=7"),
        (["true"], {"cwd": "a\0b"}, "cwd="),
        (["true"], {"env": 7}, "env="),
        (["true"], {"env": {"A": 1}}, "env="),
        (["true"], {"env": {"A": b"secret"}}, "env="),
        (["true"], {"env": {"A": "a\0b"}}, "env="),
        (["true"], {"grace": -1}, "grace=-1"),
        (["true"], {"grace": float("nan")}, "grace=nan"),
        (["true"], {"grace": float("inf")}, "grace=inf"),
        (["true"], {"grace": True}, "grace=True"),
        (["true"], {"grace": "1"}, "grace='1'"),
        (["true"], {"output_limit": 0}, "output_limit=0"),
        (["true"], {"output_limit": True}, "output_limit=True"),
        (["true"], {"output_limit": 1.5}, "output_limit=1.5"),
    ],
)
def test_bad_input_is_refused(argv, named, words):
    """A command that could not run as it was meant is refused when it is made."""
    with pytest.raises(ConfigurationError, match=words) as caught:
        Command(argv, **named)

    assert "secret" not in str(caught.value)


def test_it_is_a_body_that_shows_no_secret():
    """It is called by its words, and its environment is nobody's business."""
    command = Command([Path("bin/agent.sh"), "a b"], env={"TOKEN": "secret"}, grace=0)

    assert isinstance(command, Body)
    assert str(command) == "bin/agent.sh 'a b'"
    assert "secret" not in repr(command)


def test_values_and_errors_pickle():
    """A result and a failure can be sent to another process."""
    completed = Completed(("sh", "-c", "exit 3"), 3, b"broken")
    failed = pickle.loads(pickle.dumps(CommandFailed(completed)))
    absent = pickle.loads(pickle.dumps(CommandFailed(completed, "no such file")))

    assert failed.completed == completed
    assert str(failed) == "`sh -c 'exit 3'` ended with status 3; it said last: broken"
    assert str(absent) == "`sh -c 'exit 3'` did not start: no such file; it said last: broken"
    assert isinstance(failed, HaltableError)


def test_messages_stay_short():
    """However long a command and its output are, a failure is one readable line."""
    failed = CommandFailed(Completed(("sh", "-c", "a\nb" * 1000), 3, b"line\n\n" * 9 + b"x" * 9000))

    assert len(str(failed)) < 500
    assert "\n" not in str(failed)
    assert repr(failed.completed).count("line") == 0


def test_the_door_is_light():
    """Opening the room loads no process, no event loop and none of its pieces."""
    code = (
        "import sys, haltable.bodies as room; "
        "assert not {'subprocess', 'anyio', 'asyncio', 'trio'} & set(sys.modules); "
        "assert 'Command' in dir(room) and 'Threaded' in dir(room); "
        "room.Command(['true']); room.Body, room.Completed, room.CommandFailed; "
        "assert not {'anyio', 'asyncio', 'trio'} & set(sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_door_has_no_other_names():
    """An unknown name is an AttributeError, as in any module."""
    with pytest.raises(AttributeError, match="no attribute 'Shell'"):
        bodies.__getattr__("Shell")
