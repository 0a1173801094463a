# SPDX-License-Identifier: MIT
"""Every example runs: those of the README, of the docs, and of the docstrings."""

from __future__ import annotations

import doctest
import importlib
import io

import pytest
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser

from tests.house.blocks import FENCE
from tests.house.tree import ROOT, module_name, sources

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
#: Anything else would look like an example and be run by nobody.
LANGUAGES = {"console", "python", "sh", "text", "toml", "sql"}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Examples write their files where nobody misses them."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_examples_of_a_page_run(page):
    """What a page shows is what happens, from its first example to its last."""
    book = Sybil([PythonCodeBlockParser(), SkipParser()], path=str(page.parent), pattern=page.name)
    for example in book.parse(page).examples():
        example.evaluate()

    assert {language for language, _ in FENCE.findall(page.read_text())} <= LANGUAGES


@pytest.mark.parametrize("path", sources(), ids=str)
def test_the_examples_of_a_room_run(path):
    """What a docstring shows is what happens."""
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    said = io.StringIO()
    module = importlib.import_module(module_name(path))
    for example in doctest.DocTestFinder().find(module):
        runner.run(example, out=said.write)

    assert not said.getvalue(), said.getvalue()
