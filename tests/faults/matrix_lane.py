# SPDX-License-Identifier: MIT
"""The command of the whole crash matrix: every point, every end, every way, on every store.

python -m tests.faults.matrix_lane                 # all of it, some minutes
python -m tests.faults.matrix_lane redis postgres  # on these

What the suite leaves out of it is said in ``test_effect_crashes``.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import time
from pathlib import Path

from tests.faults.effect_lives import DEATHS, ways_on
from tests.faults.effect_points import POINTS
from tests.faults.lane import be_quiet
from tests.faults.matrix import every_case, judged
from tests.faults.places import KINDS, Place
from tests.faults.servers import address_of


def main() -> int:
    """Ends processes as often as that takes; says what it cost."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.matrix_lane", description=__doc__)
    parser.add_argument("store", nargs="*", choices=[*KINDS, []], help="all by default")
    asked = parser.parse_args()
    be_quiet()
    failed = False
    for kind in asked.store or KINDS:
        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="haltable-matrix-"))
            address = stack.enter_context(address_of(kind, Path(folder)))
            for number, way in enumerate(ways_on(kind)):
                began = time.monotonic()
                own = Path(folder, str(number))
                own.mkdir()
                found = judged(own, Place(kind, address), way, every_case(DEATHS))
                missed = {death: sorted(POINTS - points) for death, points in found.ended.items()}
                missed = {death: points for death, points in missed.items() if points}
                failed = failed or bool(found.broken or missed)
                seconds = time.monotonic() - began
                sys.stdout.write(
                    f"{kind}, {way}: {len(found.cases)} lives, {len(POINTS)} points, "
                    f"{len(DEATHS)} ends in {seconds:.0f} s; broken {found.broken or 'nothing'}, "
                    f"never reached {missed or 'nothing'}\n"
                )
                sys.stdout.flush()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
