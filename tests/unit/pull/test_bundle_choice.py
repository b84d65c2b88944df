"""This host's bundle in a commit."""

from __future__ import annotations

from pathlib import Path

import pytest

from kvmnet import pipeline
from kvmnet.core.base.errors import KvmnetError, Refused
from kvmnet.pull import bundle_choice
from kvmnet.pull.bundle_choice import write_own_bundles
from tests.unit.pull.repositories import DEFINITION, MAC, Origin, mirror_of


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    made = Origin(tmp_path / "origin")
    made.commit(DEFINITION)
    return made


def write(origin: Origin, macs: dict[str, str], hostname: str = "host", path: str = "states") -> list[Path]:
    mirror = mirror_of(origin, origin.folder.parent / "mirror.git")
    target = origin.folder.parent / "bundles"
    return write_own_bundles(mirror.folder, mirror.fetch(), path, macs, hostname, target)


def test_the_bundle_with_a_mac_address_of_this_host_is_written_to_a_private_folder(origin: Origin) -> None:
    [folder] = write(origin, {MAC: "eth0"})
    assert (folder.name, pipeline.read_bundle_folder(folder).host) == ("a", "a")
    assert folder.stat().st_mode & 0o777 == folder.parent.stat().st_mode & 0o777 == 0o700


def test_the_bundle_with_the_name_of_this_host_is_written_too(origin: Origin) -> None:
    assert [f.name for f in write(origin, {MAC: "eth0"}, "b.example.org")] == ["a", "b"]
    assert [f.name for f in write(origin, {}, "B")] == ["b"], "what the commit before left is gone"


def test_the_states_may_be_at_the_top_of_the_repository(origin: Origin) -> None:
    origin.git("mv", "states/a", "a")
    origin.git("commit", "--quiet", "--message=top")
    assert [f.name for f in write(origin, {MAC: "eth0"}, path=".")] == ["a"]


@pytest.mark.parametrize("path", ["states", "nothing"])
def test_a_repository_without_a_bundle_of_this_host_is_refused(origin: Origin, path: str) -> None:
    with pytest.raises(Refused, match=f"folder {path} of the repository has no bundle for this host") as error:
        write(origin, {"02:00:00:00:00:01": "eth7"}, path=path)
    assert error.value.code == "KVN572" and "eth7 02:00:00:00:00:01" in str(error.value.hint)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"nics": 1, "host": "a"}', '{"nics": [1], "host": "a"}'])
def test_an_index_that_cannot_be_read_is_no_bundle(origin: Origin, text: str) -> None:
    (origin.folder / "states/a/bundle.json").write_text(text)
    origin.git("commit", "--all", "--quiet", "--message=broken")
    with pytest.raises(Refused, match="no bundle for this host"):
        write(origin, {MAC: "eth0"})


def test_a_symbolic_link_is_not_followed(origin: Origin) -> None:
    state = origin.folder / "states/a/nmstate.yml"
    state.unlink()
    state.symlink_to("../b/nmstate.yml")
    origin.git("commit", "--all", "--quiet", "--message=link")
    with pytest.raises(KvmnetError, match=r"a/nmstate.yml of commit \w+ is a symbolic link"):
        write(origin, {MAC: "eth0"})


def test_a_bundle_that_is_too_large_is_not_read(origin: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle_choice, "MAX_BUNDLE", 100)
    with pytest.raises(KvmnetError, match="larger than 100 bytes"):
        write(origin, {MAC: "eth0"})
