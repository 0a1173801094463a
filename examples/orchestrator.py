# SPDX-License-Identifier: MIT
"""The main job: a daemon that polls a folder of task files and runs each task's command.

``python orchestrator.py FOLDER`` is the daemon, over a folder of your own.
Without a folder it lays one out, has the daemon work on it in three processes
one after the other, and checks what it claims.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
from pathlib import Path

import attrs

from haltable import (
    Deadline,
    ExitCondition,
    IterationCap,
    Loop,
    LoopBusy,
    Operator,
    Report,
    SQLiteStore,
    StallDetector,
)
from haltable.bodies import Command, CommandFailed, Completed
from haltable.conditions import file_exists, raised, returned
from haltable.evidence import Files

# -- The daemon: with the imports, fewer than 60 lines ---------------------------------


@attrs.frozen
class Task:
    """What a task file, tasks/<name>.json, says."""

    name: str
    command: list[str]
    evidence: str  # A glob over what the command makes.
    produces: str  # The file that is there when the task is done.

    @classmethod
    def read(cls, file: Path) -> Task:
        """Reads a task file."""
        return cls(file.stem, **json.loads(file.read_text()))

    def loop(self, store: SQLiteStore) -> Loop:
        """Returns the task's loop: a success, limits, and its name in the store."""
        return Loop(
            IterationCap(20, max_consecutive_failures=3),
            StallDetector(after=2, evidence=Files(self.evidence)),
            ExitCondition(success=file_exists(self.produces)),
            key=self.name,
            store=store,
            delay=0.25,
            lease=5,
        )


def serve() -> dict[str, Report[Completed]]:
    """Polls the task files of the current folder until each of them has ended."""
    ended: dict[str, Report[Completed]] = {}
    tasks = Path("tasks")
    all_ended = ExitCondition(success=lambda: len(ended) == len(list(tasks.glob("*.json"))))
    with SQLiteStore("loops.db") as store:
        for _ in Loop(Deadline(total=60), all_ended, delay=0.05):
            for task in map(Task.read, sorted(tasks.glob("*.json"))):
                try:
                    report = task.loop(store).step(Command(task.command))
                except LoopBusy:  # Another daemon is at it.
                    continue
                if report.status.terminal:
                    ended.setdefault(task.name, report)
    return ended


# -- The demonstration: four tasks, three processes, and a look at what happened -------

#: What each task does, after it has noted the try; three of the four are trouble.
JOBS = {
    "archive": "exit 1",
    "crawl": 'echo "progress: $((HALTABLE_STARTS * 10)) %" > status/crawl',
    "invoice": '[ $HALTABLE_STARTS = 2 ] && kill -9 $PPID; echo "invoice.pdf: not found"; exit 1',
    "letters": 'echo "Dear customer," > out/letters-$HALTABLE_STARTS',
}
#: What became of them: tries (None: as often as the clock allowed), status, and why.
CLAIMS = {
    "archive": (0, "succeeded", "it was done already"),
    "crawl": (None, "tripped", "its status claimed progress, nothing was produced"),
    "invoice": (3, "tripped", "broken: three tries in all, one of them a kill -9"),
    "letters": (3, "succeeded", "a good task: three letters, then done"),
}


def lay_out() -> None:
    """Writes the task files and what they need into the current folder."""
    for folder in ("jobs", "out", "status", "tasks", "tries"):
        Path(folder).mkdir()
    for name, job in JOBS.items():
        Path(f"jobs/{name}.sh").write_text(f"echo $HALTABLE_STARTS >> tries/{name}\n{job}\n")
        task = {
            "command": ["sh", f"jobs/{name}.sh"],
            "evidence": f"out/{name}-*",
            "produces": f"out/{name}-3",
        }
        Path(f"tasks/{name}.json").write_text(json.dumps(task))
    Path("out/archive-3").write_text("made last week")


def daemon() -> Completed:
    """Runs the daemon over the current folder, as a process of its own."""
    ended = ExitCondition(success=returned | raised(CommandFailed))
    report = Loop(IterationCap(1), ended).run(Command([sys.executable, __file__, "."]))
    error = report.error
    return error.completed if isinstance(error, CommandFailed) else report.unwrap()


def tries() -> dict[str, int]:
    """Returns how often each task was tried, as the tasks themselves have noted it."""
    notes = {name: Path("tries", name) for name in JOBS}
    return {
        name: len(note.read_text().splitlines()) if note.exists() else 0
        for name, note in notes.items()
    }


def claim(words: str, *, holds: bool) -> None:
    """Prints what the demonstration claims, and ends it if that is not so."""
    if not holds:
        sys.exit(f"This is NOT so: {words}")
    print(words)


def demonstrate() -> None:
    """Shows the daemon at work and checks what is said of it."""
    lay_out()
    first = daemon()
    claim(f"{first.text.strip()} was killed (-9) in invoice's second try", holds=first.signal == 9)
    second = daemon()
    who, receipts = second.text.split("\n", 1)
    claim(f"{who} went on and ended by itself:\n{receipts}", holds=second.status == 0)
    before, third = tries(), daemon()
    who, _ = third.text.split("\n", 1)
    claim(f"{who} found all ended and ran nothing", holds=third.status == 0 and tries() == before)
    print("Tries, as counted by the tasks themselves:")
    with SQLiteStore("loops.db", create=False) as store:
        for state in Operator(store).list():
            expected, status, why = CLAIMS[state.key]
            count = before[state.key]
            exact = state.starts == count and expected in {None, count}
            words = f"  {state.key:8} {count}  {status}: {why}"
            claim(words, holds=exact and state.status == status)


def main() -> None:
    """Serves the folder that is given; demonstrates without one."""
    if len(sys.argv) == 1:
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            demonstrate()
    else:
        os.chdir(sys.argv[1])
        logging.basicConfig(filename="daemon.log")
        print(f"daemon {os.getpid()}", flush=True)
        print(*serve().values(), sep="\n")


if __name__ == "__main__":
    main()
