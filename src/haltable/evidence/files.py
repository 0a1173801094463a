# SPDX-License-Identifier: MIT
"""Files as evidence: what they hold decides, and nothing that is said of them.

It looks at the disk when it is asked and remembers only what saves it from
reading the same bytes twice.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import attrs

from haltable.errors import ConfigurationError
from haltable.evidence._content import Content, marks_of
from haltable.evidence._level import Level, Tail
from haltable.probe import Evidence
from haltable.quantity import check_count

__all__ = ["Files"]

_WILD = frozenset("*?[")
#: What `os.stat` says of a link that leads nowhere, or of a file that is gone.
_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


@attrs.frozen(eq=False)
class _Look:
    """One look at the disk: what matched, by path, and the fingerprint of it all."""

    contents: dict[str, Content]
    fingerprint: bytes


class Files(Evidence):
    """The paths and contents of the files that match.

    Touching a file, rewriting the same content, or deleting and restoring it
    leads to the same fingerprint as before; so does the first look after a
    restart.  That nothing matches is a state like any other.  What cannot be
    seen makes the evidence blind: a root that is no directory (None), a file or
    directory that may not be read (the `OSError`).

    In a glob, ``**`` stands for any number of directories, at the end also for
    every file below.  As in a shell, names that begin with a dot are matched
    only by parts that begin with one: ``.cache/*``.  Only regular files count;
    links to files are read through, links that lead nowhere are left out, and
    links to directories are followed only where a glob names them outright,
    before its first wildcard.

    Args:
        *globs: at least one, relative to ``root``; absolute only without one.
        root: the directory in which to look; by default the one that is
            current at the time.
        max_bytes: how much of one file is read, at least 1.  Of a larger one,
            its size and as much from its head and tail count: a change in the
            middle that keeps the size is not seen.

    Raises:
        ConfigurationError: if a glob could match no file, ``root`` is empty, or
            ``max_bytes`` is out of its range.

    Example:
        >>> from haltable.evidence import Files
        >>> print(Files("out/**/*.md") | Files("*.log", root="logs"))
        out/**/*.md or logs/*.log
    """

    #: The disk may keep it waiting: async drivers ask it in a worker thread.
    blocks = True

    def __init__(
        self,
        *globs: str,
        root: str | os.PathLike[str] | None = None,
        max_bytes: int = 16 * 1024 * 1024,
    ) -> None:
        if not globs:
            raise ConfigurationError('Files(): give at least one glob, such as "out/**/*.md"')
        check_count("max_bytes", max_bytes, of="Files")
        self._max_bytes = max_bytes
        self._root = "./" if root is None else _slashed(root)
        tails: dict[str, list[Tail]] = {}
        for glob in globs:
            named, tail = _split(glob, rooted=root is not None)
            start = named if named.startswith("/") else self._root + named
            tails.setdefault(start, []).append(tail)
        self._name = ", ".join(globs if root is None else [self._root + glob for glob in globs])
        levels: dict[frozenset[Tail], Level] = {}
        self._starts = [(start, Level(tails[start], levels)) for start in tails]
        # Runs and threads share this object.  A look is never changed, only
        # replaced: who comes second works from an older one, and reads more.
        self._last = _Look({}, self._summary({}))

    def fingerprint(self) -> bytes | None:
        """Returns a digest of the sorted paths and contents; None if there is no root.

        Raises:
            OSError: if something that may match cannot be read.
        """
        if not Path(self._root).is_dir():
            return None
        last = self._last
        contents: dict[str, Content] = {}
        for entry in self._matching():
            path = entry.path
            try:
                found = entry.stat()
            except OSError as error:
                if error.errno in _ABSENT:
                    continue
                raise
            content = last.contents.get(path)
            if content is None or content.marks != marks_of(found) or not content.settled:
                if not stat.S_ISREG(found.st_mode):
                    continue
                content = Content.read(path, self._max_bytes)
                if content is None:
                    continue
            contents[path] = content
        if contents == last.contents:
            return last.fingerprint
        self._last = _Look(contents, self._summary(contents))
        return self._last.fingerprint

    def _matching(self) -> Iterator[os.DirEntry[str]]:
        pending = list(self._starts)
        while pending:
            directory, level = pending.pop()
            try:
                listing = os.scandir(directory)
            except (FileNotFoundError, NotADirectoryError):
                continue
            matches = level.matches
            with listing:
                for entry in listing:
                    if entry.is_dir(follow_symlinks=False):
                        below = level.below(entry.name)
                        if below is not None:
                            pending.append((entry.path, below))
                    elif matches(entry.name):
                        yield entry

    def _summary(self, contents: dict[str, Content]) -> bytes:
        summary = hashlib.blake2b(digest_size=16)
        for path in sorted(contents):
            # No name holds a NUL and all digests are of one length: no two states read the same.
            name = os.fsencode(path.removeprefix(self._root))
            summary.update(name + b"\0" + contents[path].digest)
        return summary.digest()

    def __str__(self) -> str:
        return self._name


def _slashed(root: str | os.PathLike[str]) -> str:
    try:
        path = os.fspath(root)
        if path:
            return path.rstrip("/") + "/"
    except TypeError:
        pass  # Neither a string nor a path, or one of bytes.
    raise ConfigurationError(f"Files(root={root!r}): give a directory, or None")


def _split(glob: object, *, rooted: bool) -> tuple[str, Tail]:
    """Returns the directory that the glob names outright, and the parts after it."""
    if not isinstance(glob, str) or not glob:
        raise ConfigurationError(f'Files({glob!r}): give globs as strings, such as "out/*.md"')
    if rooted and glob.startswith("/"):
        raise ConfigurationError(f"Files({glob!r}): with root=, give globs that are relative to it")
    parts = [part for part in glob.split("/") if part not in {"", "."}]
    wild = [index for index, part in enumerate(parts) if _WILD & set(part)]
    cut = min([*wild, len(parts) - 1])
    named, tail = parts[:cut], tuple(parts[cut:])
    if not tail or ".." in tail or glob.endswith("/"):
        raise ConfigurationError(
            f"Files({glob!r}): it can match no file: end it with a file's name or pattern, "
            'and use ".." only before the first wildcard'
        )
    if any("**" in part and part != "**" for part in tail):
        raise ConfigurationError(f'Files({glob!r}): "**" stands alone between slashes')
    return ("/" if glob.startswith("/") else "") + "/".join(named), tail
