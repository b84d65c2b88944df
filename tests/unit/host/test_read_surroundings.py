"""Reading what else decides whether a change is safe: services, free space, read-only folders."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Optional

import pytest

from kvmnet.host import read_surroundings
from kvmnet.system import firewalld, programs
from kvmnet.system.errors import HostError


def test_the_free_space_of_a_missing_folder_is_that_of_its_parent(tmp_path: Path) -> None:
    (room,) = read_surroundings.read_free_space([str(tmp_path / "a/b")])
    assert room.path == str(tmp_path / "a/b") and room.bytes > 0


def answering(monkeypatch: pytest.MonkeyPatch, text: Optional[str]) -> None:
    def run(*argv: str, **_: object) -> str:
        if text is None:
            raise HostError("systemctl: not found")
        return text

    monkeypatch.setattr(programs, "run", run)


def test_active_and_starting_services_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, "active\n\ninactive\n\nactivating\n")
    assert read_surroundings.find_active_services(["corosync", "pacemaker", "sbd"]) == ["corosync", "sbd"]


@pytest.mark.parametrize(
    ("text", "reason"), [(None, "systemctl: not found"), ("", "reports 0"), ("active\n", "reports 1")]
)
def test_an_incomplete_answer_of_systemd_is_an_error(
    monkeypatch: pytest.MonkeyPatch, text: Optional[str], reason: str
) -> None:
    answering(monkeypatch, text)
    with pytest.raises(HostError, match=reason):
        read_surroundings.find_active_services(["corosync", "pacemaker"])


def test_read_only_and_immutable_folders_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that does not exist counts as its parent."""
    for name in ("ro", "rw", "immutable"):
        (tmp_path / name).mkdir()
    statvfs = os.statvfs

    def mounted(path: Path) -> Any:
        flags = os.ST_RDONLY if Path(path).name == "ro" else 0
        return SimpleNamespace(f_flag=statvfs(path).f_flag & ~os.ST_RDONLY | flags)

    monkeypatch.setattr(os, "statvfs", mounted)
    monkeypatch.setattr(read_surroundings, "_is_immutable", lambda path: path.name == "immutable")
    folders = [str(tmp_path / name) for name in ("ro", "rw", "immutable", "ro/new", "rw/new")]
    found = list(read_surroundings.find_read_only_folders(folders))
    assert [Path(folder).relative_to(tmp_path).as_posix() for folder in found] == ["ro", "immutable", "ro/new"]


def test_the_attributes_of_a_folder_are_read(tmp_path: Path) -> None:
    """Not every file system has attributes; a folder that cannot be opened counts as writable."""
    assert read_surroundings._is_immutable(tmp_path) is False
    assert read_surroundings._is_immutable(tmp_path / "none") is False


@pytest.mark.parametrize("state", ["active", "inactive", "silent"])
def test_firewallds_zones_are_read_if_it_runs(monkeypatch: pytest.MonkeyPatch, state: str) -> None:
    def read() -> list[str]:
        if state == "silent":
            raise HostError("firewalld does not answer")
        return ["public"]

    monkeypatch.setattr(firewalld, "is_running", lambda: state != "inactive")
    monkeypatch.setattr(firewalld, "read_zone_names", read)
    assert read_surroundings._read_zone_names() == (("public",) if state == "active" else None)
