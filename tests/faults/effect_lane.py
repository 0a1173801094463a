# SPDX-License-Identifier: MIT
"""The command of the heavy lane of effects: kills as often as asked, and says what it cost.

python -m tests.faults.effect_lane --kills 1000
python -m tests.faults.effect_lane --kills 1000 --store postgres
"""

from __future__ import annotations

import argparse
import contextlib
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.faults.effect_kills import EffectLane
from tests.faults.lane import be_quiet
from tests.faults.places import KINDS, Place
from tests.faults.servers import address_of


def main() -> int:
    """Kills as often as asked; says what it cost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    parser.add_argument("--store", choices=KINDS, default="sqlite")
    asked = parser.parse_args()
    be_quiet()
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="haltable-effects-"))
        address = stack.enter_context(address_of(asked.store, Path(folder)))
        place = Place(asked.store, address)
        place.make()
        lane = EffectLane(Path(folder), place, asked.seed)
        lane.kill(asked.kills)
        counts = lane.check(asked.kills)
    seconds = time.monotonic() - began
    sys.stdout.write(f"seed {asked.seed}: {counts} in {seconds:.0f} s, no promise broken\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
