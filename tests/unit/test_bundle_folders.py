"""Tests of kvmnet/bundle_folders.py: comparing and writing the folders of hosts."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from kvmnet import bundle_folders, pipeline
from kvmnet.core.base.errors import KvmnetError
from kvmnet.core.rendering.bundle import Bundle
from kvmnet.exporters import Files
from kvmnet.exporters.bundle_folder import EXPORTER

HOST = "vm-container-0-0"


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return pipeline.load("examples/rocks/cluster.yaml").bundle(HOST)


@pytest.fixture(scope="module")
def files(bundle: Bundle) -> Files:
    return EXPORTER.export([bundle])


def test_only_files_that_differ_are_written(tmp_path: Path, files: Files) -> None:
    assert len(bundle_folders.write(tmp_path, files, True).missing) == 4
    before = {path: path.stat().st_ino for path in (tmp_path / HOST).iterdir()}
    assert bundle_folders.write(tmp_path, files, True).clean
    (tmp_path / HOST / "nmstate.yml").write_text("edited")
    assert bundle_folders.compare(tmp_path, files, True).stale == (f"{HOST}/nmstate.yml",)
    assert bundle_folders.write(tmp_path, files, True).stale == (f"{HOST}/nmstate.yml",)
    after = {path: path.stat().st_ino for path in (tmp_path / HOST).iterdir()}
    assert [path.name for path in before if before[path] != after[path]] == ["nmstate.yml"]


def test_folders_of_removed_hosts_are_removed_and_other_files_are_kept(tmp_path: Path, files: Files) -> None:
    bundle_folders.write(tmp_path, files, True)
    (tmp_path / HOST / "README").write_text("mine")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "nmstate.yml").write_text("mine")
    drift = bundle_folders.write(tmp_path, {}, True)
    assert len(drift.surplus) == 4 and not drift.missing
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()) == [
        "elsewhere/nmstate.yml",
        f"{HOST}/README",
    ]


def test_writing_one_host_does_not_remove_the_folders_of_others(tmp_path: Path, bundle: Bundle, files: Files) -> None:
    other = dataclasses.replace(bundle, host="other")
    bundle_folders.write(tmp_path, EXPORTER.export([bundle, other]), True)
    assert bundle_folders.write(tmp_path, files, False).clean
    assert (tmp_path / "other" / "bundle.json").exists()


def test_the_guests_file_is_removed_with_the_last_guest(tmp_path: Path, bundle: Bundle, files: Files) -> None:
    bundle_folders.write(tmp_path, files, True)
    without_guests = EXPORTER.export([dataclasses.replace(bundle, guests=None)])
    drift = bundle_folders.write(tmp_path, without_guests, True)
    assert drift.surplus == (f"{HOST}/guests.yml",)
    assert not (tmp_path / HOST / "guests.yml").exists()


def test_a_folder_that_render_did_not_write_is_not_overwritten(tmp_path: Path, files: Files) -> None:
    (tmp_path / HOST).mkdir()
    (tmp_path / HOST / "nmstate.yml").write_text("mine")
    with pytest.raises(KvmnetError, match=r"nmstate\.yml was not written by kvmnet render"):
        bundle_folders.write(tmp_path, files, True)
    assert (tmp_path / HOST / "nmstate.yml").read_text() == "mine"


def test_an_output_folder_that_cannot_be_written_is_an_error(tmp_path: Path, files: Files) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(KvmnetError):
        bundle_folders.write(tmp_path / "out", files, True)


@pytest.mark.guarantee("G93")
def test_a_hosts_folder_that_is_a_link_is_refused(tmp_path: Path, files: Files) -> None:
    """Files would be written to where it leads."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    root = tmp_path / "states"
    root.mkdir()
    (root / next(iter(files)).split("/")[0]).symlink_to(elsewhere)
    with pytest.raises(KvmnetError, match="is a symbolic link"):
        bundle_folders.write(root, files, True)
    assert list(elsewhere.iterdir()) == []
