# SPDX-License-Identifier: MIT
"""Rows as a table: coloured with rich where that is installed, plain where not.

It knows text and columns only.  What is not written to a terminal is neither
coloured nor cut.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

from haltable.prose import visible

__all__ = ["table"]

_COLOURS = {
    "succeeded": "green",
    "done": "green",
    "tripped": "red",
    "failed": "red",
    "gave_up": "red",
    "unknown": "yellow",
    "stopped": "yellow",
}


def table(rows: Sequence[tuple[str, ...]], *, columns: int | None) -> str:
    """Returns rows as aligned lines, the last column as wide as is left.

    Args:
        rows: the heads first.
        columns: of the terminal; None if it is written elsewhere.
    """
    rows = [tuple(visible(" ".join(cell.split())) for cell in row) for row in rows]
    if columns is not None:
        coloured = _coloured(rows, columns)
        if coloured is not None:
            return coloured
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join(line if columns is None else _cut(line, columns) for line in lines)


def _cut(line: str, columns: int) -> str:
    return line if len(line) <= columns else line[: max(0, columns - 3)] + "..."


def _coloured(rows: Sequence[tuple[str, ...]], columns: int) -> str | None:
    """Returns what rich makes of it; None where there is no rich."""
    try:
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text
    except ImportError:
        return None  # A plain install: the table is as true without colours.
    heads, *lines = rows
    made = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for index, head in enumerate(heads):
        last = index == len(heads) - 1
        made.add_column(head, no_wrap=index != 1, overflow="ellipsis" if last else "fold")
    for state, *cells in lines:
        made.add_row(Text(state, _COLOURS.get(state, "")), *map(Text, cells))
    console = Console(file=io.StringIO(), width=columns, force_terminal=True)
    with console.capture() as captured:
        console.print(made)
    return captured.get().rstrip("\n")
