# SPDX-License-Identifier: MIT
"""What git says of a repository: its head, and the paths that are not as in its head.

It asks the ``git`` program and reads its answer; the files themselves it leaves
to others.  Git is asked so that it changes nothing: it takes no lock, refreshes
no index, and runs neither hook nor monitor.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import attrs

from haltable.evidence._git_change import Change
from haltable.evidence._program import listen

__all__ = ["Git"]

_ASK = (
    "git",
    "--no-pager",
    "--no-optional-locks",
    "-c",
    "core.fsmonitor=false",
    "-c",
    f"core.hooksPath={os.devnull}",
)
_STATUS = (
    "status",
    "--porcelain=v2",
    "-z",
    "--branch",
    "--no-ahead-behind",
    "--no-renames",
    "--untracked-files=all",
    "--ignore-submodules=none",
)
#: What git calls the head of a repository without a commit.
_UNBORN = b"(initial)"


@attrs.frozen
class Git:
    """Asks git about the repository that a directory lies in.

    Args:
        directory: as a path of this moment.
        name: how errors call it.
        timeout: seconds that one call may take.
    """

    directory: str
    name: str
    timeout: float

    def status(self) -> tuple[str | None, tuple[Change, ...]]:
        """Returns the head's commit, None before the first, and what is not as in it."""
        commit, changes = None, dict[bytes, Change]()
        for line in self._ask(_STATUS).split(b"\0"):
            if line.startswith(b"# branch.oid "):
                oid = line.split(b" ", 2)[2]
                commit = None if oid == _UNBORN else oid.decode()
            elif line and not line.startswith(b"#"):
                change = Change.read(line, self.name)
                known = changes.get(change.path)
                # Taken out of the index and still there: once gone, once untracked.
                changes[change.path] = change if known is None else attrs.evolve(known, sure=False)
        return commit, tuple(changes.values())

    def top(self, commit: str | None) -> tuple[str, str]:
        """Returns the top of the work tree, and what the commit records: its tree's name."""
        tree = () if commit is None else (f"{commit}^{{tree}}",)
        answer = os.fsdecode(self._ask(("rev-parse", "--show-toplevel", *tree)))
        if commit is None:
            return answer.removesuffix("\n"), ""
        top, _, name = answer.removesuffix("\n").rpartition("\n")
        return top, name

    def _ask(self, words: Sequence[str]) -> bytes:
        said = bytearray()
        # A caller's GIT_DIR, GIT_INDEX_FILE and the like mean another repository
        # than the one that lies there, as they do inside a hook.
        env = {name: text for name, text in os.environ.items() if not name.startswith("GIT_")}
        listen(
            (*_ASK, "-C", self.directory, *words),
            said.extend,
            name=f"{self.name}: git",
            timeout=self.timeout,
            env={**env, "LC_ALL": "C"},
        )
        return bytes(said)
