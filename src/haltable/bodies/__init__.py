# SPDX-License-Identifier: MIT
"""Bodies that are more than a function: they run for ``run`` and for ``arun`` alike.

A body knows its iteration, and neither the run nor the breakers that judge it.
This face loads a module only when its name is asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from haltable.bodies.abandoned import Abandoned as Abandoned
    from haltable.bodies.command import Command as Command
    from haltable.bodies.command_failed import CommandFailed as CommandFailed
    from haltable.bodies.completed import Completed as Completed
    from haltable.bodies.confinement import Confinement as Confinement
    from haltable.bodies.isolated import Isolated as Isolated
    from haltable.bodies.isolated_failed import IsolatedFailed as IsolatedFailed
    from haltable.bodies.threaded import Threaded as Threaded
    from haltable.body import Body as Body

__all__ = [
    "Abandoned",
    "Body",
    "Command",
    "CommandFailed",
    "Completed",
    "Confinement",
    "Isolated",
    "IsolatedFailed",
    "Threaded",
]

_HOMES = {
    "Abandoned": "haltable.bodies.abandoned",
    "Body": "haltable.body",
    "Command": "haltable.bodies.command",
    "CommandFailed": "haltable.bodies.command_failed",
    "Completed": "haltable.bodies.completed",
    "Confinement": "haltable.bodies.confinement",
    "Isolated": "haltable.bodies.isolated",
    "IsolatedFailed": "haltable.bodies.isolated_failed",
    "Threaded": "haltable.bodies.threaded",
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
