# SPDX-License-Identifier: MIT
"""A git work tree as evidence: what its head records, and what lies in it.

It asks git which paths differ from the head and digests those itself; it
remembers only what saves it from reading or asking the same thing twice.
"""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

import attrs

from haltable.errors import ConfigurationError, HaltableError
from haltable.evidence._content import Content, marks_of
from haltable.evidence._git import Git
from haltable.evidence._git_change import Change
from haltable.probe import Evidence
from haltable.quantity import check_count, check_seconds

__all__ = ["GitTree"]

#: The state of a path that the head has and the work tree has not.
_GONE = b"-" + bytes(16)


@attrs.frozen(eq=False)
class _Look:
    """What one look has read and was told: files by path, tops and trees by commit."""

    contents: dict[str, Content] = attrs.field(factory=dict[str, Content])
    tops: dict[tuple[str, str | None], tuple[str, str]] = attrs.field(
        factory=dict[tuple[str, str | None], tuple[str, str]]
    )


class GitTree(Evidence):
    """What a git work tree holds, and what its last commit recorded.

    New content is progress, committed or not: a file that was edited, added or
    deleted, also an untracked one that is not ignored, and a commit whose tree
    was not the head's before, also when the work tree is clean before and
    after it.  Everything else is not: touching a file, rewriting the same
    content, staging or unstaging, a commit without a change, a message that
    was amended, a branch or a tag, and going back to a content that was there
    before, be it by edit, checkout, reset or revert.

    The whole work tree that ``path`` lies in counts, submodules and other
    repositories inside it as they stand.  Git's own rules say what is ignored.
    Where git cannot answer (no repository, a bare one, no git) the evidence is
    blind, with git's words.  Git is asked so that it changes nothing and waits
    for no lock; the environment's ``GIT_*`` variables are left out.

    Args:
        path: a directory of the work tree; a relative one from the current
            directory of the time.
        timeout: how long one call of git may take, in seconds, above 0.
        max_bytes: how much of one file is read that differs from the head, at
            least 1.  Of a larger one, its size and as much from its head and
            tail count.

    Raises:
        ConfigurationError: if an argument is not as described above.

    Example:
        >>> from haltable import IterationCap, Loop, StallDetector
        >>> from haltable.evidence import GitTree
        >>> Loop(IterationCap(50), StallDetector(after=600, evidence=GitTree("checkout")))
        <Loop IterationCap, StallDetector>
    """

    #: It waits for a child and the disk: async drivers ask it in a worker thread.
    blocks = True

    def __init__(
        self,
        path: str | os.PathLike[str] = ".",
        *,
        timeout: float = 60,
        max_bytes: int = 16 * 1024 * 1024,
    ) -> None:
        self._path = _checked(path)
        check_seconds("timeout", timeout, of="GitTree")
        check_count("max_bytes", max_bytes, of="GitTree")
        self._timeout = timeout
        self._max_bytes = max_bytes
        # Runs and threads share this object.  A look is never changed once it
        # stands here, only replaced: who comes second reads and asks more.
        self._last = _Look()

    def fingerprint(self) -> bytes:
        """Returns a digest of the head's tree and of every path that differs from it.

        Raises:
            OSError: if there is no git, or a file that counts cannot be read.
            TimeoutError: if git took too long.
            HaltableError: if git cannot tell.
        """
        look = _Look()
        state = self._state_of_tree(str(Path(self._path).absolute()), look, inner=False)
        self._last = look
        return state

    def _state_of_tree(self, directory: str, look: _Look, *, inner: bool) -> bytes:
        git = Git(directory, str(self), self._timeout)
        commit, changes = git.status()
        known = (directory, commit)
        top, tree = look.tops[known] = self._last.tops.get(known) or git.top(commit)
        if inner and not Path(top).samefile(directory):
            # Git has looked for it further up, and would lead back here for ever.
            raise HaltableError(f"{self}: {directory} is a repository that git cannot read")
        state = hashlib.blake2b(tree.encode() + b"\0", digest_size=16)
        for change in sorted(changes, key=lambda change: change.path):
            path = f"{top}/{os.fsdecode(change.path)}"
            differing = self._state_of_path(path, change, look)
            if differing is not None:
                # No path holds a NUL and all states are of one length: no two trees read the same.
                state.update(change.path + b"\0" + differing)
        return state.digest()

    def _state_of_path(self, path: str, change: Change, look: _Look) -> bytes | None:
        """Returns what lies at the path, None if that is what the head has there."""
        content, executable = None, False
        try:
            found = os.lstat(path)
            executable = bool(found.st_mode & stat.S_IXUSR)
            if not change.sure and _is_recorded(path, found, change.head):
                return None
            if stat.S_ISLNK(found.st_mode):
                return b"l" + hashlib.blake2b(_target(path), digest_size=16).digest()
            if stat.S_ISDIR(found.st_mode) and os.path.lexists(f"{path}/.git"):
                return b"d" + self._state_of_tree(path, look, inner=True)
            content = self._last.contents.get(path)
            if content is None or content.marks != marks_of(found) or not content.settled:
                content = Content.read(path, self._max_bytes)
        except (FileNotFoundError, NotADirectoryError):
            pass  # It is gone, or has vanished since git saw it.
        if content is None:
            return None if change.head is None else _GONE
        look.contents[path] = content
        return (b"x" if executable else b"f") + content.digest

    def __str__(self) -> str:
        return f"GitTree({self._path})"


def _checked(path: str | os.PathLike[str]) -> str:
    try:
        text = os.fspath(path)
        if text and "\0" not in text:
            return text
    except TypeError:
        pass  # Neither a string nor a path, or one of bytes.
    raise ConfigurationError(f"GitTree({path!r}): give a directory of a git work tree")


def _target(link: str) -> bytes:
    return os.fsencode(Path(link).readlink())


def _is_recorded(path: str, found: os.stat_result, head: tuple[bytes, bytes] | None) -> bool:
    """Says whether git would record what lies at the path as the head has it.

    Where a filter changes the content on its way in, it says no.
    """
    if head is None:
        return False
    if stat.S_ISLNK(found.st_mode):
        return head == (b"120000", _blob(_target(path), head))
    if stat.S_ISREG(found.st_mode):
        mode = b"100755" if found.st_mode & stat.S_IXUSR else b"100644"
        return head == (mode, _blob(Path(path).read_bytes(), head))
    return False


def _blob(content: bytes, head: tuple[bytes, bytes]) -> bytes:
    """Returns git's name of a content, in the kind of hash that the head's name is."""
    kind = "sha1" if len(head[1]) == 40 else "sha256"
    digest = hashlib.new(kind, b"blob %d\0" % len(content), usedforsecurity=False)
    digest.update(content)
    return digest.hexdigest().encode()
