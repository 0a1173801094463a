# SPDX-License-Identifier: MIT
"""Remembered fields: declared once, found again, fresh for every run."""

from __future__ import annotations

import attrs
import pytest

from haltable import Breaker, ConfigurationError, remembered
from haltable.memory import forget, remembered_fields, undecorated_fields


@attrs.define
class Memory(Breaker):
    """One field of each kind."""

    limit: int = 3
    count: int = remembered(default=7)
    names: list[str] = remembered(factory=list)
    large: dict[str, int] = remembered(factory=dict, apart=True)


def test_a_field_starts_as_declared():
    """A default is itself, a factory makes a new value for each breaker."""
    one, other = Memory(), Memory()
    one.names.append("a")

    assert (one.count, other.names, other.large) == (7, [], {})


def test_a_field_is_no_argument():
    """Memory cannot be given from outside."""
    with pytest.raises(TypeError, match="count"):
        Memory(count=9)


def test_fields_are_found_by_where_they_are_kept():
    """Those kept along with the record and those kept apart are told from one another."""
    assert remembered_fields(Memory, apart=False) == ("count", "names")
    assert remembered_fields(Memory, apart=True) == ("large",)


def test_what_is_not_remembered_is_no_memory():
    """Limits and names are policy."""
    assert remembered_fields(Breaker, apart=False) == remembered_fields(Breaker, apart=True) == ()


def test_fields_are_inherited():
    """A subclass remembers what its base does, and more."""

    @attrs.define
    class More(Memory):
        more: float = remembered(default=0.5)

    assert remembered_fields(More, apart=False) == ("count", "names", "more")


def test_forgetting_brings_back_the_beginning():
    """Remembered fields are as at the start of an epoch, the others are as they were."""
    breaker = Memory(limit=9)
    breaker.count = 1
    breaker.names.append("a")
    old = breaker.names

    forget(breaker)

    assert (breaker.limit, breaker.count, breaker.names) == (9, 7, [])
    assert old == ["a"]
    assert breaker.names is not old


def test_a_class_without_the_decorator_is_found_out():
    """Its fields are still raw, and named one by one."""

    class Undecorated(Breaker):
        spent: float = remembered(default=0.0)
        names: list[str] = remembered(factory=list)

    assert undecorated_fields(Undecorated) == ["spent", "names"]
    assert undecorated_fields(Memory) == []


@pytest.mark.parametrize("base", [Breaker, Memory])
def test_a_class_without_the_decorator_is_refused(base):
    """The sentence says which class, which field, and what to put where."""

    class CostCap(base):
        spent: float = remembered(default=0.0)

    with pytest.raises(
        ConfigurationError,
        match=r"CostCap\.spent is a remembered field, but CostCap has no @attrs\.define: "
        "put it above the class",
    ):
        CostCap().check()


def test_a_class_whose_base_lacks_the_decorator_is_refused():
    """The decorator on a subclass does not mend the base."""

    class Base(Breaker):
        spent: float = remembered(default=0.0)

    @attrs.define
    class Sub(Base):
        more: int = remembered(default=0)

    with pytest.raises(ConfigurationError, match=r"Base\.spent is a remembered field"):
        Sub().check()


def test_a_class_with_the_decorator_passes():
    """A well-formed breaker is not complained about."""
    Memory().check()


@pytest.mark.parametrize("default", [[], {}, set()])
def test_a_default_that_all_runs_would_share_is_refused(default):
    """What a run appended to it, the next one would find there."""
    with pytest.raises(ConfigurationError, match=f"give factory={type(default).__name__}"):
        remembered(default=default)
