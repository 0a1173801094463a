# SPDX-License-Identifier: MIT
"""The Ralph loop as its users run it: a script, with a real repository and a real test suite."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.house.tree import ROOT

SCRIPT = ROOT / "examples" / "ralph.py"
#: How long a shared machine may take for what takes ten seconds.
PATIENCE = 100


def shown(script):
    """Runs the script, and returns how it ended and what it said."""
    command = [sys.executable, script]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE, check=False, cwd="/"
    )
    return done.returncode, done.stdout, done.stderr


def test_the_demonstration_shows_what_it_claims():
    """A lie and a stall open a breaker, mended tests are success, and green runs nothing."""
    code, screen, errors = shown(SCRIPT)
    lines = screen.splitlines()

    assert (code, errors) == (0, "")
    assert max(map(len, lines)) <= 80
    assert re.findall(r"^(TRIPPED|SUCCEEDED)  (\w+)", screen, re.MULTILINE) == [
        ("TRIPPED", "liar"),
        ("TRIPPED", "hung"),
        ("SUCCEEDED", "honest"),
    ]
    assert screen.count("StallDetector: nothing new in repository/*.py for 3 s") == 2
    assert re.search(r"^  starts 3 of 20 ", screen, re.MULTILINE)
    assert lines[-1] == "Once more: succeeded, starts 0."


@pytest.mark.one_python
@pytest.mark.parametrize(
    ("bug", "instead", "word"),
    [
        ("success=command_succeeds(SUITE)", "success=lambda result: result.ok", "The liar"),
        ('Files("repository/*.py")', 'Files("repository/*")', "The liar"),
        ("numeral.upper()", "numeral.title()", "The honest one"),
    ],
)
def test_the_demonstration_looks(bug, instead, word, tmp_path):
    """It claims nothing that it has not seen: in a loop with a mistake it finds it."""
    assert bug in SCRIPT.read_text()
    broken = tmp_path / "broken.py"
    broken.write_text(SCRIPT.read_text().replace(bug, instead, 1))
    code, screen, errors = shown(broken)

    assert code == 1
    assert errors.startswith(f"This is NOT so: {word}")
    assert errors.removeprefix("This is NOT so: ") not in screen
