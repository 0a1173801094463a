# SPDX-License-Identifier: MIT
"""The words that stand where a breaker's name does: none is left out of the list."""

from __future__ import annotations

import ast

import pytest

from haltable.model import NO_BREAKERS
from tests.house.tree import SRC, sources

pytestmark = pytest.mark.one_python

#: Calls whose first argument says who has spoken.
SPEAKING = {"say", "warn", "_warn", "stopped"}
#: Those that talk of something else by the same names.
ELSEWHERE = {"bodies", "cli", "testing"}


def speakers(tree):
    """Returns the words in a file's syntax that say who has ended a loop, or warned."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Ruling":
            yield node.args[1]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr in SPEAKING and node.args:
                yield node.args[0]
            yield from (each.value for each in node.keywords if each.arg == "breaker")
        elif isinstance(node, ast.AugAssign) and ast.unparse(node.target) == "self._words":
            pairs = node.value.elts if isinstance(node.value, ast.Tuple) else ()
            yield from (pair.elts[0] for pair in pairs)


def test_every_word_is_on_the_list():
    """Whoever ends a loop in the house's own name does so by a word that no breaker may have."""
    files = [path for path in sources() if path.parts[1] not in ELSEWHERE]
    spoken = [word for path in files for word in speakers(ast.parse((SRC / path).read_text()))]
    words = {word.value for word in spoken if isinstance(word, ast.Constant)}

    assert words - {""} == NO_BREAKERS
