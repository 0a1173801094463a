# SPDX-License-Identifier: MIT
"""Git repositories for tests, made by the real git and by nobody's configuration."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import attrs

GIT = shutil.which("git") or "git"
#: Nobody's name, mail, configuration or templates.
ENVIRONMENT = {
    **{name: text for name, text in os.environ.items() if not name.startswith("GIT_")},
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    # What lives for one test need not reach the disk.
    "GIT_CONFIG_COUNT": "1",
    "GIT_CONFIG_KEY_0": "core.fsync",
    "GIT_CONFIG_VALUE_0": "none",
    **{
        f"GIT_{who}_{what}": text
        for who in ("AUTHOR", "COMMITTER")
        for what, text in (("NAME", "A"), ("EMAIL", "a@example.org"))
    },
}


@attrs.frozen
class Repository:
    """A repository at a path.

    Args:
        path: the top of its work tree.
    """

    path: Path

    @classmethod
    def at(cls, path: Path, **files: str) -> Repository:
        """Makes one, with a first commit of these files."""
        path.mkdir(exist_ok=True)
        repository = cls(path)
        repository.git("init", "-q", "-b", "main", "--template=")
        for name, text in files.items():
            (path / name).write_text(text)
        if files:
            repository.commit("first")
        return repository

    def git(self, *words: str) -> str:
        """Runs git in it; returns what it says."""
        done = subprocess.run(
            [GIT, *words],
            cwd=self.path,
            env=ENVIRONMENT,
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout

    def commit(self, message: str, *options: str) -> None:
        """Commits everything that is there."""
        self.git("add", "--all")
        self.git("commit", "-q", "-m", message, *options)
