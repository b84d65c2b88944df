"""The units of pull mode."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from kvmnet.host import pull_units
from kvmnet.system.errors import HostError


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    ran: list[tuple[str, ...]] = []
    monkeypatch.setattr(pull_units, "UNIT_FOLDER", str(tmp_path))
    monkeypatch.setattr(pull_units, "find_other_writer", lambda path, owners: None)
    monkeypatch.setattr(pull_units, "find_nmstatectl", lambda: "/root/.cargo/bin/nmstatectl")
    monkeypatch.setattr("kvmnet.system.programs.run", lambda *argv, **_: ran.append(argv) or "")
    return ran


def test_the_timer_has_the_interval_and_a_random_delay(commands: list[tuple[str, ...]], tmp_path: Path) -> None:
    lines: list[str] = []
    pull_units.enable(30, lines.append)
    timer, service = (tmp_path / pull_units.TIMER).read_text(), (tmp_path / pull_units.SERVICE).read_text()
    assert "\nOnUnitInactiveSec=30min\nRandomizedDelaySec=900s\n" in timer
    assert f"\nExecStart=/usr/bin/env {sys.executable} -I -m kvmnet pull\n" in service
    assert ":/root/.cargo/bin\n" in service
    assert [command[1] for command in commands] == ["daemon-reload", "enable", "restart"]
    assert len(lines) == 3
    pull_units.enable(30, lines.append)
    assert len(lines) == 4, "equal files are not written again"


def test_the_timer_is_stopped_and_its_units_are_removed(commands: list[tuple[str, ...]], tmp_path: Path) -> None:
    pull_units.enable(30, lambda _: None)
    commands.clear()
    pull_units.disable(lambda _: None)
    assert ("systemctl", "disable", "--now", pull_units.TIMER) in commands
    assert not any(tmp_path.iterdir())
    commands.clear()
    pull_units.disable(lambda _: None)
    assert commands == [("systemctl", "daemon-reload")]


def test_whether_the_timer_is_enabled(commands: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch) -> None:
    assert pull_units.is_enabled()

    def fail(*_: object, **__: object) -> None:
        raise HostError("disabled")

    monkeypatch.setattr("kvmnet.system.programs.run", fail)
    assert not pull_units.is_enabled()


def test_a_program_that_another_user_can_replace_does_not_become_a_service(
    commands: list[tuple[str, ...]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`sudo ~/venv/bin/kvmnet pull --enable` would give this user root for ever."""
    monkeypatch.setattr(pull_units, "find_other_writer", lambda path, owners: f"{path} belongs to user eve")
    with pytest.raises(HostError, match="belongs to user eve: install kvmnet for the system"):
        pull_units.enable(30, lambda _: None)
    assert commands == [] and not (tmp_path / pull_units.SERVICE).exists()
