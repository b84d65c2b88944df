"""Tests of kvmnet/review_input.py: definitions and rendered states, from the disk and from revisions."""

from __future__ import annotations

from pathlib import Path

import pytest

from kvmnet import bundle_folders, review_input
from kvmnet.core.base.errors import KvmnetError
from kvmnet.core.review.review import Review
from kvmnet.exporters import bundle_folder
from kvmnet.review_input import Side, read_path, read_revision
from tests.unit.core.review.samples import CLUSTER, define
from tests.unit.test_git_files import git

CHANGED = CLUSTER.replace("10.1.0.1}", "10.1.0.2}")


def render_to(folder: Path, text: str) -> None:
    bundle_folders.write(folder, bundle_folder.EXPORTER.export(define(text).bundles()), True)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a definition and its states, and a change that is not committed."""
    git(tmp_path, "init", "-q", "-b", "main")
    (tmp_path / "cluster.yaml").write_text(CLUSTER)
    (tmp_path / "parts").mkdir()
    head, _, guests = CLUSTER.partition("guests:")
    (tmp_path / "parts" / "a.yaml").write_text(head)
    (tmp_path / "parts" / "guests.yml").write_text(f"guests:{guests}")
    (tmp_path / "parts" / "notes.txt").write_text("no YAML: [")
    (tmp_path / "parts" / "sub").mkdir()
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "notes.txt").write_text("no definition")
    (tmp_path / "parts" / "sub" / "b.yaml").write_text("no definition")
    render_to(tmp_path / "states", CLUSTER)
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-q", "-m", "one")
    (tmp_path / "cluster.yaml").write_text(CHANGED)
    render_to(tmp_path / "states", CHANGED)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def compare(old: Side, new: Side) -> Review:
    return review_input.compare_sides(old, new, lambda names, activity, total: names)


def names(review: Review) -> list[str]:
    return [host.host for host in review.hosts]


def test_a_revision_is_compared_with_the_working_tree(site: Path) -> None:
    old, new = read_revision("HEAD", None), read_path(None)
    assert old.label == "HEAD:cluster.yaml" and old.definition is not None
    assert list(old.definition.sources) == ["HEAD:cluster.yaml"]
    review = compare(old, new)
    assert names(review) == ["a", "b"] and review.total == 2
    assert compare(old, read_revision("main", "cluster.yaml")).is_empty


def test_a_folder_of_a_revision_has_the_files_that_the_disk_would_have(site: Path) -> None:
    side = read_revision("HEAD", "parts")
    assert side.definition is not None
    assert list(side.definition.sources) == ["HEAD:parts/a.yaml", "HEAD:parts/guests.yml"]
    assert compare(side, read_path("parts")).is_empty


def test_rendered_states_of_a_revision_and_of_the_disk(site: Path) -> None:
    old, new = read_revision("HEAD", "states"), read_path("states")
    assert old.states is not None and new.states is not None
    assert names(compare(old, new)) == ["a", "b"]
    assert names(compare(read_revision("HEAD", "states/a"), read_path("states/a"))) == ["a"]
    assert compare(new, read_path("cluster.yaml")).is_empty, "states are those of the definition"


def test_states_with_the_same_bytes_are_not_read(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    render_to(site / "states", CLUSTER.replace("10.1.0.11]", "10.1.0.12]"))
    read: list[str] = []
    original = review_input._read_bundle
    monkeypatch.setattr(
        review_input, "_read_bundle", lambda label, folder, files: read.append(folder) or original(label, folder, files)
    )
    review = compare(read_revision("HEAD", "states"), read_path("states"))
    assert names(review) == ["b"] and review.total == 2
    assert len(read) == 2 and all(folder == "b" for folder in read)


def test_a_path_that_was_deleted_can_be_read_from_a_revision(site: Path) -> None:
    (site / "parts" / "a.yaml").unlink()
    (site / "parts" / "guests.yml").unlink()
    assert read_revision("HEAD", str(site / "parts")).definition is not None


def test_the_merge_base_is_compared(site: Path) -> None:
    git(site, "checkout", "-q", "-b", "work")
    git(site, "commit", "-q", "-a", "-m", "change")
    git(site, "checkout", "-q", "main")
    (site / "cluster.yaml").write_text(CLUSTER.replace("10.1.0.10]", "10.1.0.77]"))
    git(site, "commit", "-q", "-a", "-m", "meanwhile")
    work = read_revision("work", "cluster.yaml")
    assert names(compare(read_revision("main", "cluster.yaml", "work"), work)) == ["a", "b"]
    review = compare(read_revision("main", "cluster.yaml", "work"), work)
    assert not review.lost_hosts, "what main changed meanwhile is not part of it"


def test_what_cannot_be_compared_has_a_message(site: Path) -> None:
    with pytest.raises(KvmnetError, match=r"revision HEAD has no none\.yaml"):
        read_revision("HEAD", "none.yaml")
    with pytest.raises(KvmnetError, match=r"the folder has no \.yaml"):
        read_revision("HEAD", "docs")
    (site / "states" / "a" / "nmstate.yml").write_text("interfaces: []\n")
    with pytest.raises(KvmnetError, match=r"states: the states in a cannot be compared: .*digest") as error:
        compare(read_revision("HEAD", "states"), read_path("states"))
    assert error.value.hint is not None and "render" in error.value.hint
