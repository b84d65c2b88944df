"""Reading back: guests' ports, the devices that NetworkManager activates, zones."""

from __future__ import annotations

import json
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kvmnet.core.base.probe import Probe
from kvmnet.host.probing import Replies
from kvmnet.host.tcp_sockets import TcpSocket
from kvmnet.rescue import restore
from kvmnet.system import clock, firewalld, programs
from kvmnet.system.errors import HostError
from kvmnet.transaction import (
    verification_actions,
)
from kvmnet.transaction.action_context import StepFailed
from tests.unit.system.samples import GuestPorts
from tests.unit.transaction.samples import raising


@pytest.fixture
def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An open transaction with two guests' taps in its snapshot; the loss of vnet1's guest was allowed."""
    tap = {"kind": "tap", "index": 7, "of": "br0", "settings": {}}
    (tmp_path / "snapshot.json").write_text(json.dumps({"guests": {"vnet0": tap, "vnet1": {**tap, "index": 8}}}))
    (tmp_path / "transaction.json").write_text(json.dumps({"lost": ["vnet1"]}))
    monkeypatch.setattr(verification_actions, "find_kernel_differences", lambda _: [])
    monkeypatch.setattr(clock, "wait_until", lambda what, *_: what() or what())
    return SimpleNamespace(folder=tmp_path, manager=None)


def kernel(monkeypatch: pytest.MonkeyPatch, *, refuses: bool) -> GuestPorts:
    """Both taps are ports of nothing. With `refuses`, no tap can be a port."""
    made = GuestPorts()
    made.add("vnet1", 8, "tun", master="br0")
    for name in ("vnet0", "vnet1"):
        made.detach(name)
    monkeypatch.setattr(programs, "run", raising(HostError("no")) if refuses else made.run)
    monkeypatch.setattr(programs, "run_json", made.run_json)
    return made


def test_a_detached_tap_is_attached_again(context: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    done = kernel(monkeypatch, refuses=False).commands
    assert (
        verification_actions.read_back(context, {"expect": [], "sent": [], "dns": {}})
        == "0 interfaces as defined, 1 guests' ports as before"
    )
    assert done == ["ip link set dev vnet0 master br0"], "the loss of vnet1 is allowed"


def test_a_tap_that_cannot_be_attached_fails_the_step(context: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel(monkeypatch, refuses=True)
    with pytest.raises(StepFailed, match=r"vnet0 is not a port of br0$"):
        verification_actions.read_back(context, {"expect": [], "sent": [], "dns": {}})


def test_a_bridge_keeps_its_own_vlans(context: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """NetworkManager 1.42 sets them to those of the profile when it reapplies that."""
    made = kernel(monkeypatch, refuses=False)
    had = [[1, 1, ["Egress Untagged", "PVID"]], [300, 300, []]]
    ports = {"br0": {"vlans": had}, "vnet0": {"of": "br0", "vlans": had}}
    snapshot = json.loads((context.folder / "snapshot.json").read_text())
    (context.folder / "snapshot.json").write_text(json.dumps({**snapshot, "host": {"ports": ports}}))
    step = {"expect": [], "sent": [], "dns": {}, "with_own_vlans": ["br0", "vnet0", "br9"]}
    verification_actions.read_back(context, step)
    assert "bridge vlan add vid 300 dev br0 self" in made.commands
    monkeypatch.setattr(restore, "restore_own_ports", lambda _: [])
    del made.vlans["br0"][300]
    with pytest.raises(StepFailed, match=r"br0 is not in VLAN 300"):
        verification_actions.read_back(context, step)


def test_ports_get_the_vlans_that_networkmanager_does_not_set(context: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Version 1.42 leaves drift when the profile states them already."""
    made = kernel(monkeypatch, refuses=False)
    made.add("eth5", 9, "", master="br0")
    made.vlans["eth5"] = {1: ["PVID", "Egress Untagged"], 20: []}
    expect = [{"name": "br0", "port_vlans": {"eth5": {"tagged": [21, 22], "untagged": 5}}}]
    verification_actions.read_back(context, {"expect": expect, "sent": [], "dns": {}})
    commands = [command for command in made.commands if "eth5" in command and "vlan" in command]
    assert commands == [
        "bridge vlan del vid 1 dev eth5",
        "bridge vlan del vid 20 dev eth5",
        "bridge vlan add vid 5 pvid untagged dev eth5",
        "bridge vlan add vid 21-22 dev eth5",
    ]
    made.vlans["eth5"] = {5: ["PVID", "Egress Untagged"], 21: [], 22: []}
    made.commands.clear()
    verification_actions.read_back(context, {"expect": expect, "sent": [], "dns": {}})
    assert not any("vlan" in command for command in made.commands)


def test_networkmanager_gets_few_calls_while_it_activates_devices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It answers slowly while it activates sixty devices, and every answer takes it time."""
    asked: list[str] = []
    ready = iter(["", "", "a", "ab", "ab", "abcg", "abcdefg", "abcdefg"])

    def states(names: list[str]) -> dict[str, int]:
        asked.append("".join(names))
        up = next(ready)
        return {name: 100 if name in up else 50 for name in names}

    monkeypatch.setattr(verification_actions, "find_kernel_differences", lambda _: [])
    monkeypatch.setattr(time, "sleep", lambda _: None)
    context: Any = SimpleNamespace(folder=tmp_path, manager=SimpleNamespace(states=states))
    verification_actions.read_back(context, {"expect": [], "sent": list("abcdefg"), "dns": {}})
    assert asked == ["a", "a", "a", "abcdefg", "cdef", "cdef", "cdef", "abcdefg"]


def test_a_device_that_was_deactivated_again_fails_the_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def states(names: list[str]) -> dict[str, int]:
        return {"a": 100, "b": 30} if len(names) > 1 else {names[0]: 100}

    monkeypatch.setattr(verification_actions, "find_kernel_differences", lambda _: [])
    monkeypatch.setattr(clock, "wait_until", lambda what, *_: what())
    context: Any = SimpleNamespace(folder=tmp_path, manager=SimpleNamespace(states=states))
    with pytest.raises(StepFailed, match=r"has not activated b$"):
        verification_actions.read_back(context, {"expect": [], "sent": ["a", "b"], "dns": {}})


def test_a_host_that_is_complete_only_at_the_last_moment_is_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a slow host, the last look of the wait began before the devices were active."""
    states = iter([{"a": 50}, {"a": 100}])
    monkeypatch.setattr(verification_actions, "find_kernel_differences", lambda _: [])
    monkeypatch.setattr(clock, "wait_until", lambda what, *_: what())
    context: Any = SimpleNamespace(folder=tmp_path, manager=SimpleNamespace(states=lambda names: next(states)))
    step = {"expect": [], "sent": ["a"], "dns": {}}
    assert verification_actions.read_back(context, step) == "0 interfaces as defined"
    assert list(states) == []


def test_an_interface_in_a_wrong_zone_fails_the_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A probe goes out and gets its reply in zone drop too; incoming connections are dropped."""
    monkeypatch.setattr(verification_actions, "find_kernel_differences", lambda _: [])
    monkeypatch.setattr(clock, "wait_until", lambda what, *_: what())
    monkeypatch.setattr(firewalld, "is_running", lambda: True)
    context: Any = SimpleNamespace(folder=tmp_path, manager=None)
    step = {"expect": [], "sent": [], "dns": {}, "zones": {"eth0": "trusted"}}
    monkeypatch.setattr(firewalld, "read_zones", lambda: {"eth0": "trusted"})
    assert verification_actions.read_back(context, step) == "0 interfaces as defined"
    monkeypatch.setattr(firewalld, "read_zones", lambda: {"eth0": "drop"})
    with pytest.raises(StepFailed, match="eth0 is in zone drop, not trusted"):
        verification_actions.read_back(context, step)


@pytest.mark.guarantee("G96")
def test_a_target_that_replies_only_through_a_guests_port_fails_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = Probe("gateway", "10.1.1.1")
    context: Any = SimpleNamespace(has_lost_link=lambda: False)
    step = {"targets": [gateway.to_json()], "seconds": 1, "patience": 1}
    monkeypatch.setattr(verification_actions, "find_replies", lambda *_: Replies([], {gateway: "vnet3"}))
    with pytest.raises(StepFailed) as failed:
        verification_actions.probe_targets(context, step)
    assert str(failed.value) == (
        "no reply from 10.1.1.1 after the change (what came through a guest's port does not count: "
        "10.1.1.1 through vnet3)"
    )
    assert failed.value.targets == ("10.1.1.1",)


@pytest.mark.guarantee("G97")
def test_only_a_confirmation_of_this_transaction_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "wait_until", lambda is_done, _: is_done())
    context: Any = SimpleNamespace(folder=tmp_path)
    (tmp_path / "transaction.json").write_text('{"id": "T"}')
    for wrong in (None, '{"id": "S", "by": "10.1.1.1"}', '{"by": "10.1.1.1"}', "{"):
        if wrong is not None:
            (tmp_path / "confirmed.json").write_text(wrong)
        with pytest.raises(StepFailed, match="no confirmation within 5 s"):
            verification_actions.wait_for_confirmation(context, {"seconds": 5})
    (tmp_path / "confirmed.json").write_text('{"id": "T", "by": "10.1.1.1"}')
    assert verification_actions.wait_for_confirmation(context, {"seconds": 5}) == "10.1.1.1"


@pytest.mark.guarantee("G97")
def test_the_connections_before_the_confirmation_are_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sockets = [TcpSocket(1, b"", 22, b"", 50000, 0, cookie, 1) for cookie in (9, 7)]
    monkeypatch.setattr(verification_actions, "read_tcp_sockets", lambda: sockets)
    verification_actions.note_connections(tmp_path)
    assert json.loads((tmp_path / "connections.json").read_text()) == {"cookies": [7, 9]}
    monkeypatch.setattr(verification_actions, "read_tcp_sockets", raising(HostError("no sock_diag")))
    verification_actions.note_connections(tmp_path)
