# SPDX-License-Identifier: MIT
"""The automaton of globs means what the standard library's globs mean."""

from __future__ import annotations

import functools
import glob
import os
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import example, given, strategies as st

from haltable.evidence import Files

standard_glob = functools.partial(glob.glob, recursive=True)

names = st.sampled_from(["a", "b.md", ".h", "ab"])
paths = st.lists(names, min_size=1, max_size=4).map("/".join)
parts = st.sampled_from(["*", "**", "a", "b.md", "*.md", ".*", "?", "[ab]*", "*a*b*", ".h"])
globs = st.lists(parts, min_size=1, max_size=4).map("/".join)


def _plant(root: str, paths: set[str]) -> None:
    """Makes a file at each path, unless another one needs a directory there."""
    for path in sorted(paths, key=len, reverse=True):
        file = Path(root, path)
        if not file.exists() and not any(parent.is_file() for parent in file.parents):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(path)


@given(st.sets(paths, max_size=12), st.lists(globs, min_size=1, max_size=3))
@example({"a/a/b.md", "a/.h/b.md", ".h/a", "b.md"}, ["**/b.md", "**", "*/*"])
@example({"a/b.md", "ab/a/b.md"}, ["**/**/b.md", "a/**/b.md", "**/a/**"])
def test_it_matches_what_the_standard_library_matches(planted, given_globs):
    """For any tree and any globs, exactly the files that `glob.glob` finds count."""
    with TemporaryDirectory() as root:
        _plant(root, planted)
        found = {
            os.path.relpath(entry.path, root)
            for entry in Files(*given_globs, root=root)._matching()
        }
        expected = {
            os.path.normpath(path)
            for each in given_globs
            for path in standard_glob(each, root_dir=root)
            # For a/** the library calls the file "a" a directory: "a/".
            if Path(root, path).is_file() and not path.endswith("/")
        }

    assert found == expected


def test_directories_that_no_glob_asks_for_are_not_entered(tmp_path):
    """What lies beside the globs costs nothing, however much it is."""
    for directory in ("out/deep", "node_modules/deep", ".git/deep"):
        (tmp_path / directory).mkdir(parents=True)
        (tmp_path / directory / "one.md").write_text("")
    # A directory that cannot be listed would be a fault if it were entered.
    files = Files("o*/**/*.md", root=tmp_path)
    level = files._starts[0][1]

    assert level.below("out") is not None
    assert level.below("node_modules") is None
    assert level.below(".git") is None


def test_levels_are_compiled_once():
    """However deep a tree is, a glob needs no more levels than it has states."""
    files = Files("**/a/*.md")
    level = files._starts[0][1]
    seen = {level}
    for name in ["x", "a", "x", "a", "a", "x"] * 10:
        level = level.below(name)
        seen.add(level)

    assert len(seen) <= 3
