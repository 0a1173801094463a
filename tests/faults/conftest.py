# SPDX-License-Identifier: MIT
"""The places that tests of this folder may ask for."""

from __future__ import annotations

from tests.faults.servers import home, place

__all__ = ["home", "place"]
