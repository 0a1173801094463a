# SPDX-License-Identifier: MIT
"""A file's content as a digest, and the marks that say whether to read it again.

It knows one file at a time and neither globs nor fingerprints.
"""

from __future__ import annotations

import hashlib
import io
import operator
import os
import stat
import time
from typing import Self, TypeAlias

import attrs

__all__ = ["Content", "marks_of"]

Marks: TypeAlias = tuple[int, ...]

#: The size of one read, in bytes.
_CHUNK = 1 << 20
#: The coarsest steps in which file systems in use stamp files, in nanoseconds.
_STEP = 2_000_000_000

#: Returns what `os.stat` says that changes whenever the content does.
marks_of: operator.attrgetter[Marks] = operator.attrgetter(
    "st_mtime_ns", "st_ctime_ns", "st_size", "st_ino", "st_dev"
)


@attrs.frozen(eq=False)
class Content:
    """What a file held when it was read.

    Args:
        digest: of the content, 16 bytes.
        marks: the file's `marks_of` just before it was read.
        settled: whether the same marks prove the same content.
    """

    digest: bytes
    marks: Marks
    settled: bool

    @classmethod
    def read(cls, path: str, limit: int) -> Self | None:
        """Reads the file; None if there is no regular file any more.

        Args:
            path: where it is.
            limit: the most bytes to read; of a larger file, half from its
                head and half from its tail.

        Raises:
            OSError: if the file is there and cannot be read.
        """
        now = time.time_ns()
        try:
            # What was a file when it was listed may be a pipe by now: do not wait for a writer.
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        except (FileNotFoundError, NotADirectoryError):
            return None
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            os.close(descriptor)
            return None
        with io.FileIO(descriptor) as file:
            # The guard that git calls "racy": a file may be written twice within
            # one step of its stamps, and if it was read in between, its marks
            # look as if nothing had happened since.  Marks are trusted only if
            # the last change lay at least a step back when it was read; until
            # then it is read again at every look.  The change is dated by ctime,
            # because mtime is anybody's to set.
            settled = now - found.st_ctime_ns > _STEP
            return cls(_digest(file, found.st_size, limit), marks_of(found), settled)


def _digest(file: io.FileIO, size: int, limit: int) -> bytes:
    digest = hashlib.blake2b(b"%d\0" % size, digest_size=16)
    if size <= limit:
        _feed(digest, file, limit)  # Not `size`: it may have grown since.
    else:
        _feed(digest, file, limit - limit // 2)
        file.seek(size - limit // 2)
        _feed(digest, file, limit // 2)
    return digest.digest()


def _feed(digest: hashlib.blake2b, file: io.FileIO, most: int) -> None:
    while most > 0 and (chunk := file.read(min(most, _CHUNK))):
        digest.update(chunk)
        most -= len(chunk)
