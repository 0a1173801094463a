# SPDX-License-Identifier: MIT
"""The main job: a daemon that polls a folder of task files, and charges for each task once.

``python orchestrator.py FOLDER`` is the daemon, over a folder of your own.
Without a folder it lays one out, has the daemon work on it in four processes
one after the other, and checks what it claims.
"""

import contextlib
import json
import logging
import os
import sys
import tempfile
from pathlib import Path
from subprocess import check_output

import attrs

from haltable import (
    ExitCondition,
    IdempotencyGuard,
    Iteration,
    IterationCap,
    Loop,
    Operator,
    OutcomeUnknown,
    Poller,
    StallDetector,
)
from haltable.bodies import Command, CommandFailed, Completed
from haltable.conditions import file_exists, idle, raised, returned
from haltable.evidence import Files
from haltable.stores import SQLiteStore, Store

# -- The daemon: with the imports, at most 60 lines ----------------------------------


@attrs.frozen
class Task:
    """What a task file, tasks/<name>.json, says."""

    name: str
    charge: list[str]  # The command that charges the customer, and prints a receipt.
    command: list[str]  # Makes one try; is handed the receipt.
    evidence: str  # A glob over what the command makes.
    produces: str  # The file that is there when the task is done.

    def loop(self, store: Store) -> Loop:
        """Returns the task's loop; what nobody knows is fatal, for another try would not tell."""
        bounds = [
            IterationCap(20, max_consecutive_failures=3),
            StallDetector(after=2, evidence=Files(self.evidence)),
            IdempotencyGuard(),
            ExitCondition(success=file_exists(self.produces)),
        ]
        return Loop(*bounds, key=self.name, store=store, delay=0.3, lease=30, fatal=OutcomeUnknown)

    def attempt(self, iteration: Iteration) -> Completed:
        """Makes one try, for which the customer is charged unless that was done before."""
        receipt = iteration.once(f"charge:{self.name}", check_output, self.charge, text=True)
        return Command([*self.command, receipt.strip()])(iteration)


def ready() -> list[tuple[str, Task]]:
    """Returns what the task files of the current folder say."""
    files = sorted(Path("tasks").glob("*.json"))
    return [(file.stem, Task(file.stem, **json.loads(file.read_text()))) for file in files]


def serve() -> None:
    """Polls the task files until each of them has ended, and prints their receipts."""
    with SQLiteStore("loops.db") as store:
        Poller(
            ready,
            Task.attempt,
            loop=lambda task: task.loop(store),
            until=idle,
            every=0.05,
            ended=print,
        ).run()


# -- The demonstration: five tasks, four processes, and a look at what happened --------

#: What each task does, after it has noted the try; three of the five are trouble.
JOBS = {
    "archive": "exit 1",
    "crawl": 'echo "progress: $((HALTABLE_STARTS * 10)) %" > status/crawl',
    "invoice": '[ $HALTABLE_STARTS = 1 ] && kill -9 $DAEMON; echo "not found"; exit 1',
    "letters": 'echo "Dear customer," > out/letters-$HALTABLE_STARTS',
    "shoes": 'echo "paid, $1" > out/shoes-3',
}
#: The provider charges as often as he is asked to, and notes each time.  Whoever asks him to
#: charge for the shoes is killed when that is noted, before hearing of it.
PROVIDER = """
echo "$1" >> provider.txt
[ "$1" = shoes ] && kill -9 $PPID
echo "receipt $(grep -c . provider.txt)"
"""
#: What became of them: tries (None: as often as the clock allowed), charges, status, and why.
CLAIMS = {
    "archive": (0, 0, "succeeded", "it was done already"),
    "crawl": (None, 1, "tripped", "it claimed progress and produced nothing"),
    "invoice": (3, 1, "tripped", "broken: three tries, one a kill -9"),
    "letters": (3, 1, "succeeded", "a good task: three letters, then done"),
    "shoes": (1, 1, "succeeded", "killed in the gap, charged once"),
}


def lay_out() -> None:
    """Writes the task files and what they need into the current folder."""
    for folder in ("jobs", "out", "status", "tasks", "tries"):
        Path(folder).mkdir()
    Path("provider.sh").write_text(PROVIDER)
    Path("provider.txt").touch()
    for name, job in JOBS.items():
        Path(f"jobs/{name}.sh").write_text(f"echo $HALTABLE_STARTS >> tries/{name}\n{job}\n")
        task = {
            "charge": ["sh", "provider.sh", name],
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


def charges() -> list[str]:
    """Returns what the provider has charged for, as he himself has noted it."""
    return Path("provider.txt").read_text().split()


def claim(words: str, *, holds: bool) -> None:
    """Prints what the demonstration claims, and ends it if that is not so."""
    if not holds:
        sys.exit(f"This is NOT so: {words}")
    print(words)


def resolve() -> None:
    """Does what the operator does whom the receipt has called."""
    with SQLiteStore("loops.db", create=False) as store:
        ops = Operator(store)
        (effect,) = ops.effects("unknown")
        receipt = f"receipt {charges().index('shoes') + 1}"
        claim(
            "The operator looks at the provider's list, finds shoes in it, and says so:",
            holds=effect.key == "charge:shoes",
        )
        ops.resolve(effect.key, "done", result=receipt, by="ana", why="seen")
        print(f"  ops.resolve({effect.key!r}, 'done', result={receipt!r}, by='ana', why='seen')")
        ops.reset("shoes", by="ana", why="paid")
        print("  ops.reset('shoes', by='ana', why='paid')")


def demonstrate() -> None:
    """Shows the daemon at work and checks what is said of it."""
    lay_out()
    print("Five tasks, each to be charged for once, however often it is tried:")
    first = daemon()
    so = first.signal == 9 and tries()["invoice"] == 1
    claim("daemon 1 was killed (-9) by invoice, in its first try", holds=so)
    second, charged = daemon(), charges()
    so = second.signal == 9 and charged.count("shoes") == 1
    claim("daemon 2 was killed (-9) between the charge for shoes and its record", holds=so)
    third = daemon()
    *others, shoes = sorted(receipts(third.text), key=lambda text: "unknown effects" in text)
    so = third.status == 0 and charges() == charged and "unknown effects charge:shoes" in shoes
    claim("daemon 3 went on, charged nobody again, and ended by itself:", holds=so)
    print(*(text.splitlines()[0] for text in others), shoes, sep="\n")
    resolve()
    tried, fourth = tries(), daemon()
    so = fourth.status == 0 and charges() == charged and tries() == {**tried, "shoes": 1}
    so = so and Path("out/shoes-3").read_text() == "paid, receipt 4\n"
    claim("daemon 4 ended shoes with that receipt, charged nobody, ran nothing else", holds=so)
    summarise()


def receipts(text: str) -> list[str]:
    """Returns the receipts that a daemon has printed: each begins at the left margin."""
    return [text.replace("\0", "\n ") for text in text.strip().replace("\n ", "\0").split("\n")]


def summarise() -> None:
    """Holds what everybody has counted against each other."""
    print("Tries as the tasks counted them, charges as the provider did:")
    with SQLiteStore("loops.db", create=False) as store:
        for state in Operator(store).list():
            expected, paid, status, why = CLAIMS[state.key]
            count, bills = tries()[state.key], charges().count(state.key)
            exact = state.starts == count and expected in {None, count} and bills == paid
            words = f"  {state.key:8}tries {count:2}, charges {bills}  {status}: {why}"
            claim(words, holds=exact and state.status == status)


def main() -> None:
    """Serves the folder that is given; demonstrates without one."""
    if len(sys.argv) == 1:
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            demonstrate()
    else:
        os.environ["DAEMON"] = str(os.getpid())
        with contextlib.chdir(sys.argv[1]):
            logging.basicConfig(filename="daemon.log")
            serve()


if __name__ == "__main__":
    main()
