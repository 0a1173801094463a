# SPDX-License-Identifier: MIT
"""A pseudo-terminal, and what somebody in front of it sees.

It keeps a screen: text, carriage returns, line ends, and the few escape codes
that the command uses.  Colours are left out.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import struct
import termios
from typing import Self

from tests.cli.commands import PATIENCE

COLUMNS, LINES = 80, 24
_CODE = re.compile(r"\x1b\[[\d;?]*[A-Za-z]")


class Terminal:
    """The far side of a terminal.

    Args:
        columns: how many it says that it has, 80 by default; 0 for not saying.

    Attributes:
        near: the descriptor for the process.
        raw: all that came.
    """

    def __init__(self, columns: int = COLUMNS) -> None:
        self._far, self.near = pty.openpty()
        fcntl.ioctl(self.near, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, columns, 0, 0))
        self.raw = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.release()
        os.close(self._far)

    def release(self) -> None:
        """Gives the near side up, so that the end of the process can be seen."""
        if self.near >= 0:
            os.close(self.near)
            self.near = -1

    def read_until(self, words: str) -> str:
        """Reads until the words have come; returns all that came."""
        while words not in self.raw:
            more = self._read()
            assert more, f"{words!r} never came: {self.raw!r}"
        return self.raw

    def read_all(self) -> str:
        """Reads until nobody holds the near side any more."""
        while self._read():
            pass
        return self.raw

    def _read(self) -> str:
        more = b""
        assert select.select([self._far], [], [], PATIENCE)[0], f"nothing more came: {self.raw!r}"
        with contextlib.suppress(OSError):  # So Linux tells the end.
            more = os.read(self._far, 65536)
        self.raw += more.decode(errors="replace")
        return more.decode(errors="replace")

    def screen(self) -> list[str]:
        """Returns the lines as they stand in the end, none of them cut by the terminal."""
        lines, column = [""], 0
        for piece in re.findall(r"\x1b\[[\d;?]*[A-Za-z]|[\r\n]|[^\x1b\r\n]+", self.raw):
            if piece == "\r":
                column = 0
            elif piece == "\n":
                lines.append("")
                column = 0
            elif piece == "\x1b[K":
                lines[-1] = lines[-1][:column]
            elif piece == "\x1b[2J":
                lines, column = [""], 0
            elif not _CODE.fullmatch(piece):
                lines[-1] = lines[-1][:column] + piece + lines[-1][column + len(piece) :]
                column += len(piece)
        return lines
