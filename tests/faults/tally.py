# SPDX-License-Identifier: MIT
"""Counts kept outside of everything under test: words appended to a file.

One `write` of a few bytes to a file opened with O_APPEND is there once it
returned, whatever happens to its process then.  It knows no loop.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

__all__ = ["Tally"]


class Tally:
    """Words that any number of processes append, and that survive them.

    Args:
        path: the file; it is made by the first word.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def mark(self, word: str) -> None:
        """Appends a word."""
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, f"{word}\n".encode())
        finally:
            os.close(descriptor)

    def words(self) -> list[str]:
        """Returns all words, oldest first."""
        return self.path.read_text().splitlines() if self.path.exists() else []

    def count(self, word: str) -> int:
        """Returns how often a word was marked."""
        return Counter(self.words())[word]
