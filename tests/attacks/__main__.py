# SPDX-License-Identifier: MIT
"""Lets every body attack its loop at every level, and prints what holds.

Run it from the root of the repository, with the ``test`` extra installed::

    python -m tests.attacks             # all of them, some minutes
    python -m tests.attacks 20 33       # only these
    python -m tests.attacks --write     # and into docs/explanation/isolation.md

As root everything outside the process is tried twice: by root, and by ``nobody``.
"""

from __future__ import annotations

import argparse

from tests.attacks import page
from tests.attacks.arena import fight, users
from tests.attacks.attacks import ATTACKS, RUN


def main() -> None:
    """Runs the attacks one after the other."""
    parser = argparse.ArgumentParser(prog="python -m tests.attacks", description=__doc__)
    parser.add_argument("numbers", nargs="*", type=int, help="which; all of them by default")
    parser.add_argument("--write", action="store_true", help="write the page")
    asked = parser.parse_args()
    results = {}
    for number in asked.numbers or RUN:
        results[number] = {level: tried(number, level) for level in page.LEVELS}
        print(f"{number:3} {ATTACKS[number].what}: {results[number]}", flush=True)
    if asked.write:
        told = page.PAGE.read_text()
        known = page.rows(told) | results
        page.PAGE.write_text(page.rewritten(told, {number: known[number] for number in RUN}))


def tried(number: int, level: str) -> str:
    """Returns what came of it for whomever it went worst."""
    damages = [fight(ATTACKS[number], level, user).damage for user in users(number, level)]
    return page.cell(max(damages, key=len))


if __name__ == "__main__":
    main()
