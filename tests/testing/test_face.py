# SPDX-License-Identifier: MIT
"""The face of the testing room: lazy, complete, and free of test runners."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys

import pytest

import haltable.testing


@pytest.mark.parametrize("name", haltable.testing.__all__)
def test_each_name_is_there(name):
    """A name is fetched from the one home that the table names."""
    home = importlib.import_module(haltable.testing._HOMES[name])

    assert getattr(haltable.testing, name) is getattr(home, name)
    assert name in home.__all__


def test_other_names_are_not_there():
    """A name that does not exist is an AttributeError that names it."""
    with pytest.raises(AttributeError, match=r"'haltable\.testing' has no attribute 'nonsense'"):
        getattr(haltable.testing, "non" + "sense")


def test_completion_sees_the_names():
    """What ``dir`` says is what there is."""
    assert dir(haltable.testing) == haltable.testing.__all__ == sorted(haltable.testing._HOMES)


def test_no_test_runner_is_imported():
    """A host's tests bring their own runner; this room brings none."""
    code = (
        "from haltable.testing import FakeClock, StoreContract, instant, iteration, play\n"
        "import sys\n"
        "print([name for name in sys.modules if name in ('pytest', '_pytest', 'hypothesis')])"
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE")}
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )

    assert ran.stdout.strip() == "[]"
