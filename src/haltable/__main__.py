# SPDX-License-Identifier: MIT
"""``python -m haltable``: the same as the command ``haltable``.

It knows nothing of what the command does.
"""

from __future__ import annotations

from haltable.cli import script

if __name__ == "__main__":
    script()
