"""Actions that name NICs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kvmnet.system import files, networkmanager, programs
from kvmnet.transaction.naming_actions import remove_meta_group, write_files


def test_networkmanagers_own_notes_are_left_out() -> None:
    text = "[connection]\nid=peth0\n\n[.nmmeta]\nshadowed-storage=/etc/x\nshadowed-owned=true\n\n[ipv4]\nmethod=auto\n"
    assert remove_meta_group(text) == "[connection]\nid=peth0\n\n[ipv4]\nmethod=auto\n"


@pytest.mark.parametrize(
    ("step", "commands"),
    [
        ({"files": {"rules.d/a": "x"}}, ["udev"]),
        ({"files": {}, "remove": ["rules.d/a"]}, ["udev"]),
        ({"files": {"conf.d/a": "x", "rules.d/a": "x"}, "reload": "NetworkManager"}, ["udev", "NetworkManager"]),
        ({"files": {"a.link": "x"}, "reload": "udev"}, ["udev"]),
        ({"files": {"record": "x"}}, []),
    ],
)
def test_programs_read_the_files_that_are_theirs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: dict[str, Any], commands: list[str]
) -> None:
    done: list[str] = []
    monkeypatch.setattr(files, "RULES_FOLDER", f"{tmp_path}/rules.d/")
    monkeypatch.setattr(programs, "run", lambda *words: done.append({"udevadm": "udev"}[words[0]]))
    monkeypatch.setattr(networkmanager, "reload_settings", lambda: done.append("NetworkManager"))
    placed = {f"{tmp_path}/{path}": text for path, text in step["files"].items()}
    removed = [f"{tmp_path}/{path}" for path in step.get("remove", [])]
    for path in [*placed, *removed]:
        Path(path).parent.mkdir(exist_ok=True)
    write_files(None, {**step, "files": placed, "remove": removed})  # type: ignore[arg-type]
    assert done == commands
    assert all(Path(path).read_text() == text for path, text in placed.items())
