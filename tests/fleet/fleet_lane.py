# SPDX-License-Identifier: MIT
"""The command of the fleet's heavy lane: races at their full size, and kills of servers.

python -m tests.fleet.fleet_lane --races
python -m tests.fleet.fleet_lane --kills 500
python -m tests.fleet.fleet_lane --kills 50 --forgetful
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.faults.lane import be_quiet
from tests.fleet.lane import kill, race
from tests.fleet.servers import postgres, valkey

#: Processes, keys, and rounds over them.
RACES = ((32, 1, 200), (32, 1000, 2))


def main() -> int:
    """Races or kills as asked, on each server; says what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--races", action="store_true", help="32 processes for 1 and 1,000 keys")
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--forgetful", action="store_true", help="servers that keep nothing")
    parser.add_argument("--server", choices=["Redis", "PostgreSQL"], action="append")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    asked = parser.parse_args()
    be_quiet()
    known = {"Redis": valkey, "PostgreSQL": postgres}
    for name in asked.server or known:
        with known[name](keeps=not asked.forgetful) as server:
            for sizes in RACES if asked.races else ():
                with tempfile.TemporaryDirectory(prefix="haltable-race-") as folder:
                    sys.stdout.write(f"{name}: {race(server.place, Path(folder), *sizes)}\n")
            if asked.kills:
                began = time.monotonic()
                with tempfile.TemporaryDirectory(prefix="haltable-kills-") as folder:
                    losses = kill(server, Path(folder), asked.kills, asked.seed)
                seconds = time.monotonic() - began
                sys.stdout.write(f"{name}, seed {asked.seed}: {losses} in {seconds:.0f} s\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
