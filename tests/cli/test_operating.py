# SPDX-License-Identifier: MIT
"""The operator's acts as real processes, beside loops that run and loops that have ended."""

from __future__ import annotations

import getpass
import json
import shlex
import signal

import pytest

from tests.cli.commands import Ended

KEPT = ("--store", "s.db")


def ended_key(haltable, key="report"):
    """Leaves a key that has used its one start."""
    return haltable("run", "--key", key, *KEPT, "--max", 1, "--", "true")


def an_array(ended):
    """Returns what was written as JSON, which is one array."""
    assert ended.code == 0, ended.err
    values = json.loads(ended.out)
    assert isinstance(values, list)
    return values


def test_ls_shows_every_key(haltable):
    """Each key has a row, and with a status only those that stand so."""
    ended_key(haltable)
    haltable("run", "--key", "done", *KEPT, "--max", 1, "--until", "true", "--", "true")
    heads, *rows = haltable("ls", *KEPT).out.splitlines()
    tripped = an_array(haltable("ls", "--status", "tripped", "--json", *KEPT))

    assert heads.split() == ["STATUS", "KEY", "STARTS", "FAILED", "ALIVE", "WRITTEN", "WHY"]
    assert [row.split()[:3] for row in rows] == [
        ["succeeded", "done", "0/1"],
        ["tripped", "report", "1/1"],
    ]
    assert [state["key"] for state in tripped] == ["report"]


def test_a_receipt_ends_with_what_works(haltable):
    """The command that a receipt ends with does what it says when it is typed."""
    receipt = ended_key(haltable).err
    step = receipt.partition("  next: ")[2].splitlines()[0]
    program, *words = shlex.split(step)
    extended = haltable(*words)

    assert (program, extended.code) == ("haltable", 0)
    assert "starts 1 of 11" not in receipt
    assert ended_key(haltable).code == 90


def test_who_and_why_are_kept(haltable):
    """An act is in the history with who (the login name by default) and why."""
    ended_key(haltable)
    haltable("reset", "report", "--why", "mended", *KEPT)
    haltable("stop", "report", "--by", "ana", "--why", "no more", *KEPT)
    (state,) = an_array(haltable("show", "report", "--json", *KEPT))
    acts = [(act["act"], act["by"], act["why"]) for act in state["history"]]

    assert acts == [("reset", getpass.getuser(), "mended"), ("stop", "ana", "no more")]
    assert haltable("run", "--key", "report", *KEPT, "--max", 1, "--", "true").code == 95


def test_words_of_others_are_shown_and_not_obeyed(haltable):
    """Whoever stops a loop writes on no other one's terminal what that would carry out."""
    ended_key(haltable)
    words = "because\n\x1b[2J"
    shown = [
        haltable("reset", "report", "--why", words, *KEPT),
        haltable("stop", "report", "--by", words, "--why", words, *KEPT),
        haltable("show", "report", *KEPT),
        haltable("ls", *KEPT),
    ]

    said = "".join(each.out + each.err for each in shown)
    assert "\x1b" not in said
    assert "\\x1b[2J" in said


def test_a_running_key_has_one_run_and_can_be_stopped(haltable, tether):
    """A second run says who holds the key and starts nothing; a stop ends the first mid-body."""
    script = tether.TIE + "sleep 1000"
    loop = ("run", "--key", "report", *KEPT, "--max", 9, "--", "sh", "-c", script)
    first = haltable.start(*loop)
    tether.hear()
    second = haltable(*loop)
    shown = haltable("show", "report", *KEPT).out
    stopped = haltable("stop", "report", "--by", "ana", "--why", "enough", *KEPT)
    ended = haltable.end(first)
    tether.hear_all()

    assert (second.code, stopped.code, ended.code) == (96, 0, 94)
    assert f"process {first.pid}" in second.sentence or str(first.pid) in second.sentence
    assert str(first.pid) in shown
    assert "STOPPED  report   operator: stopped by ana: enough" in ended.err


def test_an_unknown_effect_is_resolved(haltable):
    """An effect that ended nobody knows how is listed, and runs no more once it is resolved."""
    once = ("run", "--once-key", "pay", *KEPT, "--max", 3, "--")
    failed = haltable(*once, "sh", "-c", "echo paid >> ledger; exit 1")
    unknown = an_array(haltable("effects", "--state", "unknown", "--json", *KEPT))
    resolved = haltable("resolve", "pay", "done", "--why", "seen", *KEPT)
    again = haltable(*once, "sh", "-c", "echo paid >> ledger")

    assert (failed.code, resolved.code, again.code) == (93, 0, 0)
    assert "haltable resolve pay done" in failed.err
    assert [view["key"] for view in unknown] == ["pay"]
    assert resolved.out.startswith("DONE  pay")
    assert (haltable.path / "ledger").read_text() == "paid\n"


def test_an_effect_is_carried_out_once(haltable):
    """A command that is an effect is carried out by the first run only, and both succeed."""
    once = ("run", "--once-key", "pay", *KEPT, "--max", 3, "--", "sh", "-c", "echo paid")
    first, second = haltable(*once), haltable(*once)

    assert [(each.code, each.out) for each in (first, second)] == [(0, "paid\n"), (0, "")]
    assert an_array(haltable("purge", "--older-than", "1ms", "--json", *KEPT)) == []


def test_watch_elsewhere_than_on_a_terminal_looks_once(haltable):
    """Written to a pipe, `watch` is one table without escape codes."""
    ended_key(haltable)
    watched = haltable("watch", *KEPT)

    assert watched.out.splitlines()[0].startswith("STATUS")
    assert "\x1b" not in watched.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("ls",), "there is no store at"),
        (("ls", "--status", "bad"), "invalid choice"),
        (("show",), "required: KEY"),
        (("stop", "report"), "required: --why"),
        (("extend", "report", "--why", "x", "--starts", "0"), "whole number of at least 1"),
        (("purge", "--older-than", "soon"), "give a duration"),
        (("resolve", "pay", "done", "--why", "x", "--result", "{"), "give JSON"),
        (("fly",), "there is no act 'fly'"),
        ((), "say what to do"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(haltable, words, said):
    """A wrong act is refused in one sentence, with 125."""
    refused: Ended = haltable(*words)

    assert refused.code == 125
    assert said in refused.sentence
    assert refused.out == ""


def test_an_unknown_key_is_named(haltable):
    """An act on a key that never started says so, and where it looked."""
    ended_key(haltable)

    assert "'other' ever started, in s.db" in haltable("show", "other", *KEPT).sentence


def test_the_store_of_the_contract_is_found(haltable):
    """In a directory with a contract, acts work on its store, and receipts need not name it."""
    (haltable.path / "haltable.toml").write_text(
        'command = ["true"]\nmax = 1\nkey = "report"\nstore = "kept.db"\n'
    )
    haltable("run")

    assert "haltable extend report" in haltable("show", "report").out
    assert (haltable.path / "kept.db").exists()


def test_effects_are_a_table(haltable):
    """Without --json, effects are rows: state, key, attempts, age, loop and why."""
    once = ("run", "--key", "shop", "--once-key", "pay", *KEPT, "--max", 3, "--")
    haltable(*once, "sh", "-c", "exit 3")
    heads, row = haltable("effects", *KEPT).out.splitlines()

    assert heads.split() == ["STATE", "KEY", "ATTEMPTS", "WRITTEN", "LOOP", "WHY"]
    assert row.split()[:3] == ["unknown", "pay", "1"]
    assert "shop  it ended with CommandFailed" in row


def test_a_key_names_its_unknown_effects(haltable):
    """`show` lists the unknown effects of a key, and ends with the command that resolves one."""
    once = ("run", "--key", "shop", "--once-key", "pay", *KEPT, "--max", 3, "--")
    haltable(*once, "sh", "-c", "exit 3")
    shown = haltable("show", "shop", *KEPT).out

    assert "\n  unknown effect pay\n" in shown
    assert shown.endswith(
        "  next: haltable resolve pay done --why 'it has happened' --store s.db\n"
    )


def test_a_key_that_succeeded_can_be_done_again(haltable):
    """`show` of a success ends with the command that begins anew, and that works."""
    keyed = ("run", "--key", "k", *KEPT, "--max", 1, "--until", "test -e done")
    haltable(*keyed, "--", "touch", "done")
    (haltable.path / "done").unlink()
    step = haltable("show", "k", *KEPT).out.partition("  next: ")[2]
    before = haltable(*keyed, "--", "touch", "done").err
    haltable(*shlex.split(step)[1:])

    assert before.startswith("already done, nothing ran\n")
    assert haltable(*keyed, "--", "false").code == 90


def test_a_wrong_store_in_the_contract_is_named(haltable):
    """An act in a directory whose contract is wrong says what is wrong there."""
    (haltable.path / "haltable.toml").write_text("store = 7\n")

    assert "haltable.toml, top table: store = 7: give a text" in haltable("ls").sentence


def test_a_reader_that_leaves_an_act(haltable):
    """An act whose output nobody reads ends as any program in a pipe does."""
    ended_key(haltable)
    process = haltable.start("ls", *KEPT)
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()

    assert (process.wait(), err) == (128 + signal.SIGPIPE, b"")
