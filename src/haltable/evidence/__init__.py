# SPDX-License-Identifier: MIT
"""What a stall detector looks at: things outside the loop that have a fingerprint.

A piece of evidence knows the world that it looks at, and neither the loop nor
what it showed before.  This face loads a module only when its name is asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from haltable.evidence.files import Files as Files
    from haltable.evidence.git_tree import GitTree as GitTree
    from haltable.evidence.output import Output as Output
    from haltable.evidence.probe import Probe as Probe
    from haltable.evidence.rows import Rows as Rows
    from haltable.probe import Evidence as Evidence

__all__ = ["Evidence", "Files", "GitTree", "Output", "Probe", "Rows"]

_HOMES = {
    "Evidence": "haltable.probe",
    "Files": "haltable.evidence.files",
    "GitTree": "haltable.evidence.git_tree",
    "Output": "haltable.evidence.output",
    "Probe": "haltable.evidence.probe",
    "Rows": "haltable.evidence.rows",
}


if not TYPE_CHECKING:  # Or checkers would believe that every name is there.

    def __getattr__(name: str) -> object:
        home = _HOMES.get(name)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(home), name)
        globals()[name] = value  # The next look-up finds it without asking here.
        return value


def __dir__() -> list[str]:
    return [*__all__]
