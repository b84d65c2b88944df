"""Ports of bridges are saved, compared and restored with every attribute, VLAN and static FDB entry."""

from __future__ import annotations

import random
from typing import Any

import pytest

from kvmnet.system import bridge_ports, links, programs
from kvmnet.system.errors import HostError
from tests.unit.system.samples import NEW_PORT, VLAN_FLAGS, GuestPorts

MACS = ("52:54:00:00:00:01", "52:54:00:00:00:02")


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> GuestPorts:
    """A kernel with a bridge and guests' devices."""
    made = GuestPorts()
    monkeypatch.setattr(programs, "run_json", made.run_json)
    monkeypatch.setattr(programs, "run", made.run)
    return made


def make_port(kernel: GuestPorts, seed: int) -> None:
    """Give vnet0 random attributes, VLANs and static FDB entries."""
    chance = random.Random(seed)
    settings: dict[str, Any] = {}
    for name, value in NEW_PORT.items():
        if isinstance(value, bool):
            settings[name] = chance.random() < 0.5
        elif isinstance(value, int):
            settings[name] = chance.randrange(1, 3 if name == "mcast_router" else 63)
        else:
            settings[name] = chance.choice(["0", "0x4000"])
    settings["mab"] = settings["mab"] and settings["locked"]
    if chance.random() < 0.5:
        settings["backup_port"] = "vnet9"
        settings["backup_nhid"] = 7
    kernel.port_settings["vnet0"] = settings
    kernel.states["vnet0"] = chance.choice(["forwarding", "forwarding", "disabled", "learning"])
    untagged = [[flag] if chance.random() < 0.5 else [] for flag in [VLAN_FLAGS["untagged"]] * 9]
    first = chance.choice([1, 2, 100, 4085])
    vlans = {first + number: flags for number, flags in enumerate(untagged) if chance.random() < 0.8}
    if vlans and chance.random() < 0.8:
        pvid = chance.choice(sorted(vlans))
        vlans[pvid] = [VLAN_FLAGS["pvid"], *vlans[pvid]]
    kernel.vlans["vnet0"] = vlans
    kernel.entries["vnet0"] = [
        {"mac": mac, "flags": chance.choice([[], ["sticky"]]), "master": "br0", "state": "static", "vlan": vlan}
        for mac in MACS
        for vlan in chance.sample([1, 100], chance.randrange(3))
    ]


def picture(kernel: GuestPorts) -> tuple[Any, ...]:
    entries = sorted(str(sorted(entry.items())) for entry in kernel.entries["vnet0"])
    return kernel.port_settings["vnet0"], kernel.states["vnet0"], kernel.vlans["vnet0"], entries


@pytest.mark.guarantee("G74")
@pytest.mark.parametrize("seed", range(60))
def test_a_port_comes_back_with_everything_that_it_had(kernel: GuestPorts, seed: int) -> None:
    """After it has lost its bridge, and after another program has changed what it has. While it is forwarding it is
    never in a VLAN that it was not in, and never without the isolation that it had."""
    make_port(kernel, seed)
    before, was = picture(kernel), bridge_ports.read_ports(links.read_ip_links())["vnet0"]
    for changed_by in ("its bridge is gone", seed + 1000):
        if isinstance(changed_by, str):
            kernel.detach("vnet0")
            kernel.log.clear()
            bridge_ports.attach_port("vnet0", "br0", was)
            # the message that makes it a port is followed by the one that disables it
            forwarding = [entry for entry in kernel.log if entry[0] == "vnet0"][1:]
            assert all(set(vlans) == set(before[2]) for _, vlans, _ in forwarding)
            assert all(isolated == before[0]["isolated"] for *_, isolated in forwarding)
        else:
            make_port(kernel, changed_by)
            now = bridge_ports.read_ports(links.read_ip_links())["vnet0"]
            kernel.entries["vnet0"] = []
            bridge_ports.restore_port("vnet0", was, {**now, "fdb": []})
        assert picture(kernel) == before
        assert bridge_ports.compare_settings(was["settings"], links.read_guest_ports()["vnet0"]["settings"]) == []


def test_a_port_of_a_bridge_with_spanning_tree_comes_back(kernel: GuestPorts) -> None:
    """The kernel refuses to disable it, and decides itself when it forwards."""
    kernel.spanning_tree = 1
    kernel.rows["br0"]["linkinfo"]["info_data"]["stp_state"] = 1
    kernel.vlans["vnet0"] = {100: ["PVID", "Egress Untagged"]}
    was = links.read_guest_ports()["vnet0"]
    assert "state" not in was["settings"]
    kernel.detach("vnet0")
    bridge_ports.attach_port("vnet0", "br0", was)
    assert (kernel.vlans["vnet0"], kernel.port_settings["vnet0"]["isolated"]) == (was_vlans(was), True)


def was_vlans(was: dict[str, Any]) -> dict[int, list[str]]:
    """Return saved VLANs as the kernel has them, with the flags in its order."""
    return {vid: sorted(flags, reverse=True) for vid, flags in bridge_ports.expand_vlans(was["vlans"]).items()}


def test_an_attribute_that_the_kernel_refuses_does_not_stop_the_others(kernel: GuestPorts) -> None:
    kernel.port_settings["vnet0"].update(locked=True, mab=True, neigh_suppress=True)
    was = links.read_guest_ports()["vnet0"]
    kernel.detach("vnet0")
    kernel.refused = {"neigh_suppress"}
    bridge_ports.attach_port("vnet0", "br0", was)
    now = kernel.port_settings["vnet0"]
    assert [now[key] for key in ("isolated", "locked", "mab", "neigh_suppress")] == [True, True, True, False]
    differences = bridge_ports.compare_settings(was["settings"], links.read_guest_ports()["vnet0"]["settings"])
    assert differences == [("neigh_suppress", True, False, True)]


@pytest.mark.parametrize("wanted", [True, False])
def test_mab_is_set_after_the_port_is_locked_and_removed_before(kernel: GuestPorts, wanted: bool) -> None:
    """Also one by one."""
    kernel.port_settings["vnet0"].update(locked=wanted, mab=wanted, neigh_suppress=True)
    was = links.read_guest_ports()["vnet0"]
    kernel.port_settings["vnet0"].update(locked=not wanted, mab=not wanted, neigh_suppress=False)
    kernel.refused = {"neigh_suppress"}
    bridge_ports.restore_port("vnet0", was, links.read_guest_ports()["vnet0"])
    assert [kernel.port_settings["vnet0"][key] for key in ("locked", "mab")] == [wanted, wanted]


def test_an_attribute_that_kvmnet_does_not_know_is_compared_and_set_by_its_name(kernel: GuestPorts) -> None:
    kernel.port_settings["vnet0"].update(new_switch=True, new_number=3)
    was = links.read_guest_ports()["vnet0"]
    kernel.port_settings["vnet0"].update(new_switch=False, new_number=4)
    now = links.read_guest_ports()["vnet0"]
    differences = bridge_ports.compare_settings(was["settings"], now["settings"])
    assert differences == [("new_switch", True, False, False), ("new_number", 3, 4, False)]
    kernel.refused = {"new_number"}
    bridge_ports.restore_port("vnet0", was, now)
    assert [kernel.port_settings["vnet0"][key] for key in ("new_switch", "new_number")] == [True, 4]


def test_state_that_nobody_sets_is_not_compared(kernel: GuestPorts) -> None:
    """Counters and timers, a temporary multicast router, and the state of a port without carrier."""
    was = links.read_guest_ports()["vnet0"]["settings"]
    assert set(was) == {*NEW_PORT, "state"}
    kernel.port_settings["vnet0"]["mcast_router"] = 3
    kernel.states["vnet0"] = "disabled"
    kernel.rows["vnet0"]["flags"] = ["UP"]
    assert bridge_ports.compare_settings(was, links.read_guest_ports()["vnet0"]["settings"]) == []


def test_the_vlans_of_the_bridge_itself_are_restored(kernel: GuestPorts) -> None:
    kernel.vlans["br0"] = {1: ["PVID", "Egress Untagged"], 100: [], 101: []}
    was = bridge_ports.read_ports(links.read_ip_links(), ["br0"])
    assert was == {"br0": {"vlans": [[1, 1, ["Egress Untagged", "PVID"]], [100, 101, []]]}}
    kernel.vlans["br0"] = {1: ["PVID", "Egress Untagged"], 7: []}
    bridge_ports.restore_port("br0", was["br0"], bridge_ports.read_ports(links.read_ip_links(), ["br0"])["br0"])
    assert kernel.commands == ["bridge vlan del vid 7 dev br0 self", "bridge vlan add vid 100-101 dev br0 self"]
    assert kernel.vlans["br0"] == {1: ["PVID", "Egress Untagged"], 100: [], 101: []}


def test_a_port_with_an_unusual_name_is_restored_without_a_batch_file(
    kernel: GuestPorts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch file takes `#` for a comment."""
    kernel.add("vnet#1", 9, "tun", master="br0")
    kernel.vlans["vnet#1"] = {100: []}
    was = links.read_guest_ports()["vnet#1"]
    kernel.detach("vnet#1")
    monkeypatch.setattr(programs, "run", lambda *argv, text="", **_: kernel.run(*argv) if not text else pytest.fail())
    bridge_ports.attach_port("vnet#1", "br0", was)
    assert kernel.vlans["vnet#1"] == {100: []}


def test_a_link_that_cannot_be_a_port_is_an_error(kernel: GuestPorts, monkeypatch: pytest.MonkeyPatch) -> None:
    was = links.read_guest_ports()["vnet0"]
    kernel.detach("vnet0")

    def refuse(*argv: str, **_: Any) -> str:
        raise HostError("RTNETLINK answers: Device or resource busy")

    monkeypatch.setattr(programs, "run", refuse)
    with pytest.raises(HostError, match="busy"):
        bridge_ports.attach_port("vnet0", "br0", was)


def test_the_second_row_of_a_nic_with_a_switch_of_its_own_is_no_port() -> None:
    """`bridge link` shows it with `hwmode`, and without the state of a port."""
    rows: list[dict[str, Any]] = [{"ifname": "eth0", "ifindex": 2, "flags": [], "linkinfo": {}}]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(programs, "run_json", lambda *_: [{"ifname": "eth0", "hwmode": "VEB", "learning": True}])
        assert bridge_ports.read_ports(rows) == {}
