# SPDX-License-Identifier: MIT
"""What a page says that an example prints is what it prints.

A ``text`` block right after an example (in between, nothing but a short
sentence that ends with a colon) is that example's output; ``...`` stands for
what may differ, and so do tenths of seconds and times of day.  An example
without such a block may print what it likes.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import re
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser

from tests.house.tree import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
OUTPUT = re.compile(
    r"\s*(?:-->\s*)?(?:[^\n`<]{1,80}:\n\s*)?^```text\n(.*?)^```$", re.MULTILINE | re.DOTALL
)
#: What the machine's clock has said, and would not say again.
MOMENT = re.compile(r"\b\d\.\d s\b|\b\d{4}-\d\d-\d\dT[\d:+.]+")


@attrs.frozen
class Shown:
    """What a page shows as an example's output, where, and what the example prints."""

    claimed: str
    start: int
    printed: str


def shown(page: Path) -> Iterator[Shown]:
    """Runs the examples of a page, from the first to the last."""
    text = page.read_text()
    book = Sybil([PythonCodeBlockParser()], path=str(page.parent), pattern=page.name)
    for example in book.parse(page).examples():
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            example.evaluate()
        output = OUTPUT.match(text, example.region.end)
        if output is not None:
            yield Shown(output[1], output.start(1), printed.getvalue())


def timeless(text: str) -> str:
    """Returns the text without what no two runs have in common."""
    return MOMENT.sub("some time", text)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_shows_what_is_printed(page, tmp_path, monkeypatch):
    """No output on a page is made up, shortened or out of date."""
    monkeypatch.chdir(tmp_path)
    judge = doctest.OutputChecker()
    wrong = [
        each
        for each in shown(page)
        if not judge.check_output(timeless(each.claimed), timeless(each.printed), doctest.ELLIPSIS)
    ]

    assert wrong == []
