# SPDX-License-Identifier: MIT
"""What is explored, and how: configurations and wrong designs, by what they are about."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import attrs

from tests.model.explorer import Explorer, Found
from tests.model.seeds import Seed


@attrs.frozen
class Configuration:
    """A world that is exhausted.

    Args:
        name: of it.
        make: makes the model.
        elsewhere: whether the workers are on hosts that know nothing of one another.
        quick: whether the suite explores it too.
    """

    name: str
    make: Callable[[], Any]
    elsewhere: bool
    quick: bool


@attrs.frozen
class Family:
    """Configurations that are about the same kind of record.

    Args:
        driven: gives the real drivers the ports that stop and ask, while it lasts.
        configurations: all of them.
        seeds: wrong designs.
    """

    driven: Callable[..., AbstractContextManager[None]]
    configurations: tuple[Configuration, ...]
    seeds: tuple[Seed, ...]

    def explore(self, configuration: Configuration) -> Found:
        """Returns what exploring a configuration came to."""
        with self.driven(elsewhere=configuration.elsewhere):
            return Explorer(configuration.make()).explore()

    def look_for(self, seed: Seed) -> Found:
        """Returns what exploring a wrong design came to."""
        with self.driven(), seed.planted():
            return Explorer(seed.world()).explore()
