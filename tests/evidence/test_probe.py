# SPDX-License-Identifier: MIT
"""A user's function as evidence: another value is another state."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

from haltable import evidence
from haltable.errors import ConfigurationError
from haltable.evidence import Evidence, Probe


def rows() -> int:
    """Stands for a user's query."""
    return 3


VALUES = [
    b"",
    b"1",
    b"json\x001",
    "",
    "1",
    1,
    0,
    True,
    False,
    1.5,
    [],
    [1],
    {},
    {"a": 1},
    {"a": [None]},
]


def test_values_have_fingerprints_of_their_own():
    """No two different values read the same, whatever their types."""
    assert len({Probe(lambda v=value: v).fingerprint() for value in VALUES}) == len(VALUES)


@pytest.mark.parametrize("value", VALUES)
def test_equal_values_read_the_same(value):
    """The same value is the same state, in this process and in the next."""
    assert Probe(lambda: value).fingerprint() == Probe(lambda: value).fingerprint()


def test_the_order_of_keys_is_no_news():
    """A dictionary counts by what it holds."""
    assert (
        Probe(lambda: {"a": 1, "b": 2}).fingerprint()
        == Probe(lambda: {"b": 2, "a": 1}).fingerprint()
    )


def test_none_is_blind():
    """None says "cannot see" and has no fingerprint."""
    assert Probe(lambda: None).fingerprint() is None


def test_what_the_function_raises_comes_through():
    """A fault of the function is left for the caller, who calls it blindness."""

    def broken():
        raise LookupError("no such table")

    with pytest.raises(LookupError, match="no such table"):
        Probe(broken).fingerprint()


@pytest.mark.parametrize("value", [object(), {1, 2}, float("nan"), {"a": b"1"}, bytearray(b"1")])
def test_what_has_no_fingerprint_is_named(value):
    """A value that JSON cannot hold is an error that says what would be right."""
    with pytest.raises(TypeError, match=f"rows returned {type(value).__name__}.*return bytes"):
        Probe(lambda: value, name="rows").fingerprint()


@pytest.mark.anyio
async def test_an_async_function_is_awaited_by_the_driver():
    """An async function's answer is an awaitable of the same fingerprint."""

    async def later():
        return rows()

    pending = Probe(later).fingerprint()

    assert inspect.isawaitable(pending)
    assert await pending == Probe(rows).fingerprint()


@pytest.mark.anyio
async def test_an_async_function_may_be_blind_or_broken():
    """None and unsupported values mean the same from an async function."""

    async def answer(value):
        return value

    assert await Probe(lambda: answer(None)).fingerprint() is None
    with pytest.raises(TypeError, match="return bytes"):
        await Probe(lambda: answer(object())).fingerprint()


def test_it_is_called_by_its_function():
    """Receipts name the function, or what it was told to be called."""

    class Rows:
        def __call__(self):
            return 3

        def count(self):
            return 3

    assert str(Probe(rows)) == "rows"
    assert str(Probe(Rows())) == "Rows"
    assert str(Probe(Rows().count)) == "count"
    assert str(Probe(lambda: 3)) == "the given probe"
    assert str(Probe(lambda: 3, name="rows") | Probe(rows)) == "rows or rows"
    assert isinstance(Probe(rows), Evidence)


@pytest.mark.parametrize("function", [7, None, "rows", lambda row: row, lambda *, row: row])
def test_what_cannot_be_called_without_arguments_is_refused(function):
    """A function that needs arguments is refused when the probe is made."""
    with pytest.raises(ConfigurationError, match="give a function of no arguments"):
        Probe(function)


def test_builtins_without_a_signature_are_taken_at_their_word():
    """Where nobody can say what a callable takes, it is not refused."""
    assert str(Probe(dict)) == "dict"


@pytest.mark.parametrize("name", ["", 7])
def test_a_name_is_a_string(name):
    """An empty name, or one that is no string, is refused."""
    with pytest.raises(ConfigurationError, match="name="):
        Probe(rows, name=name)


def test_the_door_is_light():
    """Opening the room loads none of its pieces."""
    code = (
        "import sys, haltable.evidence as room; "
        "assert not {'haltable.evidence.files', 'haltable.evidence.probe'} & set(sys.modules); "
        "assert dir(room) == room.__all__ == sorted(room.__all__); "
        "assert room.Files and room.Probe and room.Evidence"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_door_has_no_other_names():
    """An unknown name is an AttributeError, as in any module."""
    with pytest.raises(AttributeError, match="no attribute 'Row'"):
        evidence.__getattr__("Row")
