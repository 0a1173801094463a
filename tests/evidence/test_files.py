# SPDX-License-Identifier: MIT
"""Files as evidence, on a real disk: content decides, and nothing else does."""

from __future__ import annotations

import concurrent.futures
import os
import time
from pathlib import Path

import pytest

from haltable.errors import ConfigurationError
from haltable.evidence import Evidence, Files, _content


@pytest.fixture
def out(tmp_path):
    """A directory with two files that match ``**/*.md``."""
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "one.md").write_text("one")
    (tmp_path / "deep" / "er" / "two.md").write_text("two")
    return tmp_path


@pytest.fixture
def reads(monkeypatch):
    """The names of the files that are read, in order."""
    names: list[str] = []
    read = _content.Content.read

    def recorded(path: str, limit: int) -> object:
        names.append(Path(path).name)
        return read(path, limit)

    monkeypatch.setattr(_content.Content, "read", recorded)
    return names


@pytest.fixture
def later(monkeypatch):
    """A wall clock that is a minute ahead, so that all changes lie long back."""
    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() + 60_000_000_000)


def _create(out: Path) -> None:
    (out / "new.md").write_text("")


def _grow(out: Path) -> None:
    with (out / "one.md").open("a") as file:
        file.write("!")


def _rewrite(out: Path) -> None:
    (out / "one.md").write_text("eno")


def _rewrite_and_hide(out: Path) -> None:
    before = (out / "one.md").stat()
    (out / "one.md").write_text("eno")
    os.utime(out / "one.md", ns=(before.st_atime_ns, before.st_mtime_ns))


def _replace(out: Path) -> None:
    (out / "fresh").write_text("eno")
    (out / "fresh").replace(out / "one.md")


def _rename(out: Path) -> None:
    (out / "one.md").rename(out / "uno.md")


def _delete(out: Path) -> None:
    (out / "one.md").unlink()


def _swap(out: Path) -> None:
    (out / "one.md").write_text("two")
    (out / "deep/er/two.md").write_text("one")


CHANGES = [_create, _grow, _rewrite, _rewrite_and_hide, _replace, _rename, _delete, _swap]


@pytest.mark.parametrize("change", CHANGES)
def test_another_content_is_another_state(out, change):
    """Whatever changes a path or a content that matches changes the fingerprint."""
    files = Files("**/*.md", root=out)
    before = files.fingerprint()
    change(out)

    assert files.fingerprint() != before


@pytest.mark.parametrize("change", CHANGES)
def test_another_content_is_seen_behind_the_cache(out, later, change):
    """A change is seen also where the marks of the old content had been trusted."""
    files = Files("**/*.md", root=out)
    before = files.fingerprint()
    change(out)

    assert files.fingerprint() != before


def _touch(out: Path) -> None:
    os.utime(out / "one.md", (1, 1))


def _write_the_same(out: Path) -> None:
    (out / "one.md").write_text("one")


def _replace_by_the_same(out: Path) -> None:
    (out / "fresh").write_text("one")
    (out / "fresh").replace(out / "one.md")


def _change_the_mode(out: Path) -> None:
    (out / "one.md").chmod(0o600)


def _write_elsewhere(out: Path) -> None:
    (out / "one.txt").write_text("no match")


def _make_a_directory(out: Path) -> None:
    (out / "directory.md").mkdir()


@pytest.mark.parametrize(
    "act",
    [
        _touch,
        _write_the_same,
        _replace_by_the_same,
        _change_the_mode,
        _write_elsewhere,
        _make_a_directory,
    ],
)
def test_what_leaves_content_alone_is_the_same_state(out, act):
    """Touching, rewriting the same and writing elsewhere are no news."""
    files = Files("**/*.md", root=out)
    before = files.fingerprint()
    act(out)

    assert files.fingerprint() == before


def test_restoring_returns_to_the_old_state(out):
    """Deleting is another state, and restoring leads back to the one before."""
    files = Files("**/*.md", root=out)
    before = files.fingerprint()
    (out / "one.md").unlink()
    without = files.fingerprint()
    (out / "one.md").write_text("one")

    assert files.fingerprint() == before
    assert without != before


def test_a_fresh_object_agrees(out, later):
    """The fingerprint depends on the disk alone, not on what the object has seen."""
    files = Files("**/*.md", root=out)
    files.fingerprint()
    _rewrite(out)

    assert files.fingerprint() == Files("**/*.md", root=out).fingerprint()


def test_the_same_tree_elsewhere_is_the_same_state(out, tmp_path_factory):
    """Paths count as they are below the root, so another checkout reads the same."""
    copy = tmp_path_factory.mktemp("copy")
    (copy / "deep" / "er").mkdir(parents=True)
    (copy / "one.md").write_text("one")
    (copy / "deep" / "er" / "two.md").write_text("two")

    assert (
        Files("**/*.md", root=copy).fingerprint() == Files("**/*.md", root=str(out)).fingerprint()
    )


def test_unchanged_files_are_read_once(out, later, reads):
    """What has not changed for a while is not read again."""
    files = Files("**/*.md", root=out)
    files.fingerprint()
    files.fingerprint()
    _touch(out)
    files.fingerprint()
    files.fingerprint()

    assert sorted(reads) == ["one.md", "one.md", "two.md"]


def test_of_ten_thousand_files_only_the_changed_is_read(tmp_path, later, reads):
    """A look at many files reads those that have changed, and no other."""
    for number in range(10_000):
        directory = tmp_path / f"{number // 100}"
        directory.mkdir(exist_ok=True)
        (directory / f"{number}.md").touch()
    files = Files("**/*.md", root=tmp_path)
    states = [files.fingerprint()]
    assert len(reads) == 10_000
    reads.clear()
    assert files.fingerprint() == states[0]
    (tmp_path / "77" / "7777.md").write_text("changed")
    states.append(files.fingerprint())
    (tmp_path / "77" / "7777.md").write_text("")

    assert states[1] != states[0] == files.fingerprint()
    assert reads == ["7777.md"] * 2


def test_fresh_files_are_read_again(out, monkeypatch, reads):
    """Marks of a file that was written a moment ago prove nothing."""
    monkeypatch.setattr("haltable.evidence._content.marks_of", lambda _: (0,))
    monkeypatch.setattr("haltable.evidence.files.marks_of", lambda _: (0,))
    files = Files("*.md", root=out)
    before = files.fingerprint()
    _rewrite(out)

    assert files.fingerprint() != before
    assert reads == ["one.md", "one.md"]


def test_backdated_files_are_read_again(out, monkeypatch, reads):
    """A file that came with an old date is not trusted sooner for it."""
    monkeypatch.setattr("haltable.evidence._content.marks_of", lambda _: (0,))
    monkeypatch.setattr("haltable.evidence.files.marks_of", lambda _: (0,))
    _touch(out)
    files = Files("*.md", root=out)
    files.fingerprint()
    files.fingerprint()

    assert reads == ["one.md", "one.md"]


def test_a_clock_set_back_only_costs_reads(out, monkeypatch, reads):
    """A file from the future is not trusted either."""
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    files = Files("*.md", root=out)
    files.fingerprint()
    files.fingerprint()

    assert reads == ["one.md", "one.md"]


def test_only_what_matches_is_remembered(out):
    """The cache never outgrows the files that match now."""
    files = Files("**/*.md", root=out)
    for number in range(5):
        (out / "one.md").rename(out / "next.md")
        (out / "next.md").rename(out / "one.md")
        (out / f"{number}.md").write_text("short-lived")
        files.fingerprint()
        (out / f"{number}.md").unlink()
    files.fingerprint()

    assert len(files._last.contents) == 2


def test_threads_share_one_object(out, later):
    """Many threads that ask the same object at once all see the state that is there."""
    files = Files("**/*.md", root=out)
    states = [files.fingerprint()]
    _create(out)
    states.append(files.fingerprint())
    seen = []
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for state in (0, 1) * 10:
            if state:
                _create(out)
            else:
                (out / "new.md").unlink()
            asked = [pool.submit(files.fingerprint) for _ in range(16)]
            seen.append({future.result() == states[state] for future in asked})

    assert seen == [{True}] * 20


def test_nothing_that_matches_is_a_state(tmp_path):
    """An empty or missing directory below the root is seen, and is no blindness."""
    files = Files("out/*.md", root=tmp_path)
    missing = files.fingerprint()
    (tmp_path / "out").mkdir()
    empty = files.fingerprint()
    (tmp_path / "out" / "one.md").write_text("")

    assert missing == empty
    assert isinstance(empty, bytes)
    assert files.fingerprint() != empty


def test_a_missing_root_is_blind(tmp_path):
    """Where there is no root there is nothing to see, and that is not "nothing new"."""
    (tmp_path / "file").write_text("")

    assert Files("*.md", root=tmp_path / "missing").fingerprint() is None
    assert Files("*.md", root=tmp_path / "file").fingerprint() is None


def test_what_cannot_be_read_is_a_fault():
    """A file that is there and cannot be read is not taken for one that is absent."""
    files = Files("self/mem", root="/proc")

    with pytest.raises(OSError, match="Input/output error"):
        files.fingerprint()


def test_what_cannot_be_looked_up_is_a_fault(out, monkeypatch):
    """A link into a directory that may not be entered is not taken for a dangling one."""
    (out / "link.md").symlink_to("x" * 300)

    with pytest.raises(OSError, match="File name too long"):
        Files("*.md", root=out).fingerprint()


def test_files_that_vanish_while_being_looked_at_are_absent(out, monkeypatch):
    """A file that is gone between listing and reading is absent, not a fault."""
    read = _content.Content.read

    def deleted_first(path: str, limit: int) -> object:
        Path(path).unlink()
        return read(path, limit)

    monkeypatch.setattr(_content.Content, "read", deleted_first)
    files = Files("**/*.md", root=out)

    assert files.fingerprint() == Files("*.none", root=out).fingerprint()


def test_only_regular_files_count(out):
    """A pipe that matches is left out, and nobody waits for its writer."""
    files = Files("*.md", root=out)
    before = files.fingerprint()
    os.mkfifo(out / "pipe.md")

    assert files.fingerprint() == before
    assert _content.Content.read(str(out / "pipe.md"), 1) is None
    assert _content.Content.read(str(out / "deep"), 1) is None


def test_links_to_files_are_read_through(out, tmp_path_factory):
    """A link counts with the content that it leads to, under its own path."""
    target = tmp_path_factory.mktemp("elsewhere") / "target"
    target.write_text("before")
    (out / "link.md").symlink_to(target)
    files = Files("*.md", root=out)
    before = files.fingerprint()
    target.write_text("after")
    after = files.fingerprint()
    (out / "link.md").unlink()
    (out / "link.md").write_text("before")

    assert after != before
    assert files.fingerprint() == before


def test_links_to_nowhere_are_left_out(out):
    """Dangling links and links in a circle are like files that are not there."""
    files = Files("*.md", root=out)
    before = files.fingerprint()
    (out / "dangling.md").symlink_to(out / "nothing")
    (out / "circle.md").symlink_to(out / "circle.md")
    (out / "through.md").symlink_to(out / "one.md" / "below")

    assert files.fingerprint() == before


def test_links_to_directories_are_not_followed(out):
    """A link back up the tree neither loops nor counts a file twice."""
    files = Files("**/*.md", root=out)
    before = files.fingerprint()
    (out / "deep" / "up").symlink_to(out)
    (out / "directory.md").symlink_to(out)

    assert files.fingerprint() == before


def test_links_that_a_glob_names_are_followed(out):
    """A directory that is named outright may be a link, and so may the root."""
    (out / "link").symlink_to(out / "deep")
    (out / "root").symlink_to(out)

    assert Files("link/**/*.md", root=out).fingerprint() != Files("no/*", root=out).fingerprint()
    assert (
        Files("**/*.md", root=out / "root").fingerprint()
        == Files("**/*.md", root=out).fingerprint()
    )


def test_large_files_count_with_size_head_and_tail(tmp_path):
    """Beyond the limit a change in the middle is unseen, one in size, head or tail is not."""
    file = tmp_path / "log"
    states = {}
    for name, text in {
        "before": "aaaaMMMMMMzzz",
        "middle": "aaaammmmmmzzz",
        "head": "aaaAMMMMMMzzz",
        "tail": "aaaaMMMMMMzzZ",
        "size": "aaaaMMMMMzzz",
    }.items():
        file.write_text(text)
        states[name] = Files("log", root=tmp_path, max_bytes=7).fingerprint()

    assert states["middle"] == states["before"]
    assert len(set(states.values())) == 4


@pytest.mark.parametrize("limit", [1, 2, 12, 13, 14])
def test_a_file_of_the_limit_is_read_whole(tmp_path, limit):
    """Up to the limit there is no unseen middle: every byte counts."""
    file = tmp_path / "log"
    files = Files("log", root=tmp_path, max_bytes=limit)
    file.write_bytes(b"a" * limit)
    seen = {files.fingerprint()}
    for position in range(limit):
        file.write_bytes(b"a" * position + b"b" + b"a" * (limit - position - 1))
        seen.add(files.fingerprint())

    assert len(seen) == limit + 1


def test_the_order_on_disk_is_no_news(out, monkeypatch):
    """Directories are listed in any order; the fingerprint is of the sorted paths."""
    listed = Files._matching
    forwards = Files("**/*.md", root=out).fingerprint()
    monkeypatch.setattr(Files, "_matching", lambda files: reversed([*listed(files)]))

    assert Files("**/*.md", root=out).fingerprint() == forwards


def test_absolute_globs_need_no_root(out):
    """An absolute glob is looked up where it says."""
    files = Files(f"{out}/**/*.md")
    before = files.fingerprint()
    _rewrite(out)

    assert files.fingerprint() != before
    assert str(files) == f"{out}/**/*.md"


def test_relative_globs_follow_the_current_directory(out, monkeypatch):
    """Without a root, paths mean what they mean to the body: from where it stands."""
    files = Files("deep/../one.md", "./**/two.md")
    monkeypatch.chdir(out)
    here = files.fingerprint()
    monkeypatch.chdir(out / "deep")

    assert here != files.fingerprint()
    assert files.fingerprint() == Files("**/two.md").fingerprint() != Files("no").fingerprint()


def test_names_that_are_no_text_count(tmp_path):
    """A name that is not valid UTF-8 is evidence like any other."""
    files = Files("*", root=tmp_path)
    before = files.fingerprint()
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff")).write_text("")

    assert files.fingerprint() != before


def test_it_is_called_by_its_globs():
    """Receipts name the globs as they were given, with the root where there is one."""
    assert str(Files("out/**/*.md")) == "out/**/*.md"
    assert str(Files("out/**/*.md", "*.log")) == "out/**/*.md, *.log"
    assert str(Files("*.md", root="out")) == "out/*.md"
    assert str(Files("a") & Files("b")) == "a and b"


def test_it_is_evidence_that_may_block():
    """Drivers find it to be evidence, and ask it where waiting for a disk does no harm."""
    assert isinstance(Files("a"), Evidence)
    assert Files.blocks is True


@pytest.mark.parametrize(
    ("globs", "named", "words"),
    [
        ((), {}, "give at least one glob"),
        (("",), {}, "give globs as strings"),
        ((b"*",), {}, "give globs as strings"),
        ((Path("out"),), {}, "give globs as strings"),
        ((["a", "b"],), {}, "give globs as strings"),
        (("out/",), {}, "can match no file"),
        (("/",), {}, "can match no file"),
        ((".",), {}, "can match no file"),
        (("out/..",), {}, "can match no file"),
        (("*/../a",), {}, "can match no file"),
        (("out/**.md",), {}, "stands alone"),
        (("/out/*",), {"root": "."}, "relative"),
        (("*",), {"root": ""}, "root=''"),
        (("*",), {"root": 7}, "root=7"),
        (("*",), {"root": b"out"}, "root=b'out'"),
        (("*",), {"max_bytes": 0}, "max_bytes=0"),
        (("*",), {"max_bytes": True}, "max_bytes=True"),
        (("*",), {"max_bytes": 1.5}, "max_bytes=1.5"),
    ],
)
def test_bad_input_is_refused(globs, named, words):
    """Evidence that could never see anything is refused when it is made."""
    with pytest.raises(ConfigurationError, match=words):
        Files(*globs, **named)
