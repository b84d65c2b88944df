"""Files are written by rename, and restored byte for byte."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from kvmnet.system import files
from tests.unit.system.samples import raise_disk_full


@pytest.mark.guarantee("G02")
def test_a_file_is_restored_with_content_and_mode(tmp_path: Path) -> None:
    file = tmp_path / "eth0.nmconnection"
    file.write_bytes(b"[connection]\r\nid=\xff\n")
    file.chmod(0o600)
    record = json.loads(json.dumps(files.record_file(str(file))))
    assert files.restore_file(record) is False
    files.write_file(str(file), b"other", 0o644)
    assert files.restore_file(record) is True
    assert (file.read_bytes(), file.stat().st_mode & 0o777) == (b"[connection]\r\nid=\xff\n", 0o600)
    file.chmod(0o640)
    assert files.restore_file(record) is True
    assert files.record_file(str(file)) == record
    assert [p.name for p in tmp_path.iterdir()] == ["eth0.nmconnection"], "no temporary file is left"


def test_absence_and_symlinks_are_restored(tmp_path: Path) -> None:
    absent = files.record_file(str(tmp_path / "new.link"))
    (tmp_path / "new.link").write_text("x")
    assert files.restore_file(absent) is True
    assert not (tmp_path / "new.link").exists()
    (tmp_path / "masked.link").symlink_to("/dev/null")
    record = files.record_file(str(tmp_path / "masked.link"))
    files.write_file(str(tmp_path / "masked.link"), b"x")
    assert files.restore_file(record) is True
    assert (tmp_path / "masked.link").readlink() == Path("/dev/null")


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "f"
    file.write_text("old")

    def raise_disk_full(_: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", raise_disk_full)
    with pytest.raises(OSError, match="no space"):
        files.write_file(str(file), b"new")
    assert [p.name for p in tmp_path.iterdir()] == ["f"]
    assert file.read_text() == "old"


@pytest.mark.guarantee("G02")
@pytest.mark.parametrize("room", [True, False])
def test_the_label_of_a_file_is_restored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: bool) -> None:
    """By another attribute, which needs neither root nor SELinux; tests/lab/test_undo.py uses the real one."""
    monkeypatch.setattr(files, "SELINUX_LABEL", "user.label")
    file = tmp_path / "eth0.nmconnection"
    file.write_text("was")
    try:
        os.setxattr(file, "user.label", b"as it was")
    except OSError as error:
        pytest.skip(f"this file system has no attributes: {error}")
    record = files.record_file(str(file))
    file.unlink()
    file.write_text("is")
    if not room:
        monkeypatch.setattr(files, "write_file", raise_disk_full)
    assert files.restore_file(record) is True
    assert files.record_file(str(file)) == record
    assert os.getxattr(file, "user.label") == b"as it was"


@pytest.mark.guarantee("G02")
@pytest.mark.parametrize("now", ["", "is longer than what was", "is"])
def test_on_a_full_disk_a_file_is_overwritten_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, now: str
) -> None:
    file = tmp_path / "eth0.nmconnection"
    file.write_text("what was")
    file.chmod(0o600)
    record = files.record_file(str(file))
    file.write_text(now)
    file.chmod(0o644)
    monkeypatch.setattr(files, "write_file", raise_disk_full)
    assert files.restore_file(record) is True
    assert files.record_file(str(file)) == record


def test_a_file_is_unchanged_when_there_is_no_space_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "eth0.nmconnection"
    file.write_text("what was")
    record = files.record_file(str(file))
    file.write_text("is")
    monkeypatch.setattr(files, "write_file", raise_disk_full)
    monkeypatch.setattr(os, "posix_fallocate", raise_disk_full)
    for _ in ("there", "gone"):
        with pytest.raises(OSError, match="No space"):
            files.restore_file(record)
        if file.exists():
            assert file.read_text() == "is"
            file.unlink()


@pytest.mark.guarantee("G93")
def test_a_link_with_the_name_of_the_temporary_file_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("keep")
    (tmp_path / ".file.kvmnet").symlink_to(victim)
    files.write_file(str(tmp_path / "file"), b"new", 0o640)
    assert (victim.read_text(), (tmp_path / "file").read_text()) == ("keep", "new")
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640
    assert not (tmp_path / ".file.kvmnet").is_symlink()


def test_folders_are_not_writable_by_others_whatever_the_umask(tmp_path: Path) -> None:
    umask = os.umask(0)
    try:
        files.make_folder(tmp_path / "a" / "b")
    finally:
        os.umask(umask)
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "a", tmp_path / "a/b")} == {0o755}
