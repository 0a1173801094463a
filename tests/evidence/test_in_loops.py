# SPDX-License-Identifier: MIT
"""Each kind of evidence under a stall detector: one that trips, and one that does not.

The bodies are those that fool other stall checks: they touch, rewrite, delete
and restore, and go back and forth, and produce nothing.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from functools import partial

import pytest

from haltable import IterationCap, Loop, MemoryStore, StallDetector
from haltable.evidence import Files, GitTree, Output, Probe, Rows
from haltable.testing import FakeClock
from tests.evidence.repositories import Repository

AFTER, SECONDS, CAP = 10, 4, 12


def files_in(path):
    """Evidence, what produces something, and what only looks as if it did."""
    file = path / "one.md"
    file.write_text("one")

    acts = {
        "touch": [partial(os.utime, file, (1, 1)), file.touch],
        "rewrite": [partial(file.write_text, "one")],
        "delete and restore": [file.unlink, partial(file.write_text, "one")],
        "toggle": [partial(file.write_text, "other"), partial(file.write_text, "one")],
    }
    return file, acts


def files(path):
    """Files on a disk."""
    _, acts = files_in(path)
    return Files("*.md", root=path), lambda n: (path / f"{n}.md").write_text(""), acts


def git_tree(path):
    """A git work tree, in which nobody commits."""
    repository = Repository.at(path, **{"one.md": "one"})
    _, acts = files_in(path)
    acts |= {
        "stage": [partial(repository.git, "add", "-A")],
        "commit nothing": [partial(repository.git, "commit", "-q", "--allow-empty", "-m", "work")],
    }
    return GitTree(path), lambda n: (path / f"{n}.md").write_text(""), acts


def git_commits(path):
    """A git work tree that is always clean when it is looked at."""
    repository = Repository.at(path, **{"one.md": "one"})

    def commit(name, text):
        (path / name).write_text(text)
        repository.commit(text)

    acts = {"toggle": [partial(commit, "one.md", "other"), partial(commit, "one.md", "one")]}
    return GitTree(path), lambda n: commit("one.md", f"work {n}"), acts


def rows(path):
    """Rows of a database."""

    def execute(*queries):
        with contextlib.closing(sqlite3.connect(path / "work.db")) as other:
            for query in queries:
                other.execute(query)
            other.commit()

    execute("create table work (state)", "insert into work values ('new')")
    acts = {
        "rewrite": [partial(execute, "update work set state = state")],
        "delete and restore": [
            partial(execute, "delete from work"),
            partial(execute, "insert into work values ('new')"),
        ],
        "toggle": [
            partial(execute, "update work set state = 'old'"),
            partial(execute, "update work set state = 'new'"),
        ],
    }
    evidence = Rows("select state from work", partial(sqlite3.connect, path / "work.db"))
    return evidence, lambda _: execute("insert into work values ('new')"), acts


def output(path):
    """The output of a command."""
    _, acts = files_in(path)
    return Output(["ls", str(path)]), lambda n: (path / f"{n}.md").write_text(""), acts


def probe(path):
    """What a function returns."""
    state = {"now": 0}
    acts = {
        "rewrite": [lambda: state.update(now=0)],
        "toggle": [lambda: state.update(now=1), lambda: state.update(now=0)],
    }
    return Probe(lambda: state["now"], name="state"), lambda n: state.update(now=n + 2), acts


def either(path):
    """Two pieces, of which one is enough."""
    evidence, produce, acts = files(path)
    return evidence | Probe(lambda: 0, name="never"), produce, acts


def both(path):
    """Two pieces, of which none may fail."""
    evidence, produce, acts = files(path)
    count = []
    advancing = Probe(lambda: count.append(0) or len(count), name="always")
    return evidence & advancing, produce, acts


KINDS = [files, git_tree, git_commits, rows, output, probe, either, both]
IDLE = [
    (kind, act)
    for kind, acts in {
        files: ["touch", "rewrite", "delete and restore", "toggle"],
        git_tree: [
            *("touch", "rewrite", "delete and restore", "toggle", "stage", "commit nothing"),
        ],
        git_commits: ["toggle"],
        rows: ["rewrite", "delete and restore", "toggle"],
        output: ["touch", "rewrite", "delete and restore", "toggle"],
        probe: ["rewrite", "toggle"],
        either: ["toggle"],
        both: ["toggle"],
    }.items()
    for act in acts
]


def looped(evidence, clock, **options):
    """Returns a loop under a stall detector, with a cap that ends it otherwise."""
    return Loop(
        StallDetector(after=AFTER, evidence=evidence), IterationCap(CAP), clock=clock, **options
    )


@pytest.mark.parametrize("kind", KINDS)
def test_it_goes_on_while_something_is_produced(kind, tmp_path):
    """One new thing in two iterations, within the window, and only the cap ends the loop."""
    evidence, produce, _ = kind(tmp_path)
    clock = FakeClock()

    def body(iteration):
        clock.advance(SECONDS)
        if iteration.number % 2 == 0:
            produce(iteration.number)

    report = looped(evidence, clock).run(body)

    assert (report.breaker, report.starts) == ("IterationCap", CAP)


@pytest.mark.parametrize("kind", KINDS)
def test_it_trips_when_nothing_is(kind, tmp_path):
    """A body that does nothing is stopped at the end of the first window."""
    evidence, _, _ = kind(tmp_path)
    clock = FakeClock()
    report = looped(evidence, clock).run(lambda: clock.advance(SECONDS))

    assert (report.breaker, report.starts) == ("StallDetector", 3)
    assert report.reason == f"nothing new in {evidence} for 12 s"


@pytest.mark.parametrize("kind", KINDS)
def test_it_trips_when_nothing_is_any_more(kind, tmp_path):
    """What was produced at first counts for one window, and no longer."""
    evidence, produce, _ = kind(tmp_path)
    clock = FakeClock()

    def body(iteration):
        clock.advance(SECONDS)
        if iteration.number <= 2:
            produce(iteration.number)

    report = looped(evidence, clock).run(body)

    assert (report.breaker, report.starts) == ("StallDetector", 5)


@pytest.mark.parametrize("kind", KINDS)
async def test_async_loops_ask_it_too(kind, tmp_path):
    """On either event loop it goes on while something is produced, and trips when nothing is."""
    evidence, produce, _ = kind(tmp_path)
    clock = FakeClock()

    async def body(iteration):
        clock.advance(SECONDS)
        if iteration.number <= 4:
            produce(iteration.number)

    report = await looped(evidence, clock).arun(body)

    assert (report.breaker, report.starts) == ("StallDetector", 7)


@pytest.mark.parametrize(("kind", "act"), IDLE)
def test_motion_is_no_progress(kind, act, tmp_path):
    """However busy a body looks, going through states that were there before trips."""
    evidence, _, acts = kind(tmp_path)
    clock = FakeClock()

    def body(iteration):
        clock.advance(SECONDS)
        acts[act][(iteration.number - 1) % len(acts[act])]()

    report = looped(evidence, clock).run(body)

    # The second of two states is new once, in the first iteration.
    assert (report.breaker, report.failures) == ("StallDetector", 0)
    assert report.starts in {3, 4}


@pytest.mark.parametrize("kind", [files, git_tree, rows])
def test_what_was_seen_is_known_after_a_restart(kind, tmp_path):
    """A process that comes back does not take for new what was there before."""
    evidence, _, acts = kind(tmp_path)
    clock, store = FakeClock(), MemoryStore()
    there, back = acts["toggle"]
    starts = 0
    for _ in range(CAP):
        run = looped(kind_again(kind, tmp_path, evidence), clock, key="work", store=store).start()

        def body(run=run):
            nonlocal starts
            clock.advance(SECONDS)
            (there, back)[starts % 2]()
            starts += 1
            run.stop("the process is restarted")

        report = run.run(body)
        if report.status.terminal:
            break

    assert (report.breaker, report.starts) == ("StallDetector", 4)


def kind_again(kind, path, evidence):
    """Returns what a new process would make of the same evidence."""
    if kind is files:
        return Files("*.md", root=path)
    if kind is git_tree:
        return GitTree(path)
    return evidence


@pytest.mark.parametrize("kind", [files, git_tree, output])
def test_what_cannot_be_seen_is_said(kind, tmp_path):
    """Evidence that went out of sight is no stall: after a window it is blind, with its words."""
    evidence, _, _ = kind(tmp_path)
    clock = FakeClock()

    def body():
        clock.advance(SECONDS)
        shutil.rmtree(tmp_path)

    report = Loop(
        StallDetector(after=AFTER, evidence=evidence),
        IterationCap(CAP, max_consecutive_failures=None),
        clock=clock,
    ).run(body)

    assert report.breaker == "StallDetector"
    assert report.reason.startswith(f"blind: could not see {evidence} for 12 s (")
