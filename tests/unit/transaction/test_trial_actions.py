"""Actions of the trial: the checkpoint, DHCP identifiers."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kvmnet.rescue import restore
from kvmnet.system import links
from kvmnet.transaction import (
    trial_actions,
)
from kvmnet.transaction.action_context import Context, StepFailed


class Checkpoints:
    """A NetworkManager with checkpoints: creation time by path."""

    def __init__(self, **made: int) -> None:
        self.made = {f"/Checkpoint/{name}": at for name, at in made.items()}

    def checkpoints(self) -> list[str]:
        return list(self.made)

    def created(self, path: str) -> int:
        return self.made[path]

    def destroy_checkpoint(self, path: str) -> None:
        del self.made[path]


@pytest.mark.guarantee("G16")
@pytest.mark.parametrize(
    ("later", "kept"),
    [
        (Checkpoints(a=300, b=100), True),
        (Checkpoints(b=100), False),  # its timeout has passed
        (Checkpoints(a=350), False),  # NetworkManager was restarted, and another tool's checkpoint has the path
    ],
)
def test_only_the_checkpoint_of_the_trial_is_destroyed(tmp_path: Path, later: Checkpoints, kept: bool) -> None:
    def applied(state: Any, timeout: int, log: Path, *, verify: bool, limit: float) -> None:
        assert (timeout, limit) == (120, 140), "the worker gives up before the watchdog"
        log.write_text("Created checkpoint /Checkpoint/a\n")

    def context(manager: Checkpoints) -> Any:
        return Context(tmp_path, SimpleNamespace(apply=applied), manager)  # type: ignore[arg-type]

    step = {"state": {}, "timeout": 120, "log": "nmstate.log", "limit": 150}
    assert trial_actions.apply_state(context(Checkpoints(a=300)), step) == "/Checkpoint/a"
    before = dict(later.made)
    if kept:
        assert trial_actions.commit_trial(context(later), step) == "/Checkpoint/a"
        assert list(later.made) == ["/Checkpoint/b"]
    else:
        with pytest.raises(StepFailed, match="the trial's checkpoint is gone"):
            trial_actions.commit_trial(context(later), step)
        assert later.made == before


def test_only_iaids_that_nmstate_has_set_are_replaced() -> None:
    calls: list[Any] = []
    by = {"u-1": "mac", "u-2": "7"}
    manager = SimpleNamespace(
        active=lambda names: {"br0": "u-1", "br1": "u-2"},
        value=lambda uuid, setting, key: by[uuid] if (setting, key) == ("ipv6", "dhcp-iaid") else None,
        change_in_memory=lambda *change: calls.append(change),
        reapply=calls.append,
    )
    context: Any = SimpleNamespace(manager=manager)
    assert trial_actions.keep_dhcp_iaids(context, {"interfaces": {"br0": "5", "br1": "6"}}) == "br0 5"
    assert calls == [("u-1", {"ipv6": {"dhcp-iaid": ("s", "5")}}), "br0"]
    with pytest.raises(StepFailed, match="br2 has no active connection profile"):
        trial_actions.keep_dhcp_iaids(context, {"interfaces": {"br2": "5"}})


class Profiles:
    """A NetworkManager with profiles: values of keys by UUID, `applied` those with which devices were activated."""

    def __init__(self, profiles: dict[str, dict[tuple[str, str], Any]], active: dict[str, str]) -> None:
        self.profiles, self._active, self.calls = profiles, active, list[Any]()
        self.applied: dict[str, Any] = {}

    def active(self, names: Any) -> dict[str, str]:
        return {name: self._active[name] for name in names if name in self._active}

    def value(self, uuid: str, setting: str, key: str) -> Any:
        return self.profiles[uuid].get((setting, key))

    def applied_value(self, interface: str, setting: str, key: str) -> Any:
        return self.applied.get(interface)

    def change_in_memory(self, uuid: str, changes: dict[str, dict[str, Any]]) -> None:
        self.calls.append((uuid, changes))

    def reapply(self, interface: str) -> None:
        self.calls.append(interface)


FILTERING, PIN = "bridge.vlan-filtering", "802-3-ethernet.cloned-mac-address"
MAC_BYTES, MAC_TEXT = b"\x52\x54\x00\x00\x00\x01", "52:54:00:00:00:01"
SET_MAC = {"802-3-ethernet": {"cloned-mac-address": ("ay", MAC_BYTES), "assigned-mac-address": None}}


def test_a_prepared_profile_has_the_settings_that_nmstate_keeps() -> None:
    added: list[Any] = []
    manager = SimpleNamespace(add_in_memory=added.extend)
    row = {"uuid": "u", "interface": "br0", "type": "bridge", "zone": "", "over": None, "settings": {FILTERING: True}}
    context: Any = SimpleNamespace(manager=manager)
    trial_actions.create_profiles(context, {"profiles": [row, {**row, "settings": {}}]})
    assert [profile["bridge"] for profile in added] == [
        {"stp": ("b", False), "vlan-filtering": ("b", True)},
        {"stp": ("b", False)},
    ]


@pytest.mark.parametrize(
    ("kind", "section", "settings"),
    [
        ("vxlan", {"id": 7, "base-iface": "eth0"}, {"vxlan": {"id": ("u", 7), "parent": ("s", "eth0")}}),
        ("vxlan", {"id": 7}, {"vxlan": {"id": ("u", 7)}}),
        ("vrf", {"port": ["eth1"], "route-table-id": 107}, {"vrf": {"table": ("u", 107)}}),
        (
            "macvlan",
            {"base-iface": "eth0", "mode": "private", "tap": False},
            {"macvlan": {"parent": ("s", "eth0"), "mode": ("u", 3), "tap": ("b", False)}},
        ),
    ],
)
def test_a_prepared_profile_has_what_networkmanager_requires(
    kind: str, section: dict[str, Any], settings: dict[str, Any]
) -> None:
    added: list[Any] = []
    context: Any = SimpleNamespace(manager=SimpleNamespace(add_in_memory=added.extend))
    row = {"uuid": "u", "interface": "x0", "type": kind, "zone": "", "over": section}
    trial_actions.create_profiles(context, {"profiles": [row]})
    assert {key: value for key, value in added[0].items() if key not in ("connection", "ipv4", "ipv6")} == settings


def test_only_settings_that_differ_are_changed_in_profiles() -> None:
    manager = Profiles({"u-1": {}, "u-2": {("bridge", "vlan-filtering"): True}}, {})
    step = {"profiles": {"u-1": {FILTERING: True}, "u-2": {FILTERING: True}}, "as_applied": {}}
    context: Any = SimpleNamespace(manager=manager)
    assert trial_actions.set_profile_settings(context, step) == "1 changed"
    assert manager.calls == [("u-1", {"bridge": {"vlan-filtering": ("b", True)}})]


@pytest.mark.parametrize(
    ("stored", "applied", "changes"),
    [
        (MAC_BYTES, None, [{"802-3-ethernet": {"cloned-mac-address": None, "assigned-mac-address": None}}]),
        (None, MAC_BYTES, [SET_MAC]),
        (MAC_BYTES, MAC_BYTES, []),
        (None, None, []),
    ],
)
def test_a_profile_gets_the_mac_with_which_its_device_was_activated(
    stored: Any, applied: Any, changes: list[Any]
) -> None:
    """NetworkManager can reapply it then."""
    manager = Profiles({"u-1": {("802-3-ethernet", "cloned-mac-address"): stored}}, {})
    manager.applied = {"br0": applied}
    context: Any = SimpleNamespace(manager=manager)
    trial_actions.set_profile_settings(context, {"profiles": {"u-1": {}}, "as_applied": {"u-1": "br0"}})
    assert manager.calls == [("u-1", change) for change in changes]


def test_settings_that_nmstate_has_overwritten_are_set_again_and_the_mac_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    restored: list[Any] = []
    monkeypatch.setattr(restore, "restore_guest_ports", restored.append)
    monkeypatch.setattr(links, "read_links", lambda: {"br0": {"address": MAC_TEXT}})
    manager = Profiles({"u-1": {("bridge", "vlan-filtering"): False}}, {"br0": "u-1"})
    context: Any = SimpleNamespace(manager=manager, folder=tmp_path)
    step = {"interfaces": {"br0": {FILTERING: True, PIN: MAC_TEXT}}}
    assert trial_actions.check_profile_settings(context, step) == "set again for br0"
    assert manager.calls == [("u-1", {"bridge": {"vlan-filtering": ("b", True)}}), "br0", ("u-1", SET_MAC)]
    assert len(restored) == 1  # NetworkManager may have changed the VLANs of guests' ports


def test_a_bond_that_was_activated_again_gets_its_mac_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changed: list[tuple[str, str]] = []
    monkeypatch.setattr(links, "read_links", lambda: {"bond0": {"address": "02:00:00:00:00:99"}})
    monkeypatch.setattr(restore, "change_mac", lambda *change: changed.append(change))
    monkeypatch.setattr(restore, "restore_guest_ports", lambda ports: [])
    manager = Profiles({"u-1": {("802-3-ethernet", "cloned-mac-address"): MAC_BYTES}}, {"bond0": "u-1"})
    context: Any = SimpleNamespace(manager=manager, folder=tmp_path)
    step = {"interfaces": {"bond0": {PIN: MAC_TEXT}}}
    assert trial_actions.check_profile_settings(context, step) == "set again for bond0"
    assert changed == [("bond0", MAC_TEXT)]


def test_settings_that_nmstate_has_kept_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "read_links", lambda: {"br0": {"address": MAC_TEXT}})
    kept = {("bridge", "vlan-filtering"): True, ("802-3-ethernet", "cloned-mac-address"): MAC_BYTES}
    manager = Profiles({"u-1": kept}, {"br0": "u-1"})
    context: Any = SimpleNamespace(manager=manager, folder=tmp_path)
    step = {"interfaces": {"br0": {FILTERING: True, PIN: MAC_TEXT}}}
    assert trial_actions.check_profile_settings(context, step) == "no change needed"
    assert manager.calls == []
    with pytest.raises(StepFailed, match="br1 has no active connection profile"):
        trial_actions.check_profile_settings(context, {"interfaces": {"br1": {FILTERING: True}}})


def test_only_macs_that_nmstate_has_not_set_are_set(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = {"br0": {"address": "02:00:00:00:00:99"}, "br1": {"address": MAC_TEXT}}
    changed: list[tuple[str, str]] = []
    monkeypatch.setattr(links, "read_links", lambda: shown)
    monkeypatch.setattr(restore, "change_mac", lambda *change: changed.append(change))
    context: Any = SimpleNamespace()
    assert trial_actions.set_macs(context, {"macs": {"br0": MAC_TEXT, "br1": MAC_TEXT}}) == "set for br0"
    assert changed == [("br0", MAC_TEXT)]
    assert trial_actions.set_macs(context, {"macs": {"br1": MAC_TEXT}}) == "no change needed"
