# SPDX-License-Identifier: MIT
"""Processes that stand for hosts of their own: other process numbers, and other clocks.

`host` starts one in a PID namespace of its own, where it is number 1.  Run as a
program, this file shifts every clock of its process before anything that could
read one is loaded, and becomes a guest of ``tests.fleet.guests``.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

__all__ = ["Host", "host"]

#: Seconds of a day.
DAY = 86400
ROOT = Path(__file__).parents[2]


class Host:
    """A running guest, from outside.

    Args:
        process: the one that was started here; the guest is its only child.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def hear(self) -> list[str]:
        """Waits for the guest's next line; returns its words."""
        if self.process.stdout is None:
            return []
        return self.process.stdout.readline().split()

    def kill(self) -> None:
        """Ends the guest by SIGKILL, and waits until it is gone."""
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.read()  # Until the guest itself has let it go.


@contextlib.contextmanager
def host(act: str, place: object, key: str, *, lease: float, days: float = 0) -> Iterator[Host]:
    """Starts a guest on a host of its own.

    Args:
        act: what it does: the name of a function of ``tests.fleet.guests``.
        place: where the key is.
        key: the loop's key.
        lease: the loop's lease, in seconds.
        days: how far ahead of ours its clocks are.
    """
    alone = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
    if os.geteuid() != 0:
        alone += ["--user", "--map-root-user"]
    told = pickle.dumps((act, place, key, lease)).hex()
    process = subprocess.Popen(
        [*alone, sys.executable, "-m", "tests.fleet.hosts", str(days), told],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    with process:
        guest = Host(process)
        try:
            yield guest
        finally:
            guest.kill()


def shift(days: float) -> None:
    """Has this process live so many days ahead of all others, by each of its clocks."""
    seconds = int(days * DAY)
    for name in ("time", "monotonic", "perf_counter", "clock_gettime"):
        setattr(time, name, _ahead(getattr(time, name), seconds))
        exact = f"{name}_ns"
        setattr(time, exact, _ahead(getattr(time, exact), seconds * 10**9))


def _ahead(read: Callable[..., Any], by: int) -> Callable[..., Any]:
    return lambda *clock: read(*clock) + by


if __name__ == "__main__":
    shift(float(sys.argv[1]))
    from tests.fleet.guests import main

    main(*pickle.loads(bytes.fromhex(sys.argv[2])))
