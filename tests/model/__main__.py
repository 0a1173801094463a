# SPDX-License-Identifier: MIT
"""Exhausts every configuration and looks for every wrong design: ``python -m tests.model``."""

from __future__ import annotations

import sys
import time

from tests.model.effect_configurations import EFFECTS
from tests.model.loop_configurations import LOOPS

FAMILIES = (EFFECTS, LOOPS)


def main() -> int:
    """Prints what was found; returns 0 if that is what should be."""
    began, wrong, states, moves = time.process_time(), 0, 0, 0
    for family in FAMILIES:
        for configuration in family.configurations:
            found = family.explore(configuration)
            print(found, flush=True)
            print(
                *(f"    {line}" for line in found.trace), sep="\n", end="\n" if found.trace else ""
            )
            wrong += bool(found.broken)
            states, moves = states + found.states, moves + found.moves
    print(f"{'in all':<34} {states:>9,} states {moves:>10,} moves")
    print("\nwrong designs, what each broke, and the steps of the shortest way there:")
    for family in FAMILIES:
        for seed in family.seeds:
            found = family.look_for(seed)
            broken = found.broken or "NOT FOUND"
            print(f"  {seed.name:<58} {broken:<52} {found.steps:>3} steps", flush=True)
            wrong += not found.broken.startswith(seed.breaks)
    verdict = "all is well" if not wrong else f"{wrong} wrong"
    print(f"\n{time.process_time() - began:.0f} s of one core, {verdict}")
    return min(wrong, 1)


if __name__ == "__main__":
    sys.exit(main())
