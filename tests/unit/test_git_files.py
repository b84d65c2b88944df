"""Tests of kvmnet/git_files.py with the real git."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from kvmnet.core.base.errors import KvmnetError, Usage
from kvmnet.git_files import GitError, NoSuchRevision, Repository, split_range


def git(folder: Path, *words: str) -> str:
    """Run git as a user of its own, without the settings of this machine."""
    names = {f"GIT_{who}_{what}": "test@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    environment = {**os.environ, **names, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
    return subprocess.run(
        ["git", "-C", str(folder), *words], env=environment, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """A repository with two commits and some odd files."""
    git(tmp_path, "init", "-q", "-b", "main")
    (tmp_path / "a.yaml").write_text("one\n")
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "é b.yaml").write_bytes(b"\xff\0two")
    (tmp_path / "d" / "link.yaml").symlink_to("../a.yaml")
    (tmp_path / "d" / "out.yaml").symlink_to("/etc/passwd")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-q", "-m", "one")
    git(tmp_path, "tag", "v1")
    (tmp_path / "a.yaml").write_text("other\n")
    git(tmp_path, "commit", "-q", "-a", "-m", "two")
    return Repository(tmp_path)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("HEAD~1", ("HEAD~1", None, False)),
        ("main@{1}", ("main@{1}", None, False)),
        ("v1..HEAD^", ("v1", "HEAD^", False)),
        ("origin/main...HEAD", ("origin/main", "HEAD", True)),
    ],
)
def test_ranges(text: str, parts: tuple[str, str, bool]) -> None:
    assert split_range(text) == parts


@pytest.mark.parametrize(
    "text",
    ["", "-x", "--output=/tmp/x", "a..-b", "..", "a..", "..b", "a b", "HEAD:a.yaml", "^main", "a..b..c", "x\ny", "a*"],
)
def test_names_that_git_could_take_for_something_else_are_refused(text: str) -> None:
    with pytest.raises(Usage, match="is not a git revision"):
        split_range(text)


def test_the_files_of_a_revision_are_read_as_they_are(repository: Repository) -> None:
    first = repository.find_commit("v1")
    files = repository.list_files(first, "d")
    assert set(files) == {"d/é b.yaml", "d/link.yaml", "d/out.yaml"}
    del files["d/out.yaml"]
    assert repository.read(first, files) == {"d/é b.yaml": b"\xff\0two", "d/link.yaml": b"one\n"}
    now = repository.find_commit("HEAD")
    assert repository.read(now, repository.list_files(now, "a.yaml")) == {"a.yaml": b"other\n"}
    assert repository.list_files(now, "none") == {}


def test_a_link_out_of_the_repository_is_not_followed(repository: Repository) -> None:
    commit = repository.find_commit("HEAD")
    with pytest.raises(KvmnetError, match="symbolic link"):
        repository.read(commit, {"d/out.yaml": repository.list_files(commit, "d")["d/out.yaml"]})


def test_paths_are_relative_to_the_folder(repository: Repository) -> None:
    inner = Repository(repository.folder / "d")
    assert "é b.yaml" in inner.list_files(inner.find_commit("HEAD"), "é b.yaml")


def test_the_merge_base_of_two_branches(repository: Repository) -> None:
    git(repository.folder, "checkout", "-q", "-b", "side", "v1")
    git(repository.folder, "commit", "-q", "--allow-empty", "-m", "side")
    side, main, first = (repository.find_commit(name) for name in ("side", "main", "v1"))
    assert repository.find_merge_base(main, side) == first
    git(repository.folder, "checkout", "-q", "--orphan", "alone")
    git(repository.folder, "commit", "-q", "--allow-empty", "-m", "alone")
    with pytest.raises(KvmnetError, match="no commit in common"):
        repository.find_merge_base(main, repository.find_commit("alone"))


def test_what_is_missing_has_a_message(repository: Repository, tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(NoSuchRevision, match="has no revision 'none'"):
        repository.find_commit("none")
    with pytest.raises(GitError, match="not a git repository"):
        Repository(tmp_path_factory.mktemp("empty")).find_commit("HEAD")


def test_without_git_the_message_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(KvmnetError, match="git cannot be run"):
        Repository(tmp_path).find_commit("HEAD")
