# SPDX-License-Identifier: MIT
"""A wire that is as long as one between two machines of a data centre, in a process of its own.

What comes in at one Unix socket goes out at another, a little later, both ways.
It knows no server.

    python -m tests.benchmarks.distance /near/socket /far/socket
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

__all__ = ["ROUND_TRIP", "far_from"]

#: Seconds there and back within one data centre, as Dean's "numbers everyone should know" have it.
ROUND_TRIP = 0.0005
_ROOT = Path(__file__).parents[2]


@contextlib.contextmanager
def far_from(server: Path) -> Iterator[Path]:
    """Yields a folder with a socket of the same name as the server's, at the other end of a wire.

    Args:
        server: its Unix socket.
    """
    with tempfile.TemporaryDirectory(prefix="distance-") as folder:
        near = Path(folder, server.name)
        words = [sys.executable, "-m", "tests.benchmarks.distance", str(near), str(server)]
        # Its output ends with it; the first line says that it listens.
        with subprocess.Popen(words, cwd=_ROOT, stdout=subprocess.PIPE) as wire:
            try:
                if wire.stdout is None or not wire.stdout.readline():
                    raise RuntimeError(f"no wire to {server}")
                yield Path(folder)
            finally:
                wire.kill()


def _hand_on(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):  # Either end may go at any moment.
        while data := source.recv(1 << 16):
            time.sleep(ROUND_TRIP / 2)
            target.sendall(data)
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


def main(near: str, far: str) -> None:
    """Hands on whatever comes, until it is killed."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(near)
        listening.listen()
        sys.stdout.write("listening\n")
        sys.stdout.flush()
        while True:
            client, _ = listening.accept()
            server = socket.socket(socket.AF_UNIX)
            server.connect(far)
            for ends in ((client, server), (server, client)):
                threading.Thread(target=_hand_on, args=ends, daemon=True).start()


if __name__ == "__main__":
    main(*sys.argv[1:])
