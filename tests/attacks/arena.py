# SPDX-License-Identifier: MIT
"""Where an attack takes place, and whether the cap and all around it have held."""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import attr
import attrs
import typing_extensions

import haltable
from haltable import IterationCap, Loop, SQLiteStore
from tests.attacks import bodies
from tests.attacks.attacks import ATTACKS, OUTSIDE, Attack
from tests.bodies import shut

#: Seconds after which a program is given up that has not ended, from the last start of its body.
PATIENCE = 5.0
#: Seconds that nobody needs to write to the store.
A_WRITE = 0.7
#: Seconds in which a killed program's bodies end: their grace, and one more.
A_MOMENT = 2.0
#: A program that dies is started so often.
MOST_RUNS = 4
#: More than a program with a loop needs, whatever its bodies say.
MEGABYTES = 150
#: Another loop's record, which is to stay as it is.
WITNESS = "haltable/loop/witness"
#: What a program needs of ours to run a loop of commands.
NEEDED = (haltable, attr, attrs, typing_extensions)


@attrs.frozen
class Fight:
    """What has come of an attack.

    Args:
        damage: in words; nothing if all has held.
        said: what the program with the loop wrote at its end, first and second run.
    """

    damage: tuple[str, ...]
    said: tuple[dict[str, Any] | None, ...]

    @property
    def held(self) -> bool:
        return not self.damage


def fight(attack: Attack | str, level: str, user: str) -> Fight:
    """Lets a body attack its loop, and looks at what is left.

    Args:
        attack: which, or the name of another body.
        level: ``iteration``, ``child`` or ``confined``.
        user: who runs both.
    """
    place = shut.made(user)
    try:
        name = attack if isinstance(attack, str) else attack.body
        return _Fight(place, level, name).fought()
    finally:
        for left in _left(place.root):
            with contextlib.suppress(ProcessLookupError):
                os.kill(left, signal.SIGKILL)
        place.root.chmod(0o755)
        shutil.rmtree(place.root)


def fights(number: int, levels: Sequence[str]) -> dict[str, dict[str, Fight]]:
    """Tries an attack at these levels, two fights at a time; by level and user."""
    cells = [(level, user) for level in levels for user in users(number, level)]
    with ThreadPoolExecutor(2) as pool:  # A thread only waits for its program.
        fought = pool.map(lambda cell: fight(ATTACKS[number], *cell), cells)
        found: dict[str, dict[str, Fight]] = {level: {} for level in levels}
        for (level, user), each in zip(cells, fought, strict=True):
            found[level][user] = each
    return found


def users(number: int, level: str) -> tuple[str, ...]:
    """Returns as whom an attack is tried.

    What reaches outside its process is tried by somebody who may do no more than
    any user, and confined by root too: the two are shut in by different means.
    """
    if level == "iteration" or number not in OUTSIDE:
        return shut.USERS[:1]
    return shut.USERS if level == "confined" else shut.USERS[-1:]


class _Fight:
    def __init__(self, place: shut.Place, level: str, name: str) -> None:
        self.place, self.level, self.name = place, level, name
        self.store = place.root / "loops.db"
        self.damage: list[str] = []
        self.over = False
        self.said: list[dict[str, Any] | None] = []
        self.furnish()

    def furnish(self) -> None:
        """Puts there what the program needs, and what a body could break."""
        root = self.place.root
        for module in NEEDED:
            file = Path(str(module.__file__))
            if file.name == "__init__.py":
                # With what is compiled of it, or each program would compile it anew.
                shutil.copytree(file.parent, root / "site" / file.parent.name)
            else:
                shutil.copy(file, root / "site" / file.name)
        for name in ("bodies.py", "host.py"):
            shutil.copy(Path(__file__).with_name(name), root)
        (root / "start.sh").write_text("exec python host.py\n")
        with SQLiteStore(self.store) as store:
            Loop(IterationCap(1), key="witness", store=store).run(int)
            entry = store.read(WITNESS)
        self.testimony = (entry.value, entry.version)
        for path in root.rglob("*"):
            shutil.chown(path, self.place.user)

    def fought(self) -> Fight:
        before = self.outside()
        # Whatever came of it, the same loop is run again, as it will be; if it
        # died, as often as anybody who restarts programs would.
        while len(self.said) < 2 or (self.said[-1] is None and len(self.said) < MOST_RUNS):
            self.run()
            if self.outside() != before:
                self.damage.append("files outside have changed")
                break
            if self.over:
                break
        self.look_at_the_store()
        starts = self.lines("marks")
        if len(starts) > bodies.CAP:
            self.damage.insert(0, "more starts than the cap")
        return Fight(tuple(dict.fromkeys(self.damage)), tuple(self.said))

    def run(self) -> None:
        """Runs the program once, and gives it up if it does not end."""
        report = self.place.root / "said.json"
        report.unlink(missing_ok=True)
        with (self.place.root / "out" / "printed").open("ab") as printed:
            process = self.place.start(
                *(self.place.interpreter, "-S", "host.py"),
                *(self.level, self.name, str(self.place.root)),
                stdout=printed,
                stderr=printed,
                env={
                    "PATH": os.environ["PATH"],
                    "PYTHONPATH": "site",
                    "PYTHONDONTWRITEBYTECODE": "1",
                },
            )
        with process:
            if not self.ends(process):
                self.damage.append("it does not end")
                self.over = True
                process.send_signal(signal.SIGCONT)
                process.kill()
        said = json.loads(report.read_text()) if report.exists() else None
        report.unlink(missing_ok=True)
        self.said.append(said)
        self.judge(said)

    def ends(self, process: subprocess.Popen[str]) -> bool:
        """Waits for the program, for so long from the last start of its body."""
        starts, until = 0, time.monotonic() + 2 * PATIENCE  # It may start slowly.
        free = math.inf
        while time.monotonic() < until:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.1)
                return True
            if starts < len(self.lines("marks")) <= bodies.CAP + 1:  # More are reason enough.
                starts = len(self.lines("marks"))
                free, until = time.monotonic(), time.monotonic() + PATIENCE
            elif starts and not self.is_locked():
                free = time.monotonic()
            if time.monotonic() - free > A_WRITE:
                self.damage.append("the store is closed to others")
        return False

    def is_locked(self) -> bool:
        """Says whether nobody could write to the store now."""
        there = f"{self.store.as_uri()}?mode=rw"
        try:
            with contextlib.closing(sqlite3.connect(there, uri=True, timeout=0)) as database:
                database.execute("BEGIN IMMEDIATE")
        except sqlite3.DatabaseError as error:
            return error.sqlite_errorcode == sqlite3.SQLITE_BUSY
        return False

    def judge(self, said: dict[str, Any] | None) -> None:
        if said is None:
            self.damage.append("the program dies without a report")
        if not _all_gone(self.place.root):
            self.damage.append("somebody works on after it")
        if said is None:
            return
        if any(float(moment) > said["ended"] for moment in self.lines("late")):
            self.damage.append("work is done after the end")
        if not said["intact"]:
            self.damage.append("its memory has changed")
        if said["status"] not in {"tripped", "stopped"} and "interrupted" not in said["reason"]:
            self.damage.append(f"the run ends, and the key is {said['status']}")
        if self.level != "iteration" and said["megabytes"] > MEGABYTES:
            self.damage.append("its memory is filled")
        if (self.place.root / "exploded").exists():
            self.damage.append("what was pickled has run")

    def look_at_the_store(self) -> None:
        found = None
        with (
            contextlib.suppress(haltable.HaltableError),
            SQLiteStore(self.store, create=False) as store,
        ):
            found = store.read(WITNESS)
        if found is None or (found.value, found.version) != self.testimony:
            self.damage.append("records are lost or forged")

    def outside(self) -> dict[str, tuple[object, ...]]:
        """Returns what can be seen of all that is not for the body."""
        root = self.place.root
        left_out = {"out", "said.json", "loops.db-wal", "loops.db-shm"}
        found = {}
        for path in (root, *root.rglob("*")):
            inner = path.relative_to(root)
            # A keeper leaves the compiled form of its code there.
            if not left_out & {*inner.parts[:1]} and "__pycache__" not in inner.parts:
                status = path.stat()
                moment = None if path.is_dir() or path == self.store else status.st_mtime_ns
                found[str(inner)] = (status.st_mode, status.st_uid, moment)
        return found

    def lines(self, name: str) -> list[str]:
        path = self.place.out / name
        return path.read_text().split() if path.exists() else []


def _all_gone(root: Path) -> bool:
    """Says whether nobody of a place is left, or will be in a moment."""
    until = time.monotonic() + A_MOMENT
    while (left := _left(root)) and time.monotonic() < until:
        time.sleep(0.05)
    return not left


def _left(root: Path) -> list[int]:
    """Returns the processes that have to do with a place."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if os.fsencode(root) in (process / "cmdline").read_bytes():
                found.append(int(process.name))
    return found
