"""Tests of kvmnet/definition_files.py: files that cannot be read are one problem each."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from kvmnet import definition_files, pipeline


def problems(path: Path | str | None) -> list[str]:
    definition = pipeline.load(None if path is None else str(path))
    assert definition.cluster is None and not definition.ok
    return [f"{problem.code} {problem.message}" for problem in definition.problems]


def test_a_missing_file(tmp_path: Path) -> None:
    assert problems(tmp_path / "x") == ["KVN001 no such file or folder"]


def test_a_directory_without_a_definition(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert problems(None) == ["KVN001 no definition in the current directory"]


def test_a_folder_without_yaml_files(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("a: 1")
    (tmp_path / ".hidden.yaml").write_text("a: 1")
    assert problems(tmp_path) == ["KVN001 the folder has no .yaml or .yml file"]


def test_a_fifo_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "f.yaml")
    assert problems(tmp_path / "f.yaml") == ["KVN001 a FIFO, not a regular file"]
    assert problems(tmp_path) == ["KVN001 a FIFO, not a regular file"]


def test_a_socket_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as one:
        one.bind("s.yaml")
        assert problems("s.yaml") == ["KVN001 a socket, not a regular file"]


def test_a_device_is_not_read() -> None:
    assert problems("/dev/zero") == ["KVN001 a device, not a regular file"]


def test_a_subfolder_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "d.yaml").mkdir()
    (tmp_path / "d.yaml" / "loop").symlink_to(tmp_path)
    assert problems(tmp_path) == ["KVN001 a folder, not a regular file"]


def test_a_loop_of_symbolic_links(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").symlink_to("b.yaml")
    (tmp_path / "b.yaml").symlink_to("a.yaml")
    assert problems(tmp_path / "a.yaml") == ["KVN001 symbolic links form a loop"]


def test_a_file_above_the_size_limit_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "big.yaml").open("wb") as stream:
        stream.truncate(200 * 1024 * 1024)
    limit = definition_files.MAX_BYTES >> 20
    assert problems(tmp_path / "big.yaml") == [f"KVN001 the definition is larger than {limit} MiB"]


def test_a_file_without_read_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.yaml").write_text("a: 1")

    def refuse(*_: Any, **__: Any) -> int:  # root may read everything, so the error is simulated
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("os.open", refuse)
    assert problems(tmp_path / "a.yaml") == ["KVN001 permission denied"]


def test_an_invalid_file_name() -> None:
    assert problems("a\0b") == ["KVN001 not a valid file name"]


def test_a_file_name_that_is_too_long() -> None:
    assert problems("a" * 5000)[0].startswith("KVN001 cannot be read: ")


def test_the_files_of_a_folder_are_sorted_and_cluster_yaml_has_priority(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("cluster.d").mkdir()
    for name in ("b.yml", "a.yaml", "c.yaml"):
        (Path("cluster.d") / name).write_text("x-a: 1\n")
    assert [source.name for source in definition_files.read_definition(None)[0]] == [
        "cluster.d/a.yaml",
        "cluster.d/b.yml",
        "cluster.d/c.yaml",
    ]
    Path("cluster.yaml").write_text("x-a: 1\n")
    assert [source.name for source in definition_files.read_definition(None)[0]] == ["cluster.yaml"]


def test_root_does_not_follow_a_link_out_of_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The line of the error would show what only root can read."""
    folder = tmp_path / "d"
    folder.mkdir()
    (tmp_path / "shadow").write_text("root:$6$secret\n\t:")
    (folder / "a.yaml").symlink_to("../shadow")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert problems(folder) == ["KVN001 a symbolic link that leads out of the folder"]
    (folder / "a.yaml").unlink()
    (folder / "inside").write_text("kvmnet: 1")
    (folder / "a.yaml").symlink_to("inside")
    assert "KVN001" not in {problem.code for problem in pipeline.load(str(folder)).problems}
