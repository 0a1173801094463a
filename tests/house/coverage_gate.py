# SPDX-License-Identifier: MIT
"""Judges a coverage report in JSON against the goals in ``pyproject.toml``.

Every branch of what decides is covered; elsewhere nearly every one is.  Lines
that only ever run in children which a test then kills cannot be seen by any
measurement: they are exempt by a list, and an entry that is stale fails.

    python tests/house/coverage_gate.py coverage.json
"""

from __future__ import annotations

import fnmatch
import json
import sys
import tomllib
from pathlib import Path
from typing import Any

import attrs

ROOT = Path(__file__).parents[2]


@attrs.frozen
class Goals:
    """What is demanded of which file.

    Args:
        pure: patterns of files, below the package, that are covered whole.
        elsewhere: the percentage demanded of all others.
        killed: for a file, the text of the lines that run only in killed children.
    """

    pure: tuple[str, ...]
    elsewhere: float
    killed: dict[str, tuple[str, ...]]

    def of(self, name: str) -> float:
        """Returns the percentage demanded of a file."""
        whole = any(fnmatch.fnmatch(name, pattern) for pattern in self.pure)
        return 100.0 if whole else self.elsewhere


def goals(config: str) -> Goals:
    """Reads the goals out of the text of ``pyproject.toml``."""
    table = tomllib.loads(config)["tool"]["haltable"]["coverage"]
    killed = {name: tuple(lines) for name, lines in table["only-in-killed-children"].items()}
    return Goals(tuple(table["pure"]), table["elsewhere"], killed)


def failures(files: dict[str, Any], sources: dict[str, str], demanded: Goals) -> list[str]:
    """Returns in words which files fall short, and which exemptions are stale.

    Args:
        files: coverage's report of each file, by its name below the package.
        sources: the text of each file.
        demanded: the goals.
    """
    found = [f"{name}: exempt, but not there" for name in demanded.killed.keys() - files.keys()]
    for name, file in files.items():
        lines = sources[name].splitlines()
        exempt: set[int] = set()
        for text in demanded.killed.get(name, ()):
            here = {n for n in file["missing_lines"] if lines[n - 1].strip() == text}
            exempt |= here
            if not here:
                found.append(f"{name}: exempt, but covered or not there: {text}")
        missing = [n for n in file["missing_lines"] if n not in exempt]
        branches = [arc for arc in file["missing_branches"] if not exempt & {*map(abs, arc)}]
        total = file["summary"]["num_statements"] + file["summary"]["num_branches"]
        reached = 100.0 * (1 - (len(missing) + len(branches)) / total) if total else 100.0
        if reached < demanded.of(name):
            found.append(
                f"{name}: {reached:.1f} % of {demanded.of(name):g} %, "
                f"lines {missing}, branches {branches}"
            )
    return sorted(found)


def main(report: str) -> None:
    """Prints what falls short, and fails if something does."""
    files = {
        name.rpartition("haltable/")[2]: file
        for name, file in json.loads(Path(report).read_text(encoding="utf-8"))["files"].items()
    }
    package = ROOT / "src" / "haltable"
    sources = {name: (package / name).read_text(encoding="utf-8") for name in files}
    demanded = goals((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    missing = {str(path.relative_to(package)) for path in package.rglob("*.py")} - files.keys()
    found = [f"{name}: never measured" for name in sorted(missing)]
    found += failures(files, sources, demanded)
    if found:
        sys.exit("\n".join(["Coverage falls short:", *found]))
    print(f"Coverage: {len(files)} files reach their goals.")


if __name__ == "__main__":
    main(*sys.argv[1:])
