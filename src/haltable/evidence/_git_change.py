# SPDX-License-Identifier: MIT
"""One line of git's status: a path that is not the same everywhere.

It reads the second of git's formats for programs, and looks at no file.
"""

from __future__ import annotations

from typing import Self

import attrs

from haltable.errors import HaltableError

__all__ = ["Change"]

#: What git calls no change, and no object.
_NONE, _NO_OBJECT = b".", {"0"}
#: How many fields follow the kind in the lines of a changed and of an unmerged path.
_CHANGED, _UNMERGED = 8, 10


@attrs.frozen
class Change:
    """A path of which git says that index, head and work tree are not all the same.

    Args:
        path: below the top of the work tree.
        head: the mode and object of the path in the head; None if it is not there.
        sure: whether the work tree is known to differ from the head.
    """

    path: bytes
    head: tuple[bytes, bytes] | None = None
    sure: bool = True

    @classmethod
    def read(cls, line: bytes, name: str) -> Self:
        """Reads a line.

        Args:
            line: without its NUL.
            name: how errors call whoever asked.

        Raises:
            HaltableError: if it is none that this version knows.
        """
        kind, _, rest = line.partition(b" ")
        if kind == b"?":
            return cls(rest.removesuffix(b"/"))  # With a slash: a repository inside this one.
        fields = rest.split(b" ", {b"1": _CHANGED - 1, b"u": _UNMERGED - 1}.get(kind, 0))
        if kind == b"1" and len(fields) == _CHANGED:
            where, _, mode, _, _, oid, _, path = fields
            staged, unstaged = where[:1], where[1:]
            sure = staged == _NONE or (unstaged == _NONE and staged != b"D")
            return cls(path, _in_head(mode, oid), sure)
        if kind == b"u" and len(fields) == _UNMERGED:
            _, _, _, mode, _, _, _, oid, _, path = fields
            return cls(path, _in_head(mode, oid), sure=False)
        raise HaltableError(f"{name}: git said {line!r}, which this version does not know")


def _in_head(mode: bytes, oid: bytes) -> tuple[bytes, bytes] | None:
    return None if set(oid.decode()) == _NO_OBJECT else (mode, oid)
