# SPDX-License-Identifier: MIT
"""The face: every public name is there, has one home, and nothing else is there."""

from __future__ import annotations

import ast
import importlib

import pytest

import haltable
from tests.house.tree import PACKAGE, SRC, module_name, public_names, sources

#: The top level of the package as it is promised, in the order of the promise.
PROMISED = """
    Loop Run Iteration Report Status bounded_loop current
    Breaker remembered Done GiveUp Trip Warn
    IterationCap StallDetector IdempotencyGuard ExitCondition Deadline Backoff
    MemoryStore SQLiteStore Operator Poller PollerReport
    HaltableError ConfigurationError UnboundedLoopError StoreError
    LoopHalted LoopTripped LoopGaveUp LoopStopped LoopBusy ResultNotStored LoopInterrupt
    OutcomeUnknown PayloadMismatch EffectHeld EffectFailed LeaseLost
""".split()

FACE = ast.parse((PACKAGE / "__init__.py").read_text())
#: A home is a file with something in it; an ``__init__`` only shows what its folder holds.
HOMES = {module_name(path): public_names(path) for path in sources() if path.name != "__init__.py"}


def test_the_face_shows_what_is_promised():
    """The top level is the promised one, no name more, no name less."""
    assert sorted(PROMISED) == haltable.__all__


@pytest.mark.parametrize("name", haltable.__all__)
def test_a_name_has_one_home(name):
    """A public name stands in exactly one home's ``__all__``, and the face fetches it there."""
    homes = [module for module, names in HOMES.items() if name in names]

    assert homes == [haltable._HOMES[name]]
    assert getattr(haltable, name) is getattr(importlib.import_module(homes[0]), name)


@pytest.mark.parametrize("name", ["nonsense", "_nonsense"])
def test_other_names_are_not_there(name):
    """A name that does not work yet, or never will, is an AttributeError that names it."""
    with pytest.raises(AttributeError, match=f"module 'haltable' has no attribute '{name}'"):
        getattr(haltable, name)


def test_what_dir_says():
    """Completion in a shell sees the public names, sorted, and only those."""
    assert dir(haltable) == haltable.__all__ == sorted(haltable.__all__)


def test_checkers_see_what_python_fetches():
    """The imports that type checkers read and the table that Python reads are the same."""
    (block,) = (
        node
        for node in FACE.body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )
    seen = {
        alias.asname: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname == alias.name
    }

    assert seen == haltable._HOMES


@pytest.mark.parametrize("path", sources(), ids=str)
def test_every_public_name_of_a_room_is_there(path):
    """A room's ``__all__`` names only what is in it, so that nothing public is missing."""
    names = public_names(path)
    module = importlib.import_module(module_name(path))

    assert [name for name in names if not hasattr(module, name)] == []


def test_the_package_is_typed():
    """Type checkers of the package's users read its annotations."""
    assert (SRC / "haltable" / "py.typed").is_file()
