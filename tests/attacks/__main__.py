# SPDX-License-Identifier: MIT
"""Lets every body attack its loop at every level, and prints what holds.

Run it from the root of the repository, with the ``test`` extra installed::

    python -m tests.attacks             # all of them, a minute or two
    python -m tests.attacks 20 33       # only these
    python -m tests.attacks --write     # and into docs/explanation/isolation.md

As root, what reaches outside the process is tried by ``nobody``, and confined by both.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable

from tests.attacks import page
from tests.attacks.arena import Fight, fights
from tests.attacks.attacks import ATTACKS, RUN


def main() -> None:
    """Runs the attacks one after the other."""
    parser = argparse.ArgumentParser(prog="python -m tests.attacks", description=__doc__)
    parser.add_argument("numbers", nargs="*", type=int, help="which; all of them by default")
    parser.add_argument("--write", action="store_true", help="write the page")
    asked = parser.parse_args()
    results = {}
    for number in asked.numbers or RUN:
        fought = fights(number, page.LEVELS)
        results[number] = {level: worst(fought[level].values()) for level in page.LEVELS}
        print(f"{number:3} {ATTACKS[number].what}: {results[number]}", flush=True)
    if asked.write:
        told = page.PAGE.read_text()
        known = page.rows(told) | results
        page.PAGE.write_text(page.rewritten(told, {number: known[number] for number in RUN}))


def worst(fought: Iterable[Fight]) -> str:
    """Returns what came of it for whomever it went worst."""
    return page.cell(max((each.damage for each in fought), key=len))


if __name__ == "__main__":
    main()
