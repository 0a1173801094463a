# SPDX-License-Identifier: MIT
"""The scripts that CI leans on say no when they should."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib

import pytest

from tests.house.blocks import blocks, main as print_block
from tests.house.coverage_gate import Goals, failures, goals
from tests.house.tree import PACKAGE, ROOT

pytestmark = pytest.mark.one_python

PAGE = "# A page\n```sh\nfirst\n```\ntext\n```python\nx = 1\n```\n```sh\nsecond a\nsecond b\n```\n"
DEMANDED = Goals(("pure.py", "breakers/*"), 75.0, {"other.py": ("os.kill(me)",)})
SOURCE = "a\nif b:\n    os.kill(me)\nc\n"


def measured(lines, branches):
    """Returns coverage's report of a file of four lines and four branches."""
    summary = {"num_statements": 4, "num_branches": 4}
    return {"missing_lines": lines, "missing_branches": branches, "summary": summary}


def test_blocks_are_found_in_order():
    """A page's blocks of one language come out as written."""
    assert blocks(PAGE, "sh") == ["first\n", "second a\nsecond b\n"]


def test_a_block_is_printed(tmp_path, capsys):
    """The block that CI runs is the one that stands in the page."""
    page = tmp_path / "README.md"
    page.write_text(PAGE)
    print_block(str(page), "2")

    assert capsys.readouterr().out == "second a\nsecond b\n"


@pytest.mark.parametrize("number", ["0", "3"])
def test_a_missing_block_is_an_error(tmp_path, number):
    """CI cannot pass by running nothing."""
    page = tmp_path / "README.md"
    page.write_text(PAGE)

    with pytest.raises(SystemExit, match=f"has 2 fenced sh blocks, so there is no number {number}"):
        print_block(str(page), number)


def test_the_readme_has_the_two_commands():
    """A newcomer installs and sees it work with the first, and runs all tests with the second."""
    first, second, *_ = blocks((ROOT / "README.md").read_text(), "sh")

    assert re.search(r"pip install .*python examples/orchestrator\.py", first, re.DOTALL)
    assert re.search(r"pip install .*python -m pytest", second, re.DOTALL)


@pytest.mark.parametrize("name", ["pure.py", "breakers/cap.py"])
def test_what_decides_is_covered_whole(name):
    """One branch never taken in a pure file fails the gate, by name."""
    (failure,) = failures({name: measured([], [[2, 4]])}, {name: SOURCE}, NO_EXEMPTIONS)

    assert failure == f"{name}: 87.5 % of 100 %, lines [], branches [[2, 4]]"


NO_EXEMPTIONS = Goals(DEMANDED.pure, DEMANDED.elsewhere, {})


@pytest.mark.parametrize(("lines", "count"), [([3, 4], 0), ([2, 3, 4], 1)])
def test_other_files_have_a_floor(lines, count):
    """Elsewhere the percentage decides, at the floor and below it."""
    found = failures({"other.py": measured(lines, [])}, {"other.py": SOURCE}, NO_EXEMPTIONS)

    assert len(found) == count


def test_killed_lines_are_exempt():
    """A line that only a killed child runs, and the branch to it, are not asked for."""
    killed = Goals((*DEMANDED.pure, "other.py"), 75.0, DEMANDED.killed)

    assert failures({"other.py": measured([3], [[2, 3]])}, {"other.py": SOURCE}, killed) == []


def test_a_stale_exemption_fails():
    """An exemption for a line that is covered, or for a file that is gone, is an error."""
    covered = failures({"other.py": measured([], [])}, {"other.py": SOURCE}, DEMANDED)

    assert covered == ["other.py: exempt, but covered or not there: os.kill(me)"]
    assert failures({}, {}, DEMANDED) == ["other.py: exempt, but not there"]


def test_the_goals_name_files_that_are_there():
    """A pure file that was renamed does not slip out of its goal."""
    demanded = goals((ROOT / "pyproject.toml").read_text())
    empty = [pattern for pattern in demanded.pure if not [*PACKAGE.glob(pattern)]]

    assert empty == []
    assert demanded.of("kernel.py") == demanded.of("breakers/deadline.py") == 100.0
    assert demanded.of("loop.py") == 95.0


def test_what_is_pure_is_covered_whole():
    """What may not look at the world has no excuse for an untested branch."""
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    (purity,) = (c for c in config["importlinter"]["contracts"] if c["id"] == "purity")
    covered = {
        f"haltable.{file.removesuffix('.py').removesuffix('/*')}"
        for file in config["haltable"]["coverage"]["pure"]
    }

    assert covered == set(purity["source_modules"])


def test_the_suite_can_be_started_in_the_background():
    """A shell's background has it ignore SIGINT and SIGQUIT; what it tests must die of both."""
    look = (
        "import signal, tests.conftest as suite; suite.pytest_configure();"
        "print(*(signal.getsignal(n) is signal.SIG_IGN for n in (signal.SIGINT, signal.SIGQUIT)))"
    )
    background = f"trap '' INT QUIT; exec {sys.executable} -c '{look}'"
    told = subprocess.run(["/bin/sh", "-c", background], cwd=ROOT, capture_output=True, check=True)

    assert told.stdout.split() == [b"False", b"False"]
