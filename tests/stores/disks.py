# SPDX-License-Identifier: MIT
"""Disks that are small, or become read-only, where the test may mount one."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def small_disk(path: Path, size: str) -> Iterator[bool]:
    """Mounts a disk of this size at the folder; yields False where that is not allowed.

    Root stops at no permission bit, so that for root only a mount will do; who
    is not root may not mount, but is stopped by permission bits.
    """
    mounted = os.geteuid() == 0 and _ran("mount", "-t", "tmpfs", "-o", f"size={size}", "x", path)
    try:
        yield mounted
    finally:
        if mounted:
            _ran("umount", "-l", path)


def enlarge(path: Path, size: str) -> None:
    """Makes a disk that was mounted by `small_disk` larger."""
    if not _ran("mount", "-o", f"remount,size={size}", path):
        message = f"{path} cannot be made larger"
        raise RuntimeError(message)


@contextlib.contextmanager
def read_only(path: Path) -> Iterator[None]:
    """Makes a folder, and a disk mounted there, read-only for the time of the block."""
    mounted = os.path.ismount(path)
    if mounted and not _ran("mount", "-o", "remount,ro", path):
        # A file that is open for writing keeps a disk from becoming read-only.
        message = f"{path} is in use"
        raise RuntimeError(message)
    modes = {file: file.stat().st_mode for file in (path, *path.iterdir())}
    if not mounted:
        for file, mode in modes.items():
            file.chmod(mode & 0o555)
    try:
        yield
    finally:
        if mounted:
            _ran("mount", "-o", "remount,rw", path)
        else:
            for file, mode in modes.items():
                file.chmod(mode)


def _ran(*command: object) -> bool:
    done = subprocess.run([str(word) for word in command], capture_output=True, check=False)
    return done.returncode == 0
