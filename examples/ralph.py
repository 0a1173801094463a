# SPDX-License-Identifier: MIT
"""A Ralph loop: the same agent, again and again, until the test suite is green.

``python ralph.py`` lays out a small repository whose tests fail, and lets three
scripted agents at it, one after the other: one mends a mistake each time, one
says that all is well, one hangs.  It checks what it claims.
"""

import contextlib
import logging
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from haltable import ExitCondition, IterationCap, Loop, Report, StallDetector
from haltable.bodies import Command
from haltable.conditions import command_succeeds
from haltable.evidence import Files

# -- The loop --------------------------------------------------------------------------

#: The test suite decides, and it is run from outside of the agent's repository.
SUITE = [sys.executable, "-m", "unittest", "-q", "test_roman"]


def ralph(agent: list[str]) -> Report[Any]:
    """Runs an agent in the current folder until the tests pass, or a breaker opens."""
    loop = Loop(
        IterationCap(20),
        StallDetector(after=3, evidence=Files("repository/*.py")),
        ExitCondition(success=command_succeeds(SUITE)),
        name=agent[-1],
        delay=0.1,
    )
    return loop.run(Command(agent, cwd="repository"))


# -- The demonstration: a repository with mistakes, and three agents ---------------------

ROMAN = """
VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 100}


def number(numeral):
    total = 0
    for digit, following in zip(numeral, numeral[1:] + "I"):
        value = VALUES[digit]
        total += value
    return total
"""
TESTS = """
import sys, unittest

sys.path.insert(0, "repository")
import roman


class Numbers(unittest.TestCase):
    def test_thousands(self):
        self.assertEqual(roman.number("MMV"), 2005)

    def test_subtraction(self):
        self.assertEqual(roman.number("XIV"), 14)

    def test_small_letters(self):
        self.assertEqual(roman.number("xvi"), 16)
"""
#: What the honest agent knows: which change makes which test pass.
FIXES = {
    "test_small_letters": ("in zip(numeral, numeral[1:]", "in zip(numeral.upper(), numeral[1:]"),
    "test_subtraction": (
        "total += value",
        "total += value if value >= VALUES[following.upper()] else -value",
    ),
    "test_thousands": ('"M": 100}', '"M": 1000}'),
}
AGENT = f"""
import pathlib, re, subprocess, sys, time

kind, roman = sys.argv[1], pathlib.Path("roman.py")
if kind == "honest":
    suite = subprocess.run({SUITE!r}, cwd="..", capture_output=True, text=True)
    first = re.search(r"^(?:FAIL|ERROR): (\\w+)", suite.stderr, re.MULTILINE)[1]
    roman.write_text(roman.read_text().replace(*{FIXES!r}[first]))
    author = ["-c", "user.name=agent", "-c", "user.email=agent@example.org"]
    subprocess.run(["git", *author, "commit", "-qam", f"mend {{first}}"], check=True)
elif kind == "liar":
    pathlib.Path("PROGRESS.md").write_text(f"All tests pass. Done at {{time.time()}}.")
    roman.touch()
    print("I have fixed everything. All tests pass.")
else:
    time.sleep(3600)
"""
GIT = ["git", "-c", "user.name=ralph", "-c", "user.email=ralph@example.org"]


def lay_out() -> None:
    """Makes the repository, its tests and the agents in the current folder."""
    Path("test_roman.py").write_text(TESTS)
    Path("agent.py").write_text(AGENT)
    Path("repository").mkdir()
    Path("repository/roman.py").write_text(ROMAN)
    for command in (["init", "-q"], ["add", "roman.py"], ["commit", "-qm", "begin"]):
        git(*command)


def git(*command: str) -> str:
    """Runs git in the repository, and returns what it says."""
    done = subprocess.run(
        [*GIT, *command], cwd="repository", check=True, stdout=subprocess.PIPE, text=True
    )
    return done.stdout


def claim(words: str, *, holds: bool) -> None:
    """Prints what the demonstration claims, and ends it if that is not so."""
    if not holds:
        sys.exit(f"This is NOT so: {words}")
    print(words)


def main() -> None:
    """Lets the agents at the repository, and checks what became of it."""
    agent = [sys.executable, str(Path("agent.py").absolute())]
    logging.basicConfig(filename="ralph.log")
    lay_out()

    liar = ralph([*agent, "liar"])
    print(liar)
    so = (
        liar.breaker == "StallDetector"
        and "All tests pass" in Path("repository/PROGRESS.md").read_text()
    )
    claim("The liar said each time that all tests pass, and mended nothing.\n", holds=so)

    hung = ralph([*agent, "hung"])
    print(hung)
    so = hung.breaker == "StallDetector" and hung.starts == 1
    claim("The hung one was ended in the middle of its first try.\n", holds=so)

    honest = ralph([*agent, "honest"])
    print(honest)
    so = honest.ok and honest.starts == 3
    so = so and git("log", "--format=%s").split("\n")[:3] == [
        f"mend {test}" for test in reversed(FIXES)
    ]
    claim("The honest one mended a mistake a try, and the tests pass.\n", holds=so)

    again = ralph([*agent, "honest"])
    claim(f"Once more: {again.status}, starts {again.starts}.", holds=again.ok and not again.ran)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        main()
