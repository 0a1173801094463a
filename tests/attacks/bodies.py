# SPDX-License-Identifier: MIT
"""Bodies that attack their loop's cap, one function each, named for their number.

Each is called with the iteration it got, which in a process of its own is none,
and with what it knows of its victim.  They need nothing but the standard
library, so that any interpreter can run them:

    python bodies.py NAME ARENA HOST ADDRESS

None of them goes on for longer than `FOR_EVER`, whatever happens to its host.
"""

from __future__ import annotations

import atexit
import copy
import ctypes
import fcntl
import gc
import hashlib
import os
import pickle
import signal
import sqlite3
import sys
import threading
import time
from pathlib import Path
from typing import Any

#: Seconds after which the most stubborn one gives up, so that nothing is left of a test.
FOR_EVER = 30.0
#: What an attack would have as its limit, and the limit that there is.
PLENTY, CAP = 10**6, 3
#: Seconds that an iteration may take: then its deadline interrupts it.
LIMIT = 2.0


class Victim:
    """What a body can find out about the loop that runs it."""

    def __init__(self, arena: str, host: int, address: int) -> None:
        self.arena, self.out = Path(arena), Path(arena, "out")
        self.host, self.address = host, address
        self.store = self.arena / "loops.db"
        self.library = self.arena / "site" / "haltable" / "breakers" / "iteration_cap.py"

    def mark(self) -> None:
        """Notes a start."""
        self.note("marks", "started")

    def note(self, name: str, text: str) -> None:
        with (self.out / name).open("a") as file:
            file.write(f"{text}\n")

    def work_on(self, seconds: float = FOR_EVER) -> None:
        """Does work for so long, and notes when."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.note("late", str(time.monotonic()))
            time.sleep(0.02)

    def files(self) -> list[Path]:
        return [*self.arena.glob("loops.db*")]

    def database(self) -> sqlite3.Connection:
        return sqlite3.connect(self.store, timeout=5, isolation_level=None)


def ours(kind: str) -> list[Any]:
    """Returns the objects of the library that can be found in this process, by type's name."""
    return [each for each in gc.get_objects() if type(each).__name__ == kind]


def of_the_library() -> list[Any]:
    found = gc.get_objects()
    return [each for each in found if type(each).__module__.partition(".")[0] == "haltable"]


def overwrite(target: Any) -> None:
    """Sets every number of an object to plenty, as far as it lets itself be set."""
    for name in dir(target):
        try:
            value = getattr(target, name)
            if type(value) is int and value <= CAP:
                object.__setattr__(target, name, PLENTY if value == CAP else 0)
        except Exception:
            continue


def frames() -> list[Any]:
    frame, found = sys._getframe(1), []
    while frame is not None:
        found.append(frame)
        frame = frame.f_back
    return found


def apart(work: Any) -> None:
    """Does the work in a process that has left the group, the session and its parent."""
    if os.fork():
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    work()
    os._exit(0)


def attack_1(iteration, victim):
    for name in dir(iteration):
        if not name.startswith("__"):
            try:
                setattr(iteration, name, PLENTY)
            except Exception:
                continue


def attack_2(iteration, victim):
    overwrite(iteration)


def attack_3(iteration, victim):
    for each in of_the_library():
        if type(each).__name__ in {"Loop", "Run", "RunState", "IterationCap", "Iteration"}:
            overwrite(each)


def attack_4(iteration, victim):
    for frame in frames():
        for name, value in list(frame.f_locals.items()):
            if type(value) is int:
                frame.f_locals[name] = 0
                ctypes.pythonapi.PyFrame_LocalsToFast(ctypes.py_object(frame), ctypes.c_int(0))


def attack_5(iteration, victim):
    for each in [*gc.get_objects(), *gc.get_referents(*gc.get_objects())]:
        if type(each) is type(iter(range(1))):
            each.__setstate__(0)


def attack_6(iteration, victim):
    for kind in {type(each) for each in ours("SQLiteStore")}:
        kind.write = lambda self, key, value, *, expected: self.read(key)


def attack_7(iteration, victim):
    def never(self, iteration):
        return None

    for kind in {type(each) for each in ours("IterationCap")}:
        kind.before.__code__ = never.__code__


def attack_8(iteration, victim):
    for function in gc.get_objects():
        if callable(function) and str(getattr(function, "__module__", "")).startswith("haltable"):
            for cell in getattr(function, "__closure__", None) or ():
                try:
                    if cell.cell_contents == CAP:
                        cell.cell_contents = PLENTY
                except ValueError:
                    continue


def attack_9(iteration, victim):
    if iteration is not None:  # The number 3 itself, all over the process.
        digit = id(CAP) + sys.getsizeof(0)
        ctypes.c_uint32.from_address(digit - 4).value = 50


def attack_10(iteration, victim):
    def jump(frame, event, argument):
        if event == "line":
            frame.f_trace = None
            try:
                frame.f_lineno = target
            except ValueError:
                return None
        return jump

    for frame in frames():
        if frame.f_code.co_filename.endswith("_drive_sync.py"):
            target = frame.f_lineno
            frame.f_trace = jump
            sys.settrace(lambda *arguments: None)
            return


class Own(BaseException):
    pass


def attack_11(iteration, victim):
    raise Own


def attack_12(iteration, victim):
    until = time.monotonic() + FOR_EVER
    while time.monotonic() < until:
        try:
            time.sleep(0.1)
        except BaseException:
            continue


def attack_13(iteration, victim):
    until = time.monotonic() + FOR_EVER
    while time.monotonic() < until:
        pass


def attack_14(iteration, victim):
    signal.setitimer(signal.ITIMER_PROF, FOR_EVER)  # Ends it by the kernel, if nobody else does.
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)


def attack_15(iteration, victim):
    for number in (signal.SIGALRM, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if threading.current_thread() is threading.main_thread():
            signal.signal(number, signal.SIG_IGN)
    attack_13(iteration, victim)


def attack_16(iteration, victim):
    for loop in ours("Loop"):
        loop.with_(key="another").run(victim.mark)


def attack_17(iteration, victim):
    os.fork()


def attack_18(iteration, victim):
    threading.Thread(target=victim.work_on, args=(1.0,)).start()


def attack_19(iteration, victim):
    apart(victim.work_on)


def attack_20(iteration, victim):
    with victim.database() as database:
        database.execute("UPDATE haltable SET value = NULL")


def attack_21(iteration, victim):
    for file in victim.files():
        file.unlink()


def attack_22(iteration, victim):
    old = victim.out / "old"
    if not old.exists():
        with victim.database() as database, sqlite3.connect(old) as copied:
            database.backup(copied)
    else:
        with sqlite3.connect(old) as copied, victim.database() as database:
            copied.backup(database)
        attack_25(iteration, victim)  # Who was here before would see that time has gone back.


def attack_23(iteration, victim):
    database = victim.database()
    database.execute("BEGIN IMMEDIATE")
    time.sleep(FOR_EVER)


def attack_24(iteration, victim):
    for file in victim.files():
        file.write_bytes(b"garbage" * 1000)


def attack_25(iteration, victim):
    os.kill(victim.host, signal.SIGKILL)


def attack_26(iteration, victim):
    os.kill(victim.host, signal.SIGSTOP)


def attack_27(iteration, victim):
    with Path(f"/proc/{victim.host}/mem").open("r+b", buffering=0) as memory:
        memory.seek(victim.address)
        memory.write(b"broken")


def attack_28(iteration, victim):
    forged = '{"status": "succeeded", "starts": 0}\n' * 3
    for descriptor in range(1, 32):
        try:
            os.write(descriptor, forged.encode())
        except OSError:
            continue


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def attack_29(iteration, victim):
    bomb = Bomb(victim.arena / "exploded")
    sys.stdout.buffer.write(pickle.dumps(bomb))
    return bomb


def attack_30(iteration, victim):
    block = b"x" * 1_000_000
    if iteration is not None:
        return block * 300
    for _ in range(300):
        sys.stdout.buffer.write(block)
    return None


def attack_31(iteration, victim):
    os._exit(0)


def attack_32(iteration, victim):
    for name in ("HALTABLE_STARTS", "HALTABLE_ITERATION", "HALTABLE_CAP"):
        os.environ[name] = "0"


def attack_33(iteration, victim):
    with victim.library.open("a") as file:
        file.write("\nIterationCap.before = lambda self, iteration: None\n")


def attack_34(iteration, victim):
    atexit.register(victim.work_on, 0.2)


def attack_35(iteration, victim):
    time.monotonic, time.time = (lambda: 0.0), (lambda: 0.0)
    time.sleep = lambda seconds: None


def attack_36(iteration, victim):
    for kind in ("Run", "Loop", "IterationCap"):
        for each in ours(kind):
            copied = copy.copy(each)
            if hasattr(copied, "run"):
                copied.run(victim.mark)


def attack_39(iteration, victim):
    with (victim.arena / "start.sh").open("a") as file:
        file.write("echo taken over\n")


def attack_40(iteration, victim):
    (victim.arena / "site" / "sitecustomize.py").write_text("print('taken over')\n")


def attack_45(iteration, victim):
    for file in victim.files():
        file.chmod(0)
    victim.arena.chmod(0o500)


def attack_46(iteration, victim):
    held = [file.open("rb") for file in victim.files()]
    for file in held:
        fcntl.lockf(file, fcntl.LOCK_SH)
    time.sleep(FOR_EVER)


def well_behaved(iteration, victim):
    victim.note("work", "done")


def perform(name: str, iteration: Any, victim: Victim) -> Any:
    """Notes the start, then does what the name says; what it could not do is no failure."""
    victim.mark()
    return globals()[name](iteration, victim)


if __name__ == "__main__":
    name, arena, host, address = sys.argv[1:]
    perform(name, None, Victim(arena, int(host), int(address)))
