"""The commands for an administrator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kvmnet.rescue import repair_commands, snapshot
from kvmnet.system import files, links
from kvmnet.system.errors import HostError
from kvmnet.system.links import read_guest_ports
from kvmnet.system.networkmanager import BUS_NAME, GLOBAL_DNS_PROPERTY, OBJECT_PATH
from tests.unit.rescue.samples import (
    GLOBAL,
    make_snapshot,
)
from tests.unit.system.samples import GuestPorts


@pytest.mark.guarantee("G10")
def test_repair_commands_cover_each_difference(
    host_state: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {**make_snapshot(host_state), "guests": {"vnet0": {"kind": "tap", "of": "br0", "index": 7}}}
    assert repair_commands.find_repair_commands({**before, "guests": {}}, tmp_path) == []
    nic = host_state["links"].pop("eth0")
    host_state["links"]["peth0"] = {
        **nic,
        "name": "peth0",
        "altnames": ["eth0", "new"],
        "mtu": 9000,
        "promiscuous": True,
    }
    host_state["addresses"], host_state["zones"] = {}, {"eth0": "drop", "br0": "trusted"}
    host_state["global dns"] = GLOBAL
    file = tmp_path / "a.nmconnection"
    file.write_text("x")
    before["files"] = [files.record_file(str(file))]
    file.write_text("y")
    assert repair_commands.find_repair_commands({**before, "guests": {}}, tmp_path) == [
        f"/usr/bin/python3 -I {tmp_path}/rescue.pyz --state {tmp_path}",
        "ip link property del dev peth0 altname eth0",
        "ip link set dev peth0 name eth0",
        "ip link property del dev eth0 altname new",
        "ip link set dev eth0 mtu 1500",
        "ip link set dev eth0 promisc off",
        "nmcli connection up uuid u-0 ifname eth0",
        "firewall-cmd --zone=trusted --change-interface=eth0",
        "firewall-cmd --zone=trusted --remove-interface=br0",
        f"busctl set-property {BUS_NAME} {OBJECT_PATH} {BUS_NAME} {GLOBAL_DNS_PROPERTY} 'a{{sv}}' 0",
    ]
    monkeypatch.setattr(snapshot, "read_host_state", lambda *_: (_ for _ in ()).throw(HostError("no bus")))
    assert repair_commands.find_repair_commands(before, tmp_path)[0] == "systemctl restart NetworkManager"


def test_repair_commands_cover_guests_ports(
    host_state: dict[str, Any], ports: GuestPorts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports.vlans["vnet0"] = {100: ["PVID", "Egress Untagged"]}
    ports.add("lo", 1, "tun", master="br0")  # the only name that every machine has in /sys/class/net
    monkeypatch.setattr(links, "read_guest_ports", read_guest_ports)
    before = {**make_snapshot(host_state), "guests": links.read_guest_ports()}
    ports.vlans["vnet0"] = {1: []}
    ports.port_settings["vnet0"].update(isolated=False, mcast_max_groups=5)
    ports.detach("lo")
    assert repair_commands.find_repair_commands(before, tmp_path) == [
        "ip link set dev lo master br0",
        "bridge vlan del vid 1 dev vnet0",
        "bridge vlan add vid 100 pvid untagged dev vnet0",
        "ip link set dev vnet0 type bridge_slave isolated on",
        "bridge link set dev vnet0 mcast_max_groups 0",
    ]
