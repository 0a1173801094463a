# SPDX-License-Identifier: MIT
"""Who can write into a pipe, as Linux shows it: how a child is found whose number is not known.

It knows descriptors and processes, and not what the pipe is for.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from haltable._process_group import signal_group

__all__ = ["signal_holders"]

_PROC = Path("/proc")


def signal_holders(reader: int, number: int) -> None:
    """Signals the group of whoever leads a session and can write into a pipe.

    Args:
        reader: our end of the pipe.
        number: the signal.
    """
    name = f"pipe:[{os.fstat(reader).st_ino}]"
    for process in _PROC.glob("[0-9]*"):
        with suppress(OSError):  # It has ended, or is somebody else's.
            pid = int(process.name)
            # A copy of this process may hold the pipe, too, but leads nothing of its own.
            if os.getsid(pid) == pid != os.getpid() and _writes(process, name):
                signal_group(pid, number)


def _writes(process: Path, name: str) -> bool:
    for link in (process / "fd").iterdir():
        if str(link.readlink()) == name:
            flags = (process / "fdinfo" / link.name).read_text().split("flags:")[1].split()[0]
            if int(flags, 8) & os.O_ACCMODE != os.O_RDONLY:
                return True
    return False
