"""Actions that copy connection profiles in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kvmnet.system import clock, links, state_folder
from kvmnet.transaction import copy_actions
from kvmnet.transaction.action_context import Context, StepFailed

MAC = "00:14:4f:80:de:00"
SOURCE: dict[str, Any] = {
    "connection": {"id": ("s", "default"), "uuid": ("s", "u-1"), "multi-connect": ("i", 3)},
    "802-3-ethernet": {},
}
STEP: dict[str, Any] = {
    "uuid": "u-copy",
    "source": "u-1",
    "interface": "eth0",
    "mac": MAC,
    "settings": {
        "connection": {"id": ["s", "peth0"], "autoconnect-priority": ["i", 1], "multi-connect": None},
        "802-3-ethernet": {},
        "ipv4": {"dhcp-client-id": ["s", "ff:01"]},
        "ipv6": {},
    },
}


class Manager:
    """NetworkManager with one profile; `copies` are the calls that copied it, `uses` those that activated one."""

    def __init__(self, folder: Path, source: dict[str, Any], active: str = "u-1") -> None:
        self.source, self.active_uuid, self.file = source, active, folder / "peth0.nmconnection"
        self.copies: list[tuple[Any, ...]] = []
        self.uses: list[tuple[str, str]] = []
        self.obeys = True

    def profile_path(self, uuid: str) -> str:
        return f"/{uuid}"

    def settings(self, path: str) -> dict[str, Any]:
        assert path == "/u-1"
        return self.source

    def copy_in_memory(self, source: str, uuid: str, changes: Any) -> None:
        self.copies.append((source, uuid, changes))
        self.file.write_text("[connection]\nid=peth0\n\n[.nmmeta]\nx=y\n")

    def profile_file(self, uuid: str) -> str:
        return str(self.file)

    def active(self, names: list[str]) -> dict[str, str]:
        return dict.fromkeys(names, self.active_uuid)

    def activated(self, name: str) -> bool:
        return True

    def activate(self, uuid: str, interface: str) -> None:
        self.uses.append((uuid, interface))
        if self.obeys:
            self.active_uuid = uuid


def context_of(folder: Path, manager: Manager) -> Context:
    return Context(folder, None, manager)  # type: ignore[arg-type]


def test_the_copy_is_bound_to_the_mac_address_and_has_no_pattern(tmp_path: Path) -> None:
    manager = Manager(tmp_path, {**SOURCE, "match": {"interface-name": ("as", ["eth*"]), "driver": ("as", ["x"])}})
    assert copy_actions.copy_profile(context_of(tmp_path, manager), STEP) == str(manager.file)
    assert manager.copies == [
        (
            "u-1",
            "u-copy",
            {
                "connection": {"id": ("s", "peth0"), "autoconnect-priority": ("i", 1), "multi-connect": None},
                "802-3-ethernet": {"mac-address": ("ay", bytes.fromhex("00144f80de00"))},
                "ipv4": {"dhcp-client-id": ("s", "ff:01")},
                "match": {"interface-name": None, "driver": None},
            },
        )
    ]
    kept = tmp_path / f"u-copy{state_folder.REBOUND_SUFFIX}"
    assert kept.read_text() == "[connection]\nid=peth0\n", "to be written to disk later"


def test_a_mac_address_that_networkmanager_made_from_the_uuid_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links, "read_links", lambda: {"eth0": {"address": "02:00:00:00:00:07"}})
    for assigned, expected in (("stable", "02:00:00:00:00:07"), ("preserve", None)):
        manager = Manager(tmp_path, {**SOURCE, "802-3-ethernet": {"assigned-mac-address": ("s", assigned)}})
        copy_actions.copy_profile(context_of(tmp_path, manager), STEP)
        wired = manager.copies[0][2]["802-3-ethernet"]
        assert wired.get("assigned-mac-address", ("s", None))[1] == expected
        assert ("cloned-mac-address" in wired) == (expected is not None)


def test_the_copy_is_activated_once(tmp_path: Path) -> None:
    manager = Manager(tmp_path, SOURCE)
    step = {"uuid": "u-copy", "interface": "peth0"}
    assert copy_actions.use_copy(context_of(tmp_path, manager), step) == "activated"
    assert copy_actions.use_copy(context_of(tmp_path, manager), step) == "active already"
    assert manager.uses == [("u-copy", "peth0")]


def test_a_copy_that_is_not_activated_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "wait_until", lambda condition, *_: condition())
    manager = Manager(tmp_path, SOURCE)
    manager.obeys = False
    with pytest.raises(StepFailed, match="did not activate the copied profile on peth0"):
        copy_actions.use_copy(context_of(tmp_path, manager), {"uuid": "u-copy", "interface": "peth0"})
