"""Files that someone else could have written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kvmnet.host import trusted_files
from kvmnet.host.trusted_files import find_other_writer, open_without_links, trusted_owners

OWN = frozenset({0, os.geteuid()})


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A file that only this user can write."""
    file = tmp_path / "folder" / "file"
    file.parent.mkdir(mode=0o755)
    file.write_text("x")
    file.chmod(0o644)
    return file


def test_a_file_that_only_its_owner_can_write_is_trusted(place: Path) -> None:
    assert find_other_writer(place, OWN) is None


@pytest.mark.parametrize("part", ["file", "folder"])
def test_a_file_or_folder_that_every_user_can_write_is_named(place: Path, part: str) -> None:
    """Who can write a folder can replace what is in it."""
    path = place if part == "file" else place.parent
    path.chmod(0o777)
    assert find_other_writer(place, OWN) == f"{path} can be written by every user (mode 0777)"


def test_a_folder_of_which_every_user_can_only_remove_his_own_files_is_trusted(place: Path) -> None:
    place.parent.chmod(0o1777)  # like /tmp
    assert find_other_writer(place, OWN) is None
    assert "mode 1777" in str(find_other_writer(place.parent, OWN)), "but not as a folder of files"


def test_a_group_with_other_members_is_named(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place.chmod(0o664)
    monkeypatch.setattr(trusted_files, "_is_private_group", lambda number, owners: False)
    monkeypatch.setattr(trusted_files, "_group_name", lambda number: "staff")
    assert find_other_writer(place, OWN) == f"{place} can be written by group staff (mode 0664)"
    monkeypatch.setattr(trusted_files, "_is_private_group", lambda number, owners: True)
    assert find_other_writer(place, OWN) is None


def test_another_owner_is_named(place: Path) -> None:
    assert "belongs to user" in str(find_other_writer(place, {4242}))


def test_where_a_link_leads_counts_too(place: Path, tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "open" / "file").write_text("x")
    (tmp_path / "link").symlink_to("open")
    assert "open can be written by every user" in str(find_other_writer(tmp_path / "link" / "file", OWN))


def test_a_link_is_not_opened(place: Path) -> None:
    place.with_name("link").symlink_to(place)
    with pytest.raises(OSError, match="link"):
        open_without_links(place.with_name("link"))


def test_the_user_who_became_root_is_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("SUDO_UID", "1000")
    monkeypatch.setenv("PKEXEC_UID", "x")
    assert trusted_owners() == {0, 1000}
    monkeypatch.delenv("SUDO_UID")
    assert trusted_owners() == {0}
