# SPDX-License-Identifier: MIT
"""The sites on which every truth about effects is tested."""

from __future__ import annotations

import pytest

from tests.effects.sites import SITES, make_site


@pytest.fixture(params=SITES, ids=lambda site: f"{site[0]} over {site[1]}")
def site(request, tmp_path):
    """Each way to call an effect, over each kind of store."""
    made, close = make_site(*request.param, str(tmp_path / "loops.db"))
    yield made
    close()


@pytest.fixture(params=[site for site in SITES if site[1] == "memory"], ids=lambda site: site[0])
def way(request, tmp_path):
    """Each way to call an effect, over one store: for what happens before any store is asked."""
    made, close = make_site(*request.param, str(tmp_path / "loops.db"))
    yield made
    close()
