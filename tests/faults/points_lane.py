# SPDX-License-Identifier: MIT
"""The command of all kills at points: every pass, every way in, on every store.

python -m tests.faults.points_lane                 # all of it, some minutes
python -m tests.faults.points_lane redis postgres  # on these

What the suite leaves out of it is said in ``test_kill_points``.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import time
from pathlib import Path

from tests.faults.lane import be_quiet
from tests.faults.places import KINDS, Place
from tests.faults.point_lives import SAME, WAYS, each_time, every_pass
from tests.faults.points import POINTS
from tests.faults.servers import address_of


def main() -> int:
    """Kills as often as that takes; says where nobody died.  A broken promise ends it."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.points_lane", description=__doc__)
    parser.add_argument("store", nargs="*", choices=[*KINDS, []], help="all by default")
    asked = parser.parse_args()
    be_quiet()
    failed = False
    cases = [*((every_pass, way) for way in WAYS), *((each_time, way) for way in SAME)]
    for kind in asked.store or KINDS:
        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="haltable-points-"))
            address = stack.enter_context(address_of(kind, Path(folder)))
            for number, (kill, way) in enumerate(cases):
                began = time.monotonic()
                own, place = Path(folder, str(number)), Place(kind, address)
                own.mkdir()
                place.make()
                missed = sorted((POINTS | WAYS[way]) - kill(own, place, way))
                failed = failed or bool(missed)
                sys.stdout.write(
                    f"{kind}, {way}, {kill.__name__}: no promise broken in "
                    f"{time.monotonic() - began:.0f} s; never reached {missed or 'nothing'}\n"
                )
                sys.stdout.flush()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
