"""kvmnet's configuration of this host."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kvmnet.core.live.pull_settings import PullSettings
from kvmnet.core.live.surroundings import HostConfiguration
from kvmnet.host import host_configuration
from kvmnet.host.host_configuration import read_host_configuration


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(host_configuration, "_owners", lambda: frozenset({0, os.geteuid()}))
    return tmp_path / "kvmnet.conf"


@pytest.mark.parametrize(
    ("text", "permits"),
    [
        ("", False),
        ("allow-commands = yes\n", True),
        ("# ours\n\nallow-commands=yes # for the storage\n", True),
        ("allow-commands = no", False),
    ],
)
def test_commands_are_permitted_only_when_the_file_says_so(file: Path, text: str, permits: bool) -> None:
    file.write_text(text)
    assert read_host_configuration(file) == HostConfiguration(permits)


def test_the_settings_of_pull_mode_are_read(file: Path) -> None:
    file.write_text("allow-commands = yes\npull-repository = git@h:n.git # ours\npull-interval = 2h\n")
    assert read_host_configuration(file) == HostConfiguration(True, pull=PullSettings("git@h:n.git", interval=120))


def test_without_a_file_commands_are_not_permitted(file: Path) -> None:
    assert read_host_configuration(file) == HostConfiguration(False)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("allow-command = yes", "line 1: expected one of allow-commands, pull-repository, "),
        ("allow-commands = true", "line 1: allow-commands: expected yes or no"),
        ("\nallow-commands", "line 2: allow-commands: expected yes or no"),
        ("pull-branch = x..y", "line 1: pull-branch: not the name of a branch"),
        ("pull-branch = live", "pull- settings need pull-repository"),
        ("pull-repository = git://h/n", "this protocol does not authenticate the server"),
        ("= yes", "line 1: expected"),
        ("allow-commands = no\nallow-commands = yes", "line 2: allow-commands is set twice"),
        ("[x]", "line 1: expected"),
        ("#" * 70_000, "larger than 64 KiB"),
    ],
)
def test_a_file_with_an_unknown_line_permits_nothing(file: Path, text: str, problem: str) -> None:
    file.write_text(f"{text}\nallow-commands = yes\n" if "twice" not in problem else text)
    found = read_host_configuration(file)
    assert not found.allows_commands and problem in found.problem and str(file) in found.problem


@pytest.mark.guarantee("G93")
def test_a_file_that_others_can_write_permits_nothing(file: Path) -> None:
    file.write_text("allow-commands = yes")
    file.chmod(0o666)
    found = read_host_configuration(file)
    assert not found.allows_commands
    assert found.problem == (
        f"{file}: only root may be able to write it, but {file} can be written by every user (mode 0666)"
    )


def test_a_link_a_folder_and_text_that_is_not_utf8_permit_nothing(file: Path) -> None:
    file.symlink_to(file.parent)
    assert "symbolic link" in read_host_configuration(file).problem
    assert "directory" in read_host_configuration(file.parent).problem
    os.mkfifo(file.parent / "fifo")
    assert "not a regular file" in read_host_configuration(file.parent / "fifo").problem
    file.unlink()
    file.write_bytes(b"\xff")
    assert "utf-8" in read_host_configuration(file).problem


def test_a_file_of_another_user_permits_nothing(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text("allow-commands = yes")
    monkeypatch.setattr(host_configuration, "_owners", lambda: frozenset({4242}))
    assert "belongs to user" in read_host_configuration(file).problem
