# SPDX-License-Identifier: MIT
"""How a file of the package looks: what it opens with, how long it is, what it never holds."""

from __future__ import annotations

import ast
import re

import pytest

from tests.house.tree import ROOT, SRC, sources

pytestmark = pytest.mark.one_python

#: A file that grows past this has two rooms in it.
LONGEST = 320
#: What hides a problem instead of solving it.
HIDING = re.compile(r"type:\s*ignore|pyright:\s*ignore|noqa|pragma:|\b(?:TODO|FIXME|XXX)\b")
#: Rooms of many: each file holds one public class.
PLURAL = {"breakers", "evidence", "bodies", "stores", "sinks"}
TESTS = sorted(path.relative_to(ROOT) for path in (ROOT / "tests").rglob("test_*.py"))
#: What makes a test look right without proving anything.
UNPROVEN = re.compile(
    r"(?:time\.)?sleep|(?:pytest\.)?mark\.(?:skip|skipif|xfail)|pytest\.(?:skip|xfail|importorskip)"
)


def unproven(text):
    """Returns the names in a test's source that it should not have needed."""
    names = (
        ast.unparse(node)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Name | ast.Attribute)
    )
    return [name for name in names if UNPROVEN.fullmatch(name)]


@pytest.fixture(params=sources(), ids=str)
def path(request):
    """Each file of the package."""
    return SRC / request.param


def test_a_room_says_what_it_is(path):
    """A file opens with its licence and two or more sentences: what lives here, what it knows."""
    text = path.read_text()
    docstring = ast.get_docstring(ast.parse(text)) or ""

    assert text.splitlines()[0] == "# SPDX-License-Identifier: MIT"
    assert text.splitlines()[1].startswith('"""')
    assert len(re.findall(r"[.:](?=\s|$)", docstring)) >= 2, docstring


def test_a_room_is_small(path):
    """A file can be read in one sitting."""
    length = len(path.read_text().splitlines())

    assert length <= LONGEST


def test_nothing_is_hidden(path):
    """No check is switched off and nothing is left for later in the package."""
    hiding = HIDING.findall(path.read_text())

    assert hiding == []


def test_one_class_a_file_in_plural_rooms(path):
    """A shelf of things of one kind has one public class a file."""
    public = [
        node.name
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    ]

    assert len(public) <= 1 or path.parent.name not in PLURAL, public


@pytest.mark.parametrize("test", TESTS, ids=str)
def test_a_test_proves_something(test):
    """No test is skipped, expected to fail, or right only because it slept long enough."""
    assert unproven((ROOT / test).read_text()) == []


@pytest.mark.parametrize(
    "line",
    [
        "time.sleep(1)",
        "sleep(0.1)",
        "@pytest.mark.skip\ndef test(): ...",
        "pytestmark = pytest.mark.skipif(True, reason='')",
        "pytest.importorskip('redis')",
    ],
)
def test_what_proves_nothing_is_found(line):
    """The search finds each way of not proving anything."""
    assert len(unproven(line)) == 1


@pytest.mark.parametrize("test", TESTS, ids=str)
def test_a_test_says_what_it_guards(test):
    """Each test function has a sentence that is the truth it guards."""
    silent = [
        node.name
        for node in ast.walk(ast.parse((ROOT / test).read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test")
        and not (ast.get_docstring(node) or "").strip()
    ]

    assert silent == []


@pytest.mark.parametrize(
    "line",
    ["x = 1  # type: ignore[misc]", "import os  # noqa: F401", "# pragma: no cover", "# TODO"],
)
def test_what_hides_is_found(line):
    """The search for hidden problems finds each of its kinds."""
    assert HIDING.search(line)
