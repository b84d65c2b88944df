"""Reading what else decides whether a change is safe: services, free space, read-only folders."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

import pytest

from kvmnet.host import read_surroundings
from kvmnet.system import programs
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
