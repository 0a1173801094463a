# SPDX-License-Identifier: MIT
"""The files that a contract can stand in: ``haltable.toml``, ``pyproject.toml``.

It finds and reads them, and names file, table, key and value of what is wrong.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import attrs

from haltable.cli.exits import Refused
from haltable.cli.options import OPTIONS

__all__ = ["Written", "written"]

_OWN, _PROJECT = "haltable.toml", "pyproject.toml"


@attrs.frozen
class Written:
    """What a file says.

    Args:
        where: the file and the table, in words.
        values: the raw values by their names.
        shared: whether others may have tables of their own in it.
    """

    where: str = ""
    values: dict[str, Any] = attrs.field(factory=dict[str, Any])
    shared: bool = False

    def read(self) -> dict[str, Any]:
        """Returns the values of a contract.

        Raises:
            Refused: if a name is unknown, or a value is not what it should be.
        """
        found: dict[str, Any] = {}
        options = {option.name: option for option in OPTIONS}
        for name, value in self.values.items():
            if name == "command":
                found["command"] = self._command(value)
                continue
            option = options.get(name)
            if option is None:
                if isinstance(value, dict) and self.shared:
                    continue  # A table that belongs to somebody else.
                raise Refused(f"{self.where}: {name} = {value!r}: there is no such option")
            try:
                found[option.field] = option.read(value)
            except ValueError as error:
                raise Refused(f"{self.where}: {name} = {value!r}: {error}") from error
        return found

    def _command(self, value: object) -> tuple[str, ...]:
        words = cast("list[object]", value) if isinstance(value, list) else []
        if not words or not all(isinstance(word, str) and word for word in words):
            raise Refused(
                f"{self.where}: command = {value!r}: give the program and its arguments as a list "
                'of texts; for a line of shell, ["sh", "-c", "..."]'
            )
        return tuple(cast("list[str]", words))


def written(path: str | None) -> Written:
    """Returns what stands in a file: the given one, else the one in this directory.

    Args:
        path: the file; None to look for one.

    Raises:
        Refused: if it cannot be read.
    """
    if path is not None:
        return _table(Path(path))
    for name in (_OWN, _PROJECT):
        if Path(name).is_file():
            found = _table(Path(name))
            if found.values:
                return found
    return Written()


def _table(path: Path) -> Written:
    import tomllib  # Only who has a file pays for it.

    try:
        content: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Refused(f"{path}: it cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(f"{path}: it is no TOML: {error}") from error
    if path.name != _PROJECT:
        return Written(f"{path}, top table", content)
    tool: object = content.get("tool", {})
    if not isinstance(tool, dict):
        raise Refused(f"{path}, top table: tool = {tool!r}: it must be a table")
    table = cast("dict[str, object]", tool).get("haltable", {})
    if not isinstance(table, dict):
        raise Refused(f"{path}, table [tool]: haltable = {table!r}: it must be a table")
    return Written(f"{path}, table [tool.haltable]", cast("dict[str, Any]", table), shared=True)
