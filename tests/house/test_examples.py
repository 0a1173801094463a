# SPDX-License-Identifier: MIT
"""Every example of the docstrings runs, and the pages have none that nobody runs.

Those of the README and of the docs are run where their outputs are held against
what the pages show, in ``tests/examples/test_pages.py``.
"""

from __future__ import annotations

import doctest
import importlib
import io

import pytest

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
def test_the_examples_of_a_page_are_run(page):
    """What a page shows in a fence is run by somebody, or is no example by its language."""
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
