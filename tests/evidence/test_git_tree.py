# SPDX-License-Identifier: MIT
"""A git work tree as evidence, asked through the real git: content decides."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from haltable.errors import ConfigurationError, HaltableError
from haltable.evidence import Evidence, GitTree, _content, _git
from tests.evidence.repositories import Repository


@pytest.fixture
def repository(tmp_path):
    """A repository with two committed files, an ignored pattern and a clean tree."""
    made = Repository.at(tmp_path / "top", one="one\n", two="two\n")
    (made.path / ".gitignore").write_text("*.log\n")
    (made.path / "folder").mkdir()
    (made.path / "folder" / "three").write_text("three\n")
    made.commit("second")
    return made


@pytest.fixture
def tree(repository):
    """The evidence of it."""
    return GitTree(repository.path)


def _edit(repository: Repository) -> None:
    (repository.path / "one").write_text("eno\n")


def _create(repository: Repository) -> None:
    (repository.path / "new").write_text("")


def _create_deep_down(repository: Repository) -> None:
    (repository.path / "new folder" / "below").mkdir(parents=True)
    (repository.path / "new folder" / "below" / "new\nfile \udcff").write_text("")


def _delete(repository: Repository) -> None:
    (repository.path / "one").unlink()


def _rename(repository: Repository) -> None:
    (repository.path / "one").rename(repository.path / "uno")


def _swap(repository: Repository) -> None:
    (repository.path / "one").write_text("two\n")
    (repository.path / "two").write_text("one\n")


def _make_executable(repository: Repository) -> None:
    (repository.path / "one").chmod(0o755)


def _link(repository: Repository) -> None:
    (repository.path / "link").symlink_to("one")


def _commit_on_a_clean_tree(repository: Repository) -> None:
    _edit(repository)
    repository.commit("work")


def _stage(repository: Repository) -> None:
    _edit(repository)
    repository.git("add", "--all")


CHANGES = [
    _edit,
    _create,
    _create_deep_down,
    _delete,
    _rename,
    _swap,
    _make_executable,
    _link,
    _commit_on_a_clean_tree,
    _stage,
]


@pytest.mark.parametrize("change", CHANGES)
def test_new_content_is_another_state(repository, tree, change):
    """Whatever changes what the work tree holds, or what its head records, is seen."""
    before = tree.fingerprint()
    change(repository)

    assert tree.fingerprint() != before


@pytest.mark.parametrize("change", [_edit, _create, _delete, _make_executable, _link])
def test_a_commit_of_what_was_there_is_another_state(repository, tree, change):
    """Committing what lay about is progress: the head records what it did not."""
    change(repository)
    before = tree.fingerprint()
    repository.commit("work")

    assert tree.fingerprint() != before


def _touch(repository: Repository) -> None:
    os.utime(repository.path / "one", (1, 1))


def _write_the_same(repository: Repository) -> None:
    (repository.path / "one").write_text("one\n")


def _delete_and_restore(repository: Repository) -> None:
    _delete(repository)
    repository.git("checkout", "-q", "--", "one")


def _ignored(repository: Repository) -> None:
    (repository.path / "out.log").write_text("a line")


def _commit_nothing(repository: Repository) -> None:
    repository.git("commit", "-q", "--allow-empty", "-m", "nothing")


def _amend(repository: Repository) -> None:
    repository.git("commit", "-q", "--amend", "-m", "another message")


def _branch(repository: Repository) -> None:
    repository.git("checkout", "-q", "-b", "other")


def _tag(repository: Repository) -> None:
    repository.git("tag", "v1")


def _detach(repository: Repository) -> None:
    repository.git("checkout", "-q", "--detach")


def _revert(repository: Repository) -> None:
    _edit(repository)
    repository.commit("work")
    repository.git("revert", "--no-edit", "HEAD")


def _take_back(repository: Repository) -> None:
    _edit(repository)
    repository.commit("work")
    repository.git("reset", "-q", "--hard", "HEAD~1")


def _stash(repository: Repository) -> None:
    _edit(repository)
    repository.git("stash", "-q")


def _take_out_of_the_index(repository: Repository) -> None:
    repository.git("rm", "-q", "--cached", "one")


def _stage_and_restore(repository: Repository) -> None:
    _edit(repository)
    repository.git("add", "one")
    _write_the_same(repository)


def _stage_and_delete(repository: Repository) -> None:
    _create(repository)
    repository.git("add", "new")
    (repository.path / "new").unlink()


def _make_a_directory(repository: Repository) -> None:
    (repository.path / "empty").mkdir()


def _make_a_pipe(repository: Repository) -> None:
    os.mkfifo(repository.path / "pipe")


IDLE = [
    _touch,
    _write_the_same,
    _delete_and_restore,
    _ignored,
    _commit_nothing,
    _amend,
    _branch,
    _tag,
    _detach,
    _revert,
    _take_back,
    _stash,
    _take_out_of_the_index,
    _stage_and_restore,
    _stage_and_delete,
    _make_a_directory,
    _make_a_pipe,
]


@pytest.mark.parametrize("act", IDLE)
def test_what_leaves_content_alone_is_the_same_state(repository, tree, act):
    """On a clean tree nothing but content counts: no stamp, no name, no history."""
    before = tree.fingerprint()
    act(repository)

    assert tree.fingerprint() == before


@pytest.mark.parametrize("act", [_touch, _commit_nothing, _amend, _branch, _ignored])
@pytest.mark.parametrize("change", [_create, _delete, _link])
def test_the_same_holds_on_a_dirty_tree(repository, tree, change, act):
    """With work lying about, what is no content is still none."""
    if act is _touch:
        repository.git("rm", "-q", "--cached", "two")
    change(repository)
    before = tree.fingerprint()
    if act is _touch:
        os.utime(repository.path / "two", (1, 1))
    else:
        act(repository)

    assert tree.fingerprint() == before


@pytest.mark.parametrize("change", CHANGES[:8])
def test_staging_is_not_seen(repository, tree, change):
    """What git has been told of, and what it has not, reads the same."""
    change(repository)
    before = tree.fingerprint()
    repository.git("add", "--all")
    staged = tree.fingerprint()
    repository.git("reset", "-q")

    assert {before} == {staged, tree.fingerprint()}


def test_two_contents_are_two_states(repository, tree):
    """Toggling between two contents, with and without commits, comes to nothing new."""
    seen = []
    for text in ("a", "b") * 3:
        (repository.path / "one").write_text(text)
        seen.append(tree.fingerprint())
    assert len(set(seen)) == 2

    committed = []
    for text in ("a", "b") * 3:
        (repository.path / "one").write_text(text)
        repository.commit(text)
        committed.append(tree.fingerprint())

    assert len(set(committed)) == 2


def test_a_merge_that_waits_is_seen_once(repository, tree):
    """A conflict is a state; taking it back, in the file or as a whole, leads to the one before."""
    repository.git("checkout", "-q", "-b", "other")
    _commit_on_a_clean_tree(repository)
    repository.git("checkout", "-q", "main")
    (repository.path / "one").write_text("mine\n")
    repository.commit("mine")
    before = tree.fingerprint()
    with pytest.raises(subprocess.CalledProcessError):
        repository.git("merge", "other")
    conflict = tree.fingerprint()
    (repository.path / "one").write_text("mine\n")

    assert conflict != before
    assert tree.fingerprint() == before
    repository.git("merge", "--abort")
    assert tree.fingerprint() == before


def test_before_the_first_commit(tmp_path):
    """A repository without a commit has a state, and its first commit is another."""
    repository = Repository.at(tmp_path / "top")
    tree = GitTree(repository.path)
    states = [tree.fingerprint()]
    _create(repository)
    states.append(tree.fingerprint())
    repository.git("add", "--all")
    assert tree.fingerprint() == states[1]
    repository.commit("first")
    states.append(tree.fingerprint())

    assert len(set(states)) == 3


def test_hashes_of_the_other_kind(tmp_path):
    """A repository that names its objects by SHA-256 is read the same."""
    path = tmp_path / "top"
    path.mkdir()
    repository = Repository(path)
    repository.git("init", "-q", "--object-format=sha256")
    (path / "one").write_text("one\n")
    repository.commit("first")
    tree = GitTree(path)
    before = tree.fingerprint()
    _stage_and_restore(repository)

    assert tree.fingerprint() == before
    _edit(repository)
    assert tree.fingerprint() != before


def test_a_fresh_object_agrees(repository, tree):
    """The fingerprint depends on the repository alone, not on what the object has seen."""
    tree.fingerprint()
    _create(repository)

    assert tree.fingerprint() == GitTree(repository.path).fingerprint()


def test_a_clone_is_the_same_state(repository, tree, tmp_path):
    """Another checkout of the same content reads the same."""
    clone = Repository(tmp_path / "clone")
    repository.git("clone", "-q", ".", str(clone.path))
    for each in (repository, clone):
        _create(each)

    assert GitTree(clone.path).fingerprint() == tree.fingerprint()


def test_any_directory_of_it_will_do(repository, tree, monkeypatch):
    """From wherever one looks, the whole work tree counts; by default from where one stands."""
    _create(repository)
    monkeypatch.chdir(repository.path / "folder")

    assert GitTree(repository.path / "folder").fingerprint() == tree.fingerprint()
    assert GitTree().fingerprint() == tree.fingerprint()


def test_links_are_not_followed(repository, tree):
    """As for git, a link is the text that it holds; where it leads does not matter."""
    (repository.path / "link").symlink_to("one")
    (repository.path / "circle").symlink_to("circle")
    (repository.path / "up").symlink_to("..")
    repository.commit("links")
    before = tree.fingerprint()
    (repository.path / "link").unlink()
    (repository.path / "link").symlink_to("two")
    after = tree.fingerprint()
    repository.git("add", "link")
    (repository.path / "link").unlink()
    (repository.path / "link").symlink_to("one")

    assert after != before
    assert tree.fingerprint() == before


def test_a_file_that_becomes_a_directory(repository, tree):
    """A path may change its kind; the states are three."""
    states = [tree.fingerprint()]
    _delete(repository)
    (repository.path / "one").mkdir()
    states.append(tree.fingerprint())
    (repository.path / "one" / "below").write_text("")
    states.append(tree.fingerprint())

    assert len(set(states)) == 3


def test_repositories_inside_count(repository, tree, tmp_path):
    """A submodule, and a repository that is none, count with their heads and their work."""
    inner = Repository.at(tmp_path / "inner", four="four\n")
    repository.git(
        "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner.path), "sub"
    )
    repository.commit("with a submodule")
    nested = Repository.at(repository.path / "nested", five="five\n")
    below = Repository(repository.path / "sub")
    states = [tree.fingerprint()]
    for each, name in ((below, "four"), (nested, "five")):
        (each.path / name).write_text("edited\n")
        states.append(tree.fingerprint())
        each.commit("work")
        states.append(tree.fingerprint())
        each.git("commit", "-q", "--allow-empty", "-m", "nothing")
        assert tree.fingerprint() == states[-1]

    assert len(set(states)) == 5


def test_a_broken_repository_inside_is_blind(repository, tree):
    """A repository inside that git cannot read is said so, and never looked for further up."""
    nested = Repository.at(repository.path / "nested", five="five\n")
    (nested.path / ".git" / "HEAD").unlink()
    repository.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},nested")

    with pytest.raises(HaltableError, match="nested"):
        tree.fingerprint()


def test_what_only_looks_like_a_repository_is_blind(repository, tree):
    """Git would go on looking further up, and read the outer repository in its place."""
    _delete(repository)
    (repository.path / "one" / ".git").mkdir(parents=True)

    with pytest.raises(HaltableError, match=r"one is a repository that git cannot read"):
        tree.fingerprint()


def test_what_was_staged_and_changed_again_counts_as_it_lies(repository, tree):
    """A new file reads the same whether an older content of it was staged or not."""
    _create(repository)
    repository.git("add", "new")
    (repository.path / "new").write_text("more")
    (repository.path / "two").unlink()
    (repository.path / "two").symlink_to("one")
    before = tree.fingerprint()
    repository.git("rm", "-q", "--cached", "two")
    repository.git("reset", "-q", "new")

    assert tree.fingerprint() == before


def test_a_pipe_in_place_of_a_file_is_none(repository, tree):
    """What git would not record is as if it were not there, in the index or out of it."""
    _delete(repository)
    before = tree.fingerprint()
    repository.git("rm", "-q", "--cached", "one")
    os.mkfifo(repository.path / "one")

    assert tree.fingerprint() == before


def test_no_repository_is_blind(tmp_path):
    """Where there is no repository, git's own words say so."""
    with pytest.raises(HaltableError, match=r"GitTree\(.*git ended with status 128: fatal: not a"):
        GitTree(tmp_path).fingerprint()
    with pytest.raises(HaltableError, match="cannot change to"):
        GitTree(tmp_path / "missing").fingerprint()


def test_a_bare_repository_is_blind(tmp_path):
    """A repository without a work tree has none to look at."""
    repository = Repository(tmp_path)
    repository.git("init", "-q", "--bare")

    with pytest.raises(HaltableError, match="must be run in a work tree"):
        GitTree(tmp_path).fingerprint()


def test_no_git_is_blind(repository, tree, monkeypatch):
    """Without the program there is nobody to ask."""
    monkeypatch.setenv("PATH", str(repository.path))

    with pytest.raises(FileNotFoundError, match="git"):
        tree.fingerprint()


def _fake_git(directory: Path, script: str) -> str:
    directory.mkdir()
    (directory / "git").write_text(f"#!/bin/sh\n{script}\n")
    (directory / "git").chmod(0o755)
    return f"{directory}:{os.environ['PATH']}"


def test_a_git_that_hangs_is_blind(repository, tmp_path, monkeypatch):
    """One that does not answer is killed when its time is up."""
    monkeypatch.setenv("PATH", _fake_git(tmp_path / "bin", "exec sleep 60"))

    with pytest.raises(TimeoutError, match=r"git took more than 0\.05 s and was killed"):
        GitTree(repository.path, timeout=0.05).fingerprint()


def test_a_git_of_another_language_is_blind(repository, tree, tmp_path, monkeypatch):
    """An answer that cannot be read is no answer."""
    monkeypatch.setenv("PATH", _fake_git(tmp_path / "bin", "printf '9 new words\\0'"))

    with pytest.raises(HaltableError, match=r"9 new words.*does not know"):
        tree.fingerprint()


def test_the_environment_does_not_lead_elsewhere(repository, tree, tmp_path, monkeypatch):
    """Inside a hook, git's variables name a repository that is not the one to look at."""
    before = tree.fingerprint()
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path))

    assert tree.fingerprint() == before


def test_looking_changes_nothing(repository, tree):
    """No lock is needed, no index written, no hook and no monitor run."""
    hooks = repository.path / ".git" / "hooks"
    hooks.mkdir()
    script = f"#!/bin/sh\ntouch {repository.path / 'ran'}\n"
    for name in ("post-index-change", "monitor"):
        (hooks / name).write_text(script)
        (hooks / name).chmod(0o755)
    repository.git("config", "core.fsmonitor", str(hooks / "monitor"))
    _touch(repository)
    index = repository.path / ".git" / "index"
    before = (index.read_bytes(), index.stat().st_mtime_ns, index.stat().st_ino)
    state = tree.fingerprint()
    (repository.path / ".git" / "index.lock").write_text("somebody commits just now")

    assert tree.fingerprint() == state

    assert (index.read_bytes(), index.stat().st_mtime_ns, index.stat().st_ino) == before
    assert not (repository.path / "ran").exists()


def test_git_is_asked_once_a_look(repository, tree, monkeypatch):
    """What a commit records is asked once; after that one question is enough."""
    asked, listen = [], _git.listen
    monkeypatch.setattr(
        "haltable.evidence._git.listen",
        lambda argv, *rest, **named: [asked.append(argv), listen(argv, *rest, **named)],
    )
    for _ in range(3):
        tree.fingerprint()
    repository.git("commit", "-q", "--allow-empty", "-m", "nothing")
    tree.fingerprint()

    assert [("status" in argv) for argv in asked] == [True, False, True, True, True, False]


def test_unchanged_files_are_read_once(repository, tree, monkeypatch):
    """Of what differs from the head, only what has changed since is read again."""
    real, reads, read = time.time_ns, [], _content.Content.read
    monkeypatch.setattr(time, "time_ns", lambda: real() + 60_000_000_000)
    monkeypatch.setattr(
        _content.Content, "read", lambda *given: [reads.append(given), read(*given)][1]
    )
    _create(repository)
    _edit(repository)
    tree.fingerprint()
    tree.fingerprint()
    os.utime(repository.path / "new", (1, 1))
    tree.fingerprint()

    assert len(reads) == 3


def test_files_that_vanish_while_being_looked_at_are_absent(repository, tree, monkeypatch):
    """A file that git has seen and that is gone when it is read is like one never there."""
    before = tree.fingerprint()
    _create(repository)
    read = _content.Content.read

    def deleted_first(path: str, limit: int) -> object:
        Path(path).unlink()
        return read(path, limit)

    monkeypatch.setattr(_content.Content, "read", deleted_first)

    assert tree.fingerprint() == before


def test_large_files_count_with_size_head_and_tail(repository):
    """Beyond the limit a change in the middle of an untracked file is unseen, others are not."""
    tree, states = GitTree(repository.path, max_bytes=7), {}
    for name, text in {
        "before": "aaaaMMMMMMzzz",
        "middle": "aaaammmmmmzzz",
        "head": "aaaAMMMMMMzzz",
        "tail": "aaaaMMMMMMzzZ",
        "size": "aaaaMMMMMzzz",
    }.items():
        (repository.path / "new").write_text(text)
        states[name] = tree.fingerprint()

    assert states["middle"] == states["before"]
    assert len(set(states.values())) == 4


def test_it_is_called_by_its_path(repository):
    """Receipts name the directory as it was given."""
    assert str(GitTree()) == "GitTree(.)"
    assert str(GitTree(Path("a")) | GitTree("b")) == "GitTree(a) or GitTree(b)"
    assert isinstance(GitTree(), Evidence)
    assert GitTree.blocks is True


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"path": ""}, r"GitTree\(''\)"),
        ({"path": 7}, r"GitTree\(7\)"),
        ({"path": b"top"}, r"GitTree\(b'top'\)"),
        ({"path": "a\0b"}, "give a directory"),
        ({"timeout": 0}, r"GitTree\(timeout=0\)"),
        ({"timeout": True}, "timeout=True"),
        ({"timeout": float("nan")}, "timeout=nan"),
        ({"max_bytes": 0}, r"GitTree\(max_bytes=0\)"),
    ],
)
def test_bad_input_is_refused(given, words):
    """Evidence that could never see anything is refused when it is made."""
    with pytest.raises(ConfigurationError, match=words):
        GitTree(**given)
