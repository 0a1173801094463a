# SPDX-License-Identifier: MIT
"""What tests of loops need: time that moves by itself, single iterations, played outcomes.

It stands on top of the public surface and is used by nothing below it.  No test
runner is imported, and this face loads a module only when its name is asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from haltable.testing._instant import instant as instant
    from haltable.testing._iteration import iteration as iteration
    from haltable.testing._play import play as play
    from haltable.testing.fake_clock import FakeClock as FakeClock
    from haltable.testing.store_contract import StoreContract as StoreContract

__all__ = ["FakeClock", "StoreContract", "instant", "iteration", "play"]

_HOMES = {
    "FakeClock": "haltable.testing.fake_clock",
    "StoreContract": "haltable.testing.store_contract",
    "instant": "haltable.testing._instant",
    "iteration": "haltable.testing._iteration",
    "play": "haltable.testing._play",
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
