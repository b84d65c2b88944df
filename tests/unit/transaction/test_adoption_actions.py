"""Actions of an adoption."""

from __future__ import annotations

import json
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kvmnet.rescue import handover
from kvmnet.transaction import adoption_actions
from kvmnet.transaction.action_context import Context, StepFailed, read_guest_ports

PORTS = {"vnet0": {"kind": "tap", "index": 5, "of": "br0"}, "vnet1": {"kind": "tap", "index": 6, "of": "br9"}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of an open transaction that replaces br0."""
    (tmp_path / "snapshot.json").write_text(json.dumps({"guests": PORTS}))
    (tmp_path / "transaction.json").write_text(json.dumps({"replaced": {"br0": "br-eth0"}, "lost": ["vnet1"]}))
    return tmp_path


@pytest.fixture
def moves(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The calls that move ports."""
    calls: list[Any] = []
    monkeypatch.setattr(
        handover, "move_guest_ports", lambda bridges, ports: calls.append((bridges, ports)) or list(ports)
    )
    return calls


def context_of(folder: Path, manager: Any = None) -> Context:
    return Context(folder, SimpleNamespace(), manager)


def wait_for(condition: Any) -> None:
    end = time.monotonic() + 20
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)


def test_ports_move_as_soon_as_the_new_bridge_has_an_uplink(
    folder: Path, moves: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adoption_actions, "NET", folder)
    step = {"hand_over": [{"from": "br0", "to": "br-eth0", "uplinks": ["peth0"]}]}
    with adoption_actions.moving_ports(context_of(folder), step):
        time.sleep(0.1)
        assert moves == [], "the bridge does not exist yet"
        (folder / "br-eth0" / "brif" / "peth0").mkdir(parents=True)
        wait_for(lambda: moves)
        assert moves == [({"br0": "br-eth0"}, PORTS)]
    assert len(moves) == 1


def test_an_apply_that_fails_ends_the_watch(folder: Path, moves: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adoption_actions, "NET", folder)
    step = {"hand_over": [{"from": "br0", "to": "br-eth0", "uplinks": ["eth0"]}]}
    with pytest.raises(StepFailed), adoption_actions.moving_ports(context_of(folder), step):
        raise StepFailed("nmstate failed")
    (folder / "br-eth0" / "brif" / "eth0").mkdir(parents=True)
    time.sleep(0.1)
    assert moves == []


def test_nothing_is_watched_without_a_replaced_bridge(folder: Path, moves: list[Any]) -> None:
    with adoption_actions.moving_ports(context_of(folder), {}):
        pass
    assert moves == []


def test_the_rest_is_moved_and_nothing_may_be_left(
    folder: Path, moves: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handover, "find_left_ports", lambda bridges: [])
    assert adoption_actions.hand_over(context_of(folder), {"bridges": {"br0": "br-eth0"}}) == "2 moved"
    monkeypatch.setattr(handover, "find_left_ports", lambda bridges: ["vnet0"])
    with pytest.raises(StepFailed, match="guests' ports could not be moved to another bridge: vnet0"):
        adoption_actions.hand_over(context_of(folder), {"bridges": {"br0": "br-eth0"}})


def test_guests_are_verified_on_the_bridge_that_replaces_theirs(folder: Path) -> None:
    port = {"kind": "tap", "index": 5, "of": "br-eth0", "from": "br0"}
    assert read_guest_ports(folder) == {"guests": {"vnet0": port}}


class Manager:
    """NetworkManager with the settings of one active profile."""

    def __init__(self, **settings: Any) -> None:
        self.profile = settings
        self.changes: list[Any] = []

    def active(self, names: Any) -> dict[str, str]:
        return {name: "u-br0" for name in names if name == "br0"}

    def profile_path(self, uuid: str) -> str:
        return uuid

    def settings(self, path: str) -> Any:
        return self.profile

    def change_in_memory(self, uuid: str, changes: Any) -> None:
        self.changes.append((uuid, changes))

    def reapply(self, name: str) -> None:
        self.changes.append(name)


WANTED = {"br0": {"ipv4": {"dns-priority": ["i", 5], "may-fail": ["b", False]}, "connection": {"llmnr": ["i", 0]}}}


def test_settings_that_nmstate_has_overwritten_are_set_again(folder: Path) -> None:
    manager = Manager(ipv4={"dns-priority": ("i", 40), "may-fail": ("b", False)}, connection={"llmnr": ("i", 0)})
    result = adoption_actions.keep_settings(context_of(folder, manager), {"settings": WANTED})
    assert result == "br0 ipv4.dns-priority"
    assert manager.changes == [("u-br0", {"ipv4": {"dns-priority": ("i", 5)}}), "br0"]


def test_nothing_is_set_again_when_all_is_kept(folder: Path) -> None:
    manager = Manager(ipv4={"dns-priority": ("i", 5), "may-fail": ("b", False)}, connection={"llmnr": ("i", 0)})
    assert adoption_actions.keep_settings(context_of(folder, manager), {"settings": WANTED}) == "no change needed"
    assert manager.changes == []


def test_an_interface_without_a_profile_fails(folder: Path) -> None:
    with pytest.raises(StepFailed, match="br9 has no active connection profile"):
        adoption_actions.keep_settings(context_of(folder, Manager()), {"settings": {"br9": {}}})
