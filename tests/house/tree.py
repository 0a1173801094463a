# SPDX-License-Identifier: MIT
"""Where things stand in the repository, and its sources as text and as syntax."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src"
PACKAGE = SRC / "haltable"


def sources() -> list[Path]:
    """Returns every file of the package, as paths below ``src``."""
    return sorted(path.relative_to(SRC) for path in PACKAGE.rglob("*.py"))


def module_name(path: Path) -> str:
    """Returns the dotted name of a file below ``src``."""
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def public_names(path: Path) -> list[str]:
    """Returns the ``__all__`` of a file below ``src``, without importing it."""
    for node in ast.parse((SRC / path).read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return [str(name) for name in ast.literal_eval(node.value)]
    return []
