# SPDX-License-Identifier: MIT
"""Every option of ``haltable run`` by a real process, and every way to get it wrong."""

from __future__ import annotations

import json
import tomllib

import pytest

COUNT = ("sh", "-c", "echo run >> runs")
FAIL = ("sh", "-c", "echo run >> runs; exit 4")


@pytest.fixture
def runs(haltable):
    """Returns how often the command ran."""
    file = haltable.path / "runs"
    return lambda: len(file.read_text().splitlines()) if file.exists() else 0


@pytest.mark.parametrize(
    ("options", "command", "ended"),
    [
        (("--max", 4), COUNT, (90, 4)),
        (("--max", 9), FAIL, (92, 3)),
        (("--max", 9, "--max-consecutive-failures", 2), FAIL, (92, 2)),
        (("--max", 5, "--max-consecutive-failures", "none"), FAIL, (90, 5)),
        (("--max", 9, "--max-failures", 1), FAIL, (92, 1)),
        (("--max", 9, "--fatal-exit", "3,4"), FAIL, (93, 1)),
        (("--max", 4, "--transient-exit", "4"), FAIL, (90, 4)),
        (("--max", 9, "--until", "test $(wc -l < runs) -ge 2"), COUNT, (0, 2)),
        (("--max", 9, "--until", "test -e runs"), FAIL, (0, 1)),
        (("--max", 9, "--give-up-if", "test -e runs"), COUNT, (93, 1)),
        (("--max", 2, "--backoff", "1ms..2ms"), FAIL, (90, 2)),
        (("--max", 2, "--every", "1ms"), COUNT, (90, 2)),
        (("--total-timeout", "1h", "--until", "test -e runs"), COUNT, (0, 1)),
        (("--max", 2, "--iteration-timeout", "1h", "--idle-timeout", "1h"), COUNT, (90, 2)),
        (("--max", 3, "--evidence", "runs", "--stall", "1h"), COUNT, (90, 3)),
        (
            ("--max", 3, "--evidence", "cmd:cat runs", "--evidence", "*", "--stall", 60),
            COUNT,
            (90, 3),
        ),
    ],
)
def test_an_option_does_what_it_says(haltable, runs, options, command, ended):
    """The command runs as often as the options let it, and ends with the code for why."""
    code, ran = ended
    run = haltable("run", *options, "--", *command)

    assert (run.code, runs()) == (code, ran), run.err
    assert run.out == ""


def test_evidence_that_git_sees(haltable, runs):
    """A directory without a repository is blind evidence, which ends the loop as a stall."""
    options = ("--max", 99, "--evidence", "git", "--stall", "0.5s", "--every", "0.1s")
    ended = haltable("run", *options, "--", *COUNT)

    assert (ended.code, "blind" in ended.err) == (91, True)


def test_counts_of_a_key_survive(haltable, runs):
    """With a key, a cap counts the starts of all runs, in the documented default file."""
    (haltable.path / "stop").touch()
    first = haltable("run", "--key", "k", "--max", 3, "--give-up-if", "test -e never", "--", *COUNT)
    second = haltable("run", "--key", "k", "--max", 3, "--", *COUNT)

    assert (first.code, second.code, runs()) == (90, 95, 3)
    assert (haltable.path / "state" / "haltable" / "loops.db").exists()
    assert "none in this run" in second.err


def test_green_at_the_start_runs_nothing(haltable, runs):
    """A condition that holds before the start is success: nothing runs, and that is said."""
    ended = haltable("run", "--max", 3, "--until", "true", "--", *COUNT)

    assert (ended.code, runs(), ended.out) == (0, 0, "")
    assert ended.err.startswith("already done, nothing ran\n")


def test_the_log_has_a_line_for_each_event(haltable):
    """The log is lines of JSON in the order in which things happened; a second run appends."""
    for _ in range(2):
        haltable("run", "--max", 1, "--log", "loop.jsonl", "--", "true")
    lines = [json.loads(line) for line in (haltable.path / "loop.jsonl").read_text().splitlines()]
    names = [line["event"] for line in lines]

    assert names == ["IterationStarted", "IterationEnded", "RunEnded"] * 2
    assert lines[2]["ruling"]["status"] == "tripped"


def test_the_report_is_one_object(haltable):
    """The report holds the status, the counts, the exit code and the command's last words."""
    haltable("run", "--max", 1, "--report", "report.json", "--", "sh", "-c", "echo no; exit 7")
    report = json.loads((haltable.path / "report.json").read_text())

    assert (report["status"], report["starts"], report["exit_code"]) == ("tripped", 1, 90)
    assert "ended with status 7; it said last: no" in report["error"]


def test_the_contract_can_stand_in_a_file(haltable, runs):
    """What a file says holds, and what the command line says wins."""
    (haltable.path / "haltable.toml").write_text(
        'command = ["sh", "-c", "echo run >> runs"]\nmax = 5\nuntil = "test -e runs"\n'
        'evidence = ["*.out"]\nstall = "10m"\n'
    )
    first = haltable("run")
    second = haltable("run", "--max", 2, "--until", "false")

    assert (first.code, second.code, runs()) == (0, 90, 3)


def test_the_contract_can_stand_beside_a_project(haltable, runs):
    """A table in pyproject.toml does the same, and other people's tables are left alone."""
    (haltable.path / "pyproject.toml").write_text(
        "[tool.haltable]\nmax = 2\nevery = 0.001\n[tool.haltable.theirs]\nx = 1\n[tool.other]\n"
    )

    assert (haltable("run", "--", *COUNT).code, runs()) == (90, 2)


def test_a_dry_run_shows_the_contract(haltable, runs):
    """A dry run starts nothing and writes nothing; what it shows is a contract itself."""
    options = (
        "--max",
        4,
        "--until",
        'grep "x" f',
        "--stall",
        "90s",
        "--evidence",
        "a",
        "--key",
        "k",
    )
    dry = haltable("run", *options, "--backoff", "1s..5m", "--dry-run", "--", *COUNT)
    (haltable.path / "again.toml").write_text(dry.out)
    again = haltable("run", "--config", "again.toml", "--dry-run")

    assert (dry.code, dry.err, runs()) == (0, "", 0)
    assert tomllib.loads(dry.out)["until"] == 'grep "x" f'
    assert again.out == dry.out
    assert not (haltable.path / "state").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--max", "0"), "--max 0: give a whole number of at least 1"),
        (("--max", "many"), "--max many: give a whole number"),
        (("--max-failures", "-1"), "give a whole number of at least 1"),
        (("--max", "1", "--max-consecutive-failures", "0"), "or none for no such limit"),
        (("--total-timeout", "soon"), "--total-timeout soon: give a duration"),
        (("--total-timeout", "0"), "give a duration"),
        (("--total-timeout", "1e999"), "give a duration"),
        (("--max", "1", "--backoff", "5m..1s"), "--backoff 5m..1s: give the first and the longest"),
        (("--max", "1", "--until", ""), "--until : give a text that is not empty"),
        (("--max", "1", "--fatal-exit", "0"), "give an exit status, 1 to 255"),
        (("--max", "1", "--fatal-exit", "3", "--transient-exit", "3"), "both fatal and transient"),
        (("--max", "1", "--stall", "1s"), "--stall needs --evidence"),
        (("--max", "1", "--evidence", "x"), "--evidence needs --stall"),
        (("--max", "1", "--every", "1s", "--backoff", "1s..2s"), "give one of them"),
        (("--total-timeout", "1s", "--evidence", "x", "--stall", "2s"), "could never speak"),
        (("--max", "1", "--bogus", "3"), "--bogus"),
        (("--ma", "1"), "--ma"),
        (("--max",), "expected one argument"),
        ((), "nothing bounds this loop"),
        (("--iteration-timeout", "1s"), "nothing bounds this loop"),
        (("--max", "1", "--key", "k", "--store", "/dev/null/s.db"), "s.db"),
        (("--max", "1", "--key", "k", "--store", "."), "it is a directory"),
        (("--max", "1", "--log", "none/x.jsonl"), "--log none/x.jsonl: it cannot be written"),
        (("--max", "1", "--report", "none/r.json"), "--report none/r.json: it cannot be written"),
        (("--max", "1", "--config", "none.toml"), "none.toml: it cannot be read"),
    ],
)
def test_a_wrong_option_is_one_sentence(haltable, runs, options, said):
    """A wrong option or an unwritable file is refused in one sentence; nothing is started."""
    refused = haltable("run", *options, "--", *COUNT)

    assert (refused.code, runs(), refused.out) == (125, 0, "")
    assert said in refused.sentence


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("max = 0", "haltable.toml, top table: max = 0: give a whole number of at least 1"),
        ('stall = "soon"', "haltable.toml, top table: stall = 'soon': give a duration"),
        ("maxx = 3", "haltable.toml, top table: maxx = 3: there is no such option"),
        ('command = "true"', "haltable.toml, top table: command = 'true': give the program"),
        ("evidence = [1]", "haltable.toml, top table: evidence = [1]: give a text"),
        ("max = ", "haltable.toml: it is no TOML"),
    ],
)
def test_a_malformed_file_is_one_sentence(haltable, runs, content, said):
    """What is wrong in a file is said with file, table, key and value; nothing is started."""
    (haltable.path / "haltable.toml").write_text(content)
    refused = haltable("run", "--max", 1, "--", *COUNT)

    assert (refused.code, runs()) == (125, 0)
    assert said in refused.sentence


def test_a_wrong_value_beside_a_project_names_its_table(haltable):
    """In pyproject.toml the table is named too."""
    (haltable.path / "pyproject.toml").write_text("[tool.haltable]\nmax = true\n")

    said = haltable("run", "--", "true").sentence
    assert "pyproject.toml, table [tool.haltable]: max = True: give a whole number" in said


def test_a_project_whose_tools_are_no_table_is_named(haltable):
    """So is the place of a value that stands where a table belongs."""
    (haltable.path / "pyproject.toml").write_text("tool = 3\n")

    said = haltable("run", "--", "true").sentence
    assert "pyproject.toml, top table: tool = 3: it must be a table" in said


def test_a_dry_run_shows_long_durations_in_full(haltable):
    """What it shows can be read again, however long a duration is."""
    options = ("--total-timeout", "1000001.5", "--backoff", "1s..2000001s")
    shown = haltable("run", "--dry-run", *options, "--", "true").out

    assert "total-timeout = 1000001.5\n" in shown
    assert 'backoff = "1s..2000001s"' in shown


def test_a_store_that_cannot_be_written_is_one_sentence(haltable, runs):
    """A store that is no store of ours is refused before anything runs."""
    (haltable.path / "s.db").write_text("not a database, but long enough to look like one" * 9)
    refused = haltable("run", "--key", "k", "--store", "s.db", "--max", 1, "--", *COUNT)

    assert (refused.code, runs()) == (125, 0)
    assert "s.db" in refused.sentence


def test_words_before_the_dashes_are_ours(haltable):
    """A word before -- is refused, and without -- what follows the options is the command."""
    assert "stands before --" in haltable("run", "--max", 1, "x", "--", "true").sentence
    assert haltable("run", "--max", 1, "echo", "-n", "--max").out == "--max"


@pytest.mark.parametrize(
    "words", [("--help",), ("run", "--help"), ("ls", "--help"), ("--version",)]
)
def test_help_is_no_error(haltable, words):
    """Help and version go to the standard output, with 0."""
    shown = haltable(*words)

    assert (shown.code, shown.err) == (0, "")
    assert "haltable" in shown.out
