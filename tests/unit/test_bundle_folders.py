"""Folders of bundles: writing, comparing and deleting their files."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from kvmnet import bundle_folders
from kvmnet.core.base.errors import KvmnetError
from kvmnet.core.rendering import bundle_files
from kvmnet.core.rendering.bundle import Bundle
from tests.unit.bundles import HOST, example_bundle


@pytest.fixture
def bundle() -> Bundle:
    return example_bundle()


def test_only_changed_files_are_written(tmp_path: Path, bundle: Bundle) -> None:
    files = {HOST: bundle_files.files_of(bundle)}
    assert len(bundle_folders.write(tmp_path, files, True).missing) == 4
    before = {path: path.stat().st_ino for path in (tmp_path / HOST).iterdir()}
    assert bundle_folders.write(tmp_path, files, True).clean
    (tmp_path / HOST / "nmstate.yml").write_text("edited")
    assert bundle_folders.compare(tmp_path, files, True).stale == (f"{HOST}/nmstate.yml",)
    assert bundle_folders.write(tmp_path, files, True).stale == (f"{HOST}/nmstate.yml",)
    after = {path: path.stat().st_ino for path in (tmp_path / HOST).iterdir()}
    assert [path.name for path in before if before[path] != after[path]] == ["nmstate.yml"]


def test_folders_of_removed_hosts_are_deleted_but_no_other_files(tmp_path: Path, bundle: Bundle) -> None:
    bundle_folders.write(tmp_path, {HOST: bundle_files.files_of(bundle)}, True)
    (tmp_path / HOST / "README").write_text("mine")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "nmstate.yml").write_text("mine")
    drift = bundle_folders.write(tmp_path, {}, True)
    assert len(drift.surplus) == 4 and not drift.missing
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()) == [
        "elsewhere/nmstate.yml",
        f"{HOST}/README",
    ]


def test_writing_one_host_deletes_no_other_host(tmp_path: Path, bundle: Bundle) -> None:
    other = dataclasses.replace(bundle, host="other")
    bundle_folders.write(tmp_path, {HOST: bundle_files.files_of(bundle), "other": bundle_files.files_of(other)}, True)
    assert bundle_folders.write(tmp_path, {HOST: bundle_files.files_of(bundle)}, False).clean
    assert (tmp_path / "other" / "bundle.json").exists()


def test_guests_yml_is_deleted_with_the_last_guest(tmp_path: Path, bundle: Bundle) -> None:
    bundle_folders.write(tmp_path, {HOST: bundle_files.files_of(bundle)}, True)
    drift = bundle_folders.write(
        tmp_path, {HOST: bundle_files.files_of(dataclasses.replace(bundle, guests=None))}, True
    )
    assert drift.surplus == (f"{HOST}/guests.yml",)
    assert not (tmp_path / HOST / "guests.yml").exists()


def test_a_folder_that_render_did_not_write_is_not_overwritten(tmp_path: Path, bundle: Bundle) -> None:
    (tmp_path / HOST).mkdir()
    (tmp_path / HOST / "nmstate.yml").write_text("mine")
    with pytest.raises(KvmnetError):
        bundle_folders.write(tmp_path, {HOST: bundle_files.files_of(bundle)}, True)
    assert (tmp_path / HOST / "nmstate.yml").read_text() == "mine"


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path, bundle: Bundle) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(KvmnetError):
        bundle_folders.write(tmp_path / "out", {HOST: bundle_files.files_of(bundle)}, True)
