# SPDX-License-Identifier: MIT
"""Bodies that hang, each in a way of its own, and a witness of what is told meanwhile.

A test frees what it has hung: nothing here waits for a clock to be right.
"""

from __future__ import annotations

import ctypes
import hashlib
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import anyio
import anyio.to_thread

from haltable.events import Event, VerdictFell

__all__ = [
    "ASYNC",
    "DEAF",
    "HELD",
    "INTERRUPTIBLE",
    "Hold",
    "Witness",
    "holding",
    "swallow_everything",
    "until",
]

#: Seconds after which a body lets go that nobody has interrupted.
LONG = 20.0


class Hold:
    """What keeps bodies hanging until it is freed."""

    def __init__(self) -> None:
        self.free = threading.Event()
        self.left, self.right = socket.socketpair()
        #: How often a body that goes on was interrupted.
        self.swallowed = 0

    def let_go(self) -> None:
        """Lets every body go."""
        self.free.set()
        self.right.send(b"x")

    def close(self) -> None:
        """Gives back what it holds."""
        self.left.close()
        self.right.close()


@contextmanager
def holding() -> Iterator[Hold]:
    """Holds bodies for the length of a block."""
    hold = Hold()
    try:
        yield hold
    finally:
        hold.let_go()
        hold.close()


class Witness:
    """A sink that remembers, and notes when a verdict fell on a running body."""

    def __init__(self, act: Callable[[], object] | None = None) -> None:
        self.events: list[Event] = []
        self.fell = threading.Event()
        self.fell_at = 0.0
        self._act = act

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        if isinstance(event, VerdictFell):
            self.fell_at = time.monotonic()
            self.fell.set()
            if self._act is not None:
                self._act()

    def verdicts(self) -> list[VerdictFell]:
        """Returns the verdicts that fell on a running body."""
        return [event for event in self.events if isinstance(event, VerdictFell)]


def until(condition: Callable[[], object], within: float = 20.0) -> None:
    """Polls until something holds.

    Raises:
        TimeoutError: if it did not in time.
    """
    limit, pause = time.monotonic() + within, threading.Event()
    while not condition():
        if time.monotonic() > limit:
            raise TimeoutError("it never held")
        pause.wait(0.005)


def _spin(hold: Hold) -> None:
    while not hold.free.is_set():
        pass


def _spin_bare(hold: Hold) -> None:
    del hold
    end = time.monotonic() + LONG
    while time.monotonic() < end:
        pass


def _sleep(hold: Hold) -> None:
    del hold
    time.sleep(LONG)


def _lock(hold: Hold) -> None:
    lock = threading.Lock()
    lock.acquire()
    lock.acquire(timeout=LONG)
    del hold


def _wait(hold: Hold) -> None:
    hold.free.wait(LONG)


def _read(hold: Hold) -> None:
    hold.left.recv(1)


def _nap(hold: Hold) -> None:
    del hold
    time.sleep(0.5)


def swallow_everything(hold: Hold) -> None:
    """Goes on whatever is raised in it, until it is freed."""
    while not hold.free.is_set():
        try:
            _spin(hold)
        except BaseException:
            hold.swallowed += 1


def _usleep(hold: Hold) -> None:
    del hold
    ctypes.PyDLL(None).usleep(400_000)


def _backtrack(hold: Hold) -> None:
    del hold
    re.fullmatch("(a+)+b", "a" * 23)


def _derive(hold: Hold) -> None:
    # It lets go of the interpreter, and no signal cuts it short.
    del hold
    hashlib.pbkdf2_hmac("sha256", b"", b"", 900_000)


#: What the main thread can be interrupted in.
INTERRUPTIBLE = {"loop": _spin, "bare loop": _spin_bare, "sleep": _sleep} | {
    "lock": _lock,
    "event": _wait,
    "socket": _read,
}
#: What another thread is interrupted in only when the call returns.
HELD = {"sleep": _nap, "event": _wait, "socket": _read}
#: What nobody interrupts.
DEAF = {"usleep": _usleep, "backtracking": _backtrack, "key derivation": _derive}


async def _await(hold: Hold, witness: Witness) -> None:
    del hold, witness
    await anyio.sleep(LONG)


async def _swallow_cancellation(hold: Hold, witness: Witness) -> None:
    while not witness.fell.is_set() or hold.swallowed < 3:
        try:
            await anyio.sleep(0.01)
        except BaseException:
            hold.swallowed += 1
    _nap(hold)


async def _shield(hold: Hold, witness: Witness) -> None:
    del hold
    with anyio.CancelScope(shield=True):
        await anyio.to_thread.run_sync(witness.fell.wait)
        await anyio.sleep(0.2)


#: Async bodies: what each does, and whether it lets itself be interrupted.
ASYNC = {"await": _await, "swallowing": _swallow_cancellation, "shielded": _shield}
