# SPDX-License-Identifier: MIT
"""The pages keep their word: outputs, links and names are those of the package.

A ``text`` block right after an example (in between, nothing but a short
sentence that ends with a colon) is that example's output; ``...`` stands for
what may differ, and so do tenths of seconds and times of day.  An example
without such a block may print what it likes.
"""

from __future__ import annotations

import contextlib
import doctest
import importlib
import io
import re
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser

from haltable import Iteration, Loop, Operator, Poller, Report, Run
from tests.house.tree import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
OUTPUT = re.compile(
    r"\s*(?:-->\s*)?(?:[^\n`<]{1,80}:\n\s*)?^```text\n(.*?)^```$", re.MULTILINE | re.DOTALL
)
#: What the machine's clock has said, and would not say again.
MOMENT = re.compile(r"\b\d\.\d s\b|\b\d{4}-\d\d-\d\dT[\d:+.]+")

LINK = re.compile(r"\]\(([^)#\s\"]+)[^)]*\)")
NAMES = ROOT / "docs" / "reference" / "names.md"
ROW = re.compile(r"^\| `(\w+)` \|", re.MULTILINE)
#: What a user imports from.
PUBLIC = {
    "haltable",
    "haltable.bodies",
    "haltable.clock",
    "haltable.conditions",
    "haltable.effects",
    "haltable.evidence",
    "haltable.stores",
    "haltable.testing",
}


@attrs.frozen
class Shown:
    """What a page shows as an example's output, where, and what the example prints."""

    claimed: str
    start: int
    printed: str


def shown(page: Path) -> Iterator[Shown]:
    """Runs the examples of a page, from the first to the last."""
    text = page.read_text()
    book = Sybil([PythonCodeBlockParser(), SkipParser()], path=str(page.parent), pattern=page.name)
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
    """Every example of a page runs, and no output on it is made up, shortened or out of date."""
    monkeypatch.chdir(tmp_path)
    judge = doctest.OutputChecker()
    wrong = [
        each
        for each in shown(page)
        if not judge.check_output(timeless(each.claimed), timeless(each.printed), doctest.ELLIPSIS)
    ]

    assert wrong == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    """A link to a page, a test or an example leads to one that is there."""
    targets = [target for target in LINK.findall(page.read_text()) if "://" not in target]

    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_every_page_is_in_the_index():
    """A page that nobody finds might as well not be there."""
    index = ROOT / "docs" / "README.md"
    linked = {(index.parent / target).resolve() for target in LINK.findall(index.read_text())}

    assert set(PAGES) - linked == {index}


def test_the_names_are_all_public_names():
    """The page of names lists the names of each public module, no more and no fewer."""
    chapters = re.split(
        r"^## `([\w.]+)`$", NAMES.read_text().split("\n## The verbs")[0], flags=re.MULTILINE
    )
    listed = dict(zip(chapters[1::2], chapters[2::2], strict=True))
    names = {module: sorted(ROW.findall(rows)) for module, rows in listed.items()}

    assert names == {module: sorted(importlib.import_module(module).__all__) for module in names}
    assert {*names} == PUBLIC


@pytest.mark.parametrize(
    ("handle", "kind"),
    [
        ("loop", Loop),
        ("run", Run),
        ("iteration", Iteration),
        ("report", Report),
        ("ops", Operator),
        ("poller", Poller),
    ],
)
def test_the_verbs_are_there(handle, kind):
    """Each verb on the page of names is one that the handle has."""
    verbs = re.findall(rf"`(?:await )?{handle}\.(\w+)", NAMES.read_text())

    assert verbs
    assert [verb for verb in verbs if not hasattr(kind, verb)] == []
