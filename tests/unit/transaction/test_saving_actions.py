"""Actions that write connection profiles to disk."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kvmnet.system import files, networkmanager
from kvmnet.transaction import (
    saving_actions,
)
from kvmnet.transaction.action_context import StepFailed


def test_autoconnect_is_turned_off_for_an_interface_that_is_to_be_down(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[Any] = []
    manager = SimpleNamespace(
        change_in_memory=lambda uuid, changes: done.append((uuid, changes)),
        save=lambda uuids: done.append(uuids) or ["/etc/a"],
    )
    monkeypatch.setattr(files, "sync_files", done.append)
    assert saving_actions.keep_down(SimpleNamespace(manager=manager), {"uuids": ["u-1"]}) == "/etc/a"  # type: ignore[arg-type]
    assert done == [("u-1", {"connection": {"autoconnect": ("b", False)}}), ["u-1"], ["/etc/a"]]


class Saving:
    """NetworkManager with profiles on disk and in memory: interface name -> file."""

    def __init__(self, **files: str) -> None:
        self.current_files, self.saved, self.folder = files, list[str](), networkmanager.PROFILE_FOLDERS[0]

    def active(self, names: list[str]) -> dict[str, str]:
        return {name: name for name in names if name in self.current_files}

    def files(self, uuids: list[str]) -> list[str]:
        return [self.current_files[uuid] for uuid in uuids]

    def save(self, uuids: list[str]) -> list[str]:
        self.saved += uuids
        return [f"{self.folder}/{uuid}" for uuid in uuids]


def test_of_profiles_that_may_have_changed_only_those_in_memory_are_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "sync_files", lambda files: None)
    manager = Saving(br0="/run/br0", br1="/etc/br1", eth0="/etc/eth0")
    context = SimpleNamespace(manager=manager)
    step = {"interfaces": [["br0", "br1", "br2"], ["eth0"]], "perhaps": ["br0", "br1", "br2"]}
    paths = [f"{networkmanager.PROFILE_FOLDERS[0]}/{name}" for name in ("br0", "eth0")]
    assert saving_actions.save_profiles(context, step) == ", ".join(paths)  # type: ignore[arg-type]
    assert manager.saved == ["br0", "eth0"]
    manager.folder = "/etc/sysconfig/network-scripts"  # an ifcfg file instead of a keyfile
    with pytest.raises(StepFailed, match=r"profile of br0 to .*/br0, not to a keyfile"):
        saving_actions.save_profiles(context, step)  # type: ignore[arg-type]
    with pytest.raises(StepFailed, match="br2: no active connection profile"):
        saving_actions.save_profiles(context, {**step, "perhaps": []})  # type: ignore[arg-type]
