"""Actions that write connection profiles to disk."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kvmnet.system import files, links, networkmanager
from kvmnet.system.errors import HostError
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


class Macvtaps:
    """The kernel's macvtaps. Those in `stubborn` keep their filter; those in `ending` go when they are changed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, stubborn: str = "", ending: str = "") -> None:
        self.macvtaps: dict[str, Any] = {
            name: {"index": n, "over": over, "address": f"m{n}", "allmulticast": False}
            for n, (name, over) in enumerate((("macvtap0", "eth0.2"), ("macvtap1", "eth0.3"), ("macvtap2", "eth9")))
        }
        self.stubborn, self.ending = stubborn, ending
        monkeypatch.setattr(links, "read_macvtaps", lambda: {n: dict(m) for n, m in self.macvtaps.items()})
        monkeypatch.setattr(links, "set_all_multicast", self.set)

    def set(self, name: str, is_on: bool) -> None:
        if name == self.ending:
            del self.macvtaps[name]
            raise HostError("no such device")
        self.macvtaps[name]["allmulticast"] = is_on and name != self.stubborn

    def on(self) -> list[str]:
        return [name for name, macvtap in self.macvtaps.items() if macvtap["allmulticast"]]


STEP = {"bases": ["eth0.2", "eth0.3"], "exempt": []}


def test_only_macvtaps_over_the_hosts_interfaces_receive_all_multicast(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Macvtaps(monkeypatch)
    assert saving_actions.let_multicast_through(None, STEP) == "macvtap0, macvtap1"  # type: ignore[arg-type]
    assert kernel.on() == ["macvtap0", "macvtap1"]
    kernel = Macvtaps(monkeypatch)
    saving_actions.let_multicast_through(None, {**STEP, "exempt": ["m0"]})  # type: ignore[arg-type]
    assert kernel.on() == ["macvtap1"]


def test_multicast_is_verified_in_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saving_actions, "MULTICAST_SECONDS", 0.1)
    Macvtaps(monkeypatch, stubborn="macvtap1")
    with pytest.raises(StepFailed, match=r"^macvtap1: the kernel does not let all multicast frames through$"):
        saving_actions.let_multicast_through(None, STEP)  # type: ignore[arg-type]
    kernel = Macvtaps(monkeypatch, ending="macvtap0")
    assert saving_actions.let_multicast_through(None, STEP) == "macvtap1"  # type: ignore[arg-type]
    assert kernel.on() == ["macvtap1"], "the guest of the other one has just stopped"
    kernel.macvtaps.clear()
    assert saving_actions.let_multicast_through(None, STEP) == "no macvtap"  # type: ignore[arg-type]
