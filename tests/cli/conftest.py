# SPDX-License-Identifier: MIT
"""A directory with nothing in it, and the command in it."""

from __future__ import annotations

import pytest

from tests.bodies.tether import Tether
from tests.cli.commands import Shell


@pytest.fixture
def haltable(tmp_path):
    """Runs the command in a directory of the test's."""
    return Shell(str(tmp_path))


@pytest.fixture
def tether(tmp_path, monkeypatch):
    """A named pipe for scripts to hold, in the environment as ``$TETHER``."""
    with Tether(tmp_path / "tether") as tether:
        monkeypatch.setenv("TETHER", str(tmp_path / "tether"))
        yield tether
