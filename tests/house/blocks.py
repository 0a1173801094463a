# SPDX-License-Identifier: MIT
"""Finds the fenced blocks of a Markdown page, for the commands that the README promises.

As a script it prints one ``sh`` block of a page, or fails when there is none::

    python tests/house/blocks.py README.md 2
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

FENCE = re.compile(r"^```([\w-]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: str, language: str) -> list[str]:
    """Returns the contents of the page's blocks in one language, in order."""
    return [text for name, text in FENCE.findall(page) if name == language]


def main(page: str, number: str) -> None:
    """Prints the numbered ``sh`` block of the page, counted from 1."""
    found = blocks(Path(page).read_text(encoding="utf-8"), "sh")
    if not 0 < int(number) <= len(found):
        sys.exit(f"{page} has {len(found)} fenced sh blocks, so there is no number {number}")
    print(found[int(number) - 1], end="")


if __name__ == "__main__":
    main(*sys.argv[1:])
