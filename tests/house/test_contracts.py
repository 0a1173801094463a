# SPDX-License-Identifier: MIT
"""The walls between the rooms stand, and each breaks by name when it is crossed.

The contracts are import-linter's, in ``pyproject.toml``.  Each violation here is
planted into a copy of the package, never into the package.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib

import pytest

from tests.house.tree import PACKAGE, ROOT

pytestmark = pytest.mark.one_python

CONFIG = ROOT / "pyproject.toml"
CONTRACTS = {
    contract["id"]: contract
    for contract in tomllib.loads(CONFIG.read_text())["tool"]["importlinter"]["contracts"]
}

#: For each contract: the file that gets one more line, and the line that must not stand there.
PLANTED = [
    ("floors", "model.py", "from haltable.breaker import Breaker"),
    ("floors", "store.py", "from haltable.breakers.deadline import Deadline"),
    ("floors", "breaker.py", "import haltable"),
    ("floors", "_state.py", "def late():\n    from haltable.loop import Loop"),
    ("floors", "loop.py", "import haltable.testing"),
    ("floors", "drawer.py", "import haltable.errors"),
    ("circles", "model.py", "import haltable.events"),
    (
        "breakers",
        "breakers/deadline.py",
        "from haltable.breakers.iteration_cap import IterationCap",
    ),
    ("strangers", "sinks/log.py", "from haltable.stores.memory import MemoryStore"),
    ("strangers", "bodies/command.py", "import haltable.conditions"),
    ("strangers", "breakers/deadline.py", "import haltable.evidence.files"),
    ("stores", "stores/memory.py", "from haltable.stores.sqlite import SQLiteStore"),
    ("kernel", "kernel.py", "from haltable.breakers.iteration_cap import IterationCap"),
    ("kernel", "plan.py", "import haltable.breakers.stall_detector"),
    ("purity", "model.py", "import time"),
    ("purity", "kernel.py", "from haltable.clock import SystemClock"),
    ("purity", "breakers/deadline.py", "from haltable.clock import SystemClock"),
    ("purity", "records.py", "def now():\n    from asyncio.events import get_running_loop"),
]


def lint_imports(where):
    """Runs the contracts over the package that lies in the folder."""
    return subprocess.run(
        [
            *(
                sys.executable,
                "-c",
                "from importlinter.cli import lint_imports_command as run; run()",
            ),
            *("--config", str(CONFIG), "--no-cache", "--no-logo"),
        ],
        capture_output=True,
        text=True,
        cwd=where,
        env={**os.environ, "PYTHONPATH": str(where), "COLUMNS": "200"},
        check=False,
    )


@pytest.fixture
def copy(tmp_path):
    """A copy of the package, to plant something in."""
    shutil.copytree(PACKAGE, tmp_path / "haltable", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def test_every_contract_is_kept(copy):
    """The package as it stands keeps every contract."""
    ran = lint_imports(copy)

    assert ran.returncode == 0, ran.stdout
    assert f"Contracts: {len(CONTRACTS)} kept, 0 broken." in ran.stdout


@pytest.mark.parametrize(("contract", "file", "line"), PLANTED)
def test_a_planted_violation_breaks_the_contract(copy, contract, file, line):
    """A crossed wall is reported under its own name."""
    with (copy / "haltable" / file).open("a") as source:
        source.write(f"\n{line}\n")
    ran = lint_imports(copy)

    assert ran.returncode == 1, ran.stdout
    assert f"{CONTRACTS[contract]['name']} BROKEN" in ran.stdout


@pytest.mark.parametrize("shelf", ["breakers", "stores"])
def test_every_file_of_a_shelf_is_in_its_contract(shelf):
    """A new breaker or store is a stranger to the others from its first day."""
    here = {f"haltable.{shelf}.{path.stem}" for path in (PACKAGE / shelf).glob("[!_]*.py")}

    assert set(CONTRACTS[shelf]["modules"]) == here


def test_every_room_beside_the_kernel_is_a_stranger():
    """Whoever moves onto floor 3 is a stranger to the others, and unknown to the kernel."""
    floor = next(floor for floor in CONTRACTS["floors"]["layers"] if "kernel" in floor)
    rooms = {f"haltable.{room}" for room in floor.split(" : ")}
    kernel = set(CONTRACTS["kernel"]["source_modules"])

    assert set(CONTRACTS["strangers"]["modules"]) == rooms - kernel
    assert set(CONTRACTS["kernel"]["forbidden_modules"]) == rooms - kernel


def test_no_contract_is_unproven():
    """A contract without a planted violation may be one that can never break."""
    assert {contract for contract, _, _ in PLANTED} == CONTRACTS.keys()
