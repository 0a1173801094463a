# SPDX-License-Identifier: MIT
"""Rows: what a look at the world costs when nothing has changed.

Beside it stands the bare walk: every directory listed, every file's status read,
nothing kept.  It is the least that anybody must do who wants to know.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from haltable.evidence import Files, GitTree
from tests.benchmarks.measuring import Figures, Goal, Row, Size, paired

__all__ = ["ROWS"]

#: Files lie in directories of so many.
_TOGETHER = 100
#: Long enough ago that no file counts as written just now.
_AGO = 3600
_GIT = shutil.which("git") or "git"


def walk(root: str) -> int:
    """Reads the status of every file below the root; returns how many there are."""
    count, pending = 0, [root]
    while pending:
        with os.scandir(pending.pop()) as listing:
            for entry in listing:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                else:
                    entry.stat()
                    count += 1
    return count


@contextmanager
def many_files(count: int) -> Iterator[str]:
    """Makes files, settled ones; yields their root."""
    with tempfile.TemporaryDirectory(prefix="files-") as root:
        for number in range(count):
            directory = Path(root, f"{number // _TOGETHER:03}")
            directory.mkdir(exist_ok=True)
            (directory / f"{number}.md").write_text(f"{number}\n")
        yield root


@contextmanager
def in_the_future() -> Iterator[None]:
    """Sets the wall clock ahead, for what was just written lies long back then."""
    real = time.time_ns
    time.time_ns = lambda: real() + _AGO * 1_000_000_000
    try:
        yield
    finally:
        time.time_ns = real


def beside_a_walk(size: Size) -> Figures:
    """Compares a look at unchanged files with the bare walk."""
    with many_files(size.files) as root:
        files = Files("**/*.md", root=root)
        with in_the_future():
            before = files.fingerprint()  # Reads them all, once, and knows that they are settled.
        if before != files.fingerprint() or walk(root) != size.files:
            raise AssertionError("the two sides do not look at the same")
        yield from paired(files.fingerprint, lambda: walk(root))


def beside_git_status(size: Size) -> Figures:
    """Compares a look at an unchanged work tree with ``git status`` by itself."""
    with many_files(size.files) as root:
        env = {
            **{name: text for name, text in os.environ.items() if not name.startswith("GIT_")},
            "GIT_CONFIG_GLOBAL": os.devnull,
        }
        who = ("-c", "user.name=A", "-c", "user.email=a@example.org")

        def git(*words: str) -> None:
            subprocess.run([_GIT, *words], cwd=root, env=env, check=True, capture_output=True)

        git("init", "-q")
        git("add", "-A")
        git(*who, "commit", "-q", "-m", "first")
        yield from paired(
            GitTree(root).fingerprint,
            lambda: git("--no-optional-locks", "status", "--porcelain=v2", "-z", "-uall"),
        )


ROWS = (
    Row("Files, 10,000 unchanged", "scandir + stat walk", Goal(2), beside_a_walk),
    Row("GitTree, 10,000 unchanged", "git status", None, beside_git_status),
)
