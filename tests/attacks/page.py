# SPDX-License-Identifier: MIT
"""The page that tells which level of isolation holds against which attack: read and written."""

from __future__ import annotations

from collections.abc import Mapping

from tests.attacks.attacks import ATTACKS, Attack
from tests.house.tree import ROOT

__all__ = ["LEVELS", "PAGE", "cell", "held", "rewritten", "rows"]

PAGE = ROOT / "docs" / "explanation" / "isolation.md"
LEVELS = ("iteration", "child", "confined")
HEADS = ("a function", "`Command`", "confined")
HOLDS = "holds"
#: Between these lines the page is written by the run.
BEGIN, END = "<!-- written by `python -m tests.attacks` -->", "<!-- until here -->"


def cell(damage: tuple[str, ...]) -> str:
    """Returns what the table says of a fight's end."""
    return f"**{damage[0]}**" if damage else HOLDS


def rows(page: str) -> dict[int, dict[str, str]]:
    """Returns the table of a page: for each attack that was run, what each level came to."""
    found = {}
    for line in _between(page).splitlines():
        first, *cells = (each.strip() for each in line.strip("|").split(" | "))
        if first.isdecimal() and len(cells) == 1 + len(LEVELS):
            found[int(first)] = dict(zip(LEVELS, cells[1:], strict=True))
    return found


def held(page: str, number: int, level: str) -> bool:
    """Says whether the page claims that a level holds."""
    return rows(page)[number][level] == HOLDS


def rewritten(page: str, results: Mapping[int, Mapping[str, str]]) -> str:
    """Returns the page with these results in its tables."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    run = [_line(str(n), ATTACKS[n].what, *(results[n][each] for each in LEVELS)) for n in results]
    told = [_line(str(each.number), each.what, each.cure) for each in _told()]
    lines = [
        *(_line("", "what the body does", *HEADS), _line(*["---"] * 5), *run),
        *("", "Not run, for no level cures it:", ""),
        *(_line("", "what the body does", "what does"), _line(*["---"] * 3), *told),
    ]
    return before + "\n".join((BEGIN, "", *lines, "", END)) + after


def _told() -> list[Attack]:
    return [each for each in ATTACKS.values() if each.cure]


def _between(page: str) -> str:
    return page.partition(BEGIN)[2].partition(END)[0]


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
