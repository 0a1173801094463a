# SPDX-License-Identifier: MIT
"""``python -m haltable``: the same as the command ``haltable``.

It knows nothing of what the command does.
"""

from __future__ import annotations

import sys

from haltable.cli import main

if __name__ == "__main__":
    sys.exit(main())
