# SPDX-License-Identifier: MIT
"""The table of figures as text: one line a row, the goal in the last column.

It knows figures and goals, and nothing of how they came about.
"""

from __future__ import annotations

from collections.abc import Iterable

from tests.benchmarks.measuring import Goal, Row, Spread

__all__ = ["table"]

_HEAD = ("what", "beside", "figure", "least", "most", "met", "goal")


def table(measured: Iterable[tuple[Row, Spread]]) -> str:
    """Returns the table."""
    lines = [_HEAD, *(_cells(row, spread) for row, spread in measured)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEAD))]
    rule = tuple("-" * width for width in widths)
    lines.insert(1, rule)
    return "\n".join(_line(cells, widths) for cells in lines) + "\n"


def _cells(row: Row, spread: Spread) -> tuple[str, ...]:
    figures = (f"{n:.2f}{row.unit}" for n in (spread.median, spread.least, spread.most))
    return (row.what, row.beside, *figures, *_judgement(row.goal, spread.median, row.unit))


def _judgement(goal: Goal | None, figure: float, unit: str) -> tuple[str, str]:
    if goal is None:
        return "", "for information"
    sign = ">=" if goal.at_least else "<="
    return "yes" if goal.is_met(figure) else "NO", f"{sign} {goal.limit:g}{unit}"


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    # Words to the left, figures to the right.
    words = [f"{cell:<{width}}" for cell, width in zip(cells[:2], widths, strict=False)]
    figures = [f"{cell:>{width}}" for cell, width in zip(cells[2:], widths[2:], strict=True)]
    return "  ".join((*words, *figures)).rstrip()
