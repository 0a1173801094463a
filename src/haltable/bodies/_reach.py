# SPDX-License-Identifier: MIT
"""What could be changed by somebody who may write to these paths.

It knows paths, links and mounts by what the file system says of them: two names
of one directory are the same.  It knows no store and no body.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import attrs

__all__ = [
    "Within",
    "code_of_this_process",
    "files_of",
    "linked_within",
    "outermost",
    "within_reach",
]

#: As many links as Linux follows; then they go round.
_MOST_LINKS = 40


@attrs.frozen
class Within:
    """A writable path, and what of the protected would be lost with it."""

    writable: str
    protected: str


def within_reach(writable: Sequence[str], protected: Iterable[Path]) -> Within | None:
    """Returns the first protected path that could be changed by way of a writable one."""
    doors = {_identity(Path(path)): path for path in writable}
    rooms = {_identity(up): path for path in writable for up in _real(path).parents}
    seen: dict[Path, str | None] = {}
    for path in protected:
        found = (_door(way, doors, seen) for way in _ways(path))
        door = next(filter(None, found), None)
        if door is None and path.is_dir():
            door = rooms.get(_identity(path))
        if door is not None:
            return Within(door, str(path))
    return None


def linked_within(writable: Sequence[str], protected: Iterable[Path]) -> Within | None:
    """Returns the first protected file that has another name below a writable path."""
    linked = {
        _identity(path): path for path in protected if path.is_file() and path.stat().st_nlink > 1
    }
    names = (
        (top, Path(directory, name))
        for top in (writable if linked else ())
        for directory, _, files in os.walk(top)
        for name in files
    )
    for top, name in names:
        path = linked.get(_identity(name))
        if path is not None:
            return Within(top, f"{path} by its other name {name}")
    return None


def files_of(paths: Iterable[str | os.PathLike[str]]) -> Iterator[Path]:
    """Yields each path, and what lies beside it under a name that begins with its name."""
    for path in map(Path, paths):
        yield path
        if path.parent.is_dir():
            others = (each for each in path.parent.iterdir() if each.name != path.name)
            yield from (each for each in others if each.name.startswith(f"{path.name}-"))


def code_of_this_process(writable: Iterable[str]) -> list[Path]:
    """Returns files of code that one of the writable paths could give away.

    That is one for each directory that code was loaded from, and those that are
    writable by their own name.
    """
    loaded = [getattr(module, "__file__", None) for module in tuple(sys.modules.values())]
    files = {Path(file) for file in (sys.executable, *loaded) if isinstance(file, str) and file}
    named = {_identity(Path(path)) for path in writable if Path(path).is_file()}
    single = [file for file in files if named and _identity(file) in named]
    return [*{file.parent: file for file in sorted(files)}.values(), *sorted(single)]


def outermost(paths: Iterable[str]) -> list[str]:
    """Returns real paths, without those that lie under another."""
    kept: list[str] = []
    for path in sorted({os.path.realpath(path) for path in paths}, key=len):
        if not any(Path(path).is_relative_to(other) for other in kept):
            kept.append(path)
    return sorted(kept)


def _door(
    path: Path, doors: dict[tuple[int, int] | None, str], seen: dict[Path, str | None]
) -> str | None:
    """Returns the writable path that this one is, or lies under."""
    if path not in seen:
        identity = _identity(path)
        above = None if path.parent == path else _door(path.parent, doors, seen)
        seen[path] = doors.get(identity, above) if identity is not None else above
    return seen[path]


def _ways(path: Path) -> Iterator[Path]:
    """Yields each link that is followed to the path, where it truly stands, and then the path.

    Whoever may write where a link stands may replace it.
    """
    here, ahead, links = Path("/"), [*reversed(path.absolute().parts[1:])], 0
    while ahead:
        part = ahead.pop()
        step = here.parent if part == ".." else here / part
        if links < _MOST_LINKS and step.is_symlink():
            links += 1
            yield step
            target = step.readlink()
            here = Path("/") if target.is_absolute() else here
            ahead += reversed(target.parts[target.is_absolute() :])
        else:
            here = step
    yield here


def _real(path: str) -> Path:
    return Path(os.path.realpath(path))  # `Path.resolve` raises where links go round.


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None  # Not there yet: what is above it decides.
    return status.st_dev, status.st_ino
