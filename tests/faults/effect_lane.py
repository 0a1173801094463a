# SPDX-License-Identifier: MIT
"""The command of the heavy lane of effects: kills as often as asked, and says what it cost.

python -m tests.faults.effect_lane --kills 1000
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.faults.effect_kills import EffectLane
from tests.faults.lane import be_quiet


def main() -> int:
    """Kills as often as asked; says what it cost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    asked = parser.parse_args()
    be_quiet()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="haltable-effects-") as folder:
        lane = EffectLane(Path(folder), asked.seed)
        lane.kill(asked.kills)
        counts = lane.check(asked.kills)
    seconds = time.monotonic() - began
    sys.stdout.write(f"seed {asked.seed}: {counts} in {seconds:.0f} s, no promise broken\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
