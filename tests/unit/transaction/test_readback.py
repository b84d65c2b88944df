"""Where the kernel, NetworkManager and firewalld differ from what was applied."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kvmnet.host.networkmanager_dbus import NameServers
from kvmnet.system import bridge_ports, links
from kvmnet.transaction import (
    readback,
)
from kvmnet.transaction.readback import find_inactive_devices, find_kernel_differences, find_unused_servers


def shows(monkeypatch: pytest.MonkeyPatch, *shown: dict[str, Any], addresses: dict[str, list[str]]) -> None:
    plain = {"kind": None, "master": None, "promiscuous": False, "address": "x", "mtu": 1500, "up": True}
    rows = {row["name"]: {**plain, **{k: v for k, v in row.items() if k in (*plain, "name")}} for row in shown}
    kinds = [{"ifname": r["name"], "link": r.get("over"), "linkinfo": {"info_data": r.get("data", {})}} for r in shown]
    monkeypatch.setattr(links, "read_links", lambda shown: rows)
    monkeypatch.setattr(links, "read_ip_links", lambda: kinds)
    monkeypatch.setattr(links, "read_addresses", lambda: addresses)
    monkeypatch.setattr(links, "read_routes", list)


def test_missing_interfaces_and_addresses_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    shows(monkeypatch, {"name": "peth0", "promiscuous": True, "up": False}, addresses={"peth0": []})
    wanted: list[dict[str, Any]] = [
        {"name": "peth0", "master": "eth0", "promiscuous": True, "addresses": ["10.0.0.1/8"], "routes": []},
        {"name": "eth0", "addresses": [], "routes": []},
    ]
    assert find_kernel_differences(wanted) == [
        "peth0: master is None, not eth0",
        "peth0: the address 10.0.0.1/8 is missing",
        "peth0 is down",
        "eth0 is missing",
    ]


def test_different_properties_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    shows(
        monkeypatch,
        {"name": "br0", "kind": "bridge", "data": {"stp_state": 1}},
        {"name": "eth0.2", "kind": "vlan", "over": "eth0", "data": {"id": 2}},
        {"name": "mvt0", "kind": "macvtap", "over": "eth0.2", "data": {"mode": "vepa"}},
        addresses={"br0": ["10.0.0.1/8", "fe80::1/64"], "eth0.2": ["fe80::2/64"]},
    )
    plain: dict[str, Any] = {"addresses": [], "routes": []}
    assert find_kernel_differences(
        [
            {"name": "br0", "kind": "bridge", "stp": 0, "without": [4, 6], **plain},
            {"name": "eth0.2", "kind": "vlan", "base": "eth1", "tag": 3, "without": [4, 6], **plain},
            {"name": "mvt0", "kind": "macvtap", "base": "eth0.2", "mode": "bridge", **plain},
        ]
    ) == [
        "br0: stp is 1, not 0",
        "br0: still has the address 10.0.0.1/8",
        "eth0.2: base is eth0, not eth1",
        "eth0.2: tag is 2, not 3",
        "mvt0: mode is vepa, not bridge",
    ]


def test_options_that_are_set_in_connection_profiles_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = {"name": "br0", "up": True, "options": {"vlan_filtering": 0}}
    monkeypatch.setattr(links, "read_links", lambda rows: {"br0": shown})
    monkeypatch.setattr(links, "read_ip_links", list)
    monkeypatch.setattr(links, "read_addresses", dict)
    monkeypatch.setattr(links, "read_routes", list)
    want = {"name": "br0", "options": {"vlan_filtering": 1}, "addresses": [], "routes": []}
    assert find_kernel_differences([want]) == ["br0: vlan_filtering is 0, not 1"]
    shown["options"] = {"vlan_filtering": 1}
    assert find_kernel_differences([want]) == []


def test_a_bonds_options_are_compared_in_the_kernels_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shows(monkeypatch, {"name": "bond0", "kind": "bond"}, addresses={})
    shown = {
        "mode": "active-backup 1\n",
        "miimon": "100\n",
        "arp_ip_target": "10.0.0.1 10.0.0.2\n",
        "use_carrier": "1\n",
    }
    for option, text in {**shown, "primary": "\n", "lacp_rate": "slow 0\n"}.items():
        (tmp_path / option).write_text(text)
    monkeypatch.setattr(readback, "BONDING", str(tmp_path))
    wanted = {"mode": "active-backup", "miimon": 100, "arp_ip_target": "10.0.0.2,10.0.0.1", "use_carrier": True}
    want = {"name": "bond0", "addresses": [], "routes": []}
    assert find_kernel_differences([{**want, "bond": {**wanted, "balance_slb": True}}]) == []
    wrong = {"primary": "eth0", "lacp_rate": "fast", "mode": "802.3ad"}
    assert find_kernel_differences([{**want, "bond": wrong}]) == [
        "bond0: primary is not set, not eth0",
        "bond0: lacp_rate is slow 0, not fast",
        "bond0: mode is active-backup 1, not 802.3ad",
    ]


def test_an_interface_that_is_to_be_down_must_have_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "read_ip_links", lambda: [{"ifname": "eth1", "flags": ["UP"]}])
    monkeypatch.setattr(links, "read_addresses", lambda: {"eth1": ["fe80::1/64", "192.0.2.7/24"]})
    monkeypatch.setattr(links, "read_routes", list)
    assert find_kernel_differences([{"name": "eth1", "down": True}]) == ["eth1: still has the address 192.0.2.7/24"]
    monkeypatch.setattr(links, "read_addresses", lambda: {"eth1": ["fe80::1/64"]})
    assert find_kernel_differences([{"name": "eth1", "down": True}]) == []


def test_unused_name_servers_and_inactive_devices_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    used = SimpleNamespace(name_servers=lambda: NameServers(["10.0.0.1"], ["example.org"]))
    assert find_unused_servers(used, {"server": ["10.0.0.1", "10.0.0.2"], "search": ["a.org"]}) == [  # type: ignore[arg-type]
        "NetworkManager does not use the name server 10.0.0.2",
        "NetworkManager does not use the search domain a.org",
    ]
    none = SimpleNamespace(name_servers=lambda: NameServers([], []))  # then it shows no domains
    assert find_unused_servers(none, {"search": ["a.org"]}) == []  # type: ignore[arg-type]
    devices = SimpleNamespace(states=lambda names: {"a": 100, "b": 70, "c": 50})
    assert find_inactive_devices(devices, ["a", "b", "c", "d"]) == ["c", "d"]  # type: ignore[arg-type]


@pytest.mark.parametrize("virtual", [["10.1.1.200"], []])
def test_a_virtual_address_may_be_there(monkeypatch: pytest.MonkeyPatch, virtual: list[str]) -> None:
    shows(monkeypatch, {"name": "br0"}, addresses={"br0": ["10.1.1.200/32"]})
    up: dict[str, Any] = {"name": "br0", "addresses": [], "routes": [], "without": [4], "virtual": virtual}
    down: dict[str, Any] = {"name": "br0", "down": True, "virtual": virtual}
    expected = [] if virtual else ["br0: still has the address 10.1.1.200/32"]
    assert find_kernel_differences([up]) == find_kernel_differences([down]) == expected


@pytest.mark.parametrize(
    ("route", "missing"),
    [
        ({"to": "0.0.0.0/0", "via": "10.0.0.1"}, False),
        ({"to": "192.0.2.1/32", "via": None}, False),
        ({"to": "10.9.0.0/16", "via": None}, False),
        ({"to": "192.0.2.2/32", "via": None}, True),
        ({"to": "10.9.0.0/16", "via": "10.0.0.1"}, True),
    ],
)
def test_routes_with_and_without_next_hop_are_read_back(
    monkeypatch: pytest.MonkeyPatch, route: dict[str, Any], missing: bool
) -> None:
    shows(monkeypatch, {"name": "eth0"}, addresses={"eth0": []})
    rows = [("default", "10.0.0.1"), ("192.0.2.1", None), ("10.9.0.0/16", None)]
    monkeypatch.setattr(links, "read_routes", lambda: [{"to": to, "via": via, "dev": "eth0"} for to, via in rows])
    found = find_kernel_differences([{"name": "eth0", "addresses": [], "routes": [route]}])
    via = f" via {route['via']}" if route["via"] else ""
    assert found == ([f"eth0: the route to {route['to']}{via} is missing"] if missing else [])


def test_routing_rules_are_read_back(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = {
        "4": [
            {"priority": 0, "src": "all", "table": "255"},
            {"priority": 1000, "src": "198.51.100.7", "table": "100", "protocol": "static"},
            {"priority": 1001, "src": "192.0.2.0", "srclen": 24, "dst": "10.0.0.0", "dstlen": 8, "table": "254"},
            {"priority": 1002, "src": "192.0.2.9"},
        ],
        "6": [{"priority": 30000, "src": "all", "table": "254"}],
    }
    monkeypatch.setattr(links, "read_rule_rows", lambda family: rows[family])

    def rule(family: str, priority: int, table: Any, source: Any = None, to: Any = None, **more: Any) -> dict[str, Any]:
        return {"family": family, "priority": priority, "table": table, "from": source, "to": to, **more}

    present = [
        rule("4", 1000, 100, "198.51.100.7/32"),
        rule("4", 1001, 254, "192.0.2.0/24", "10.0.0.0/8"),
        rule("4", 1002, None, "192.0.2.9/32"),
        rule("6", 30000, 254),
        rule("4", 999, 100, "198.51.100.7/32", absent=True),
    ]
    assert readback.find_wrong_rules(present) == []
    wrong = [rule("4", 1000, 101, "198.51.100.7/32"), rule("6", 30000, 254, absent=True)]
    assert readback.find_wrong_rules(wrong) == [
        "the routing rule priority 1000 from 198.51.100.7/32 table 101 is missing",
        "the routing rule priority 30000 table 254 still exists",
    ]
    assert readback.find_wrong_rules([]) == []


def test_other_vlans_of_a_bridge_port_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    shows(monkeypatch, {"name": "br0", "kind": "bridge"}, addresses={"br0": []})
    shown = {
        "eth0": [[1, 1, ["Egress Untagged", "PVID"]], [20, 21, []]],
        "eth1": [[1, 1, ["Egress Untagged"]], [40, 40, ["Egress Untagged", "PVID"]]],
    }
    monkeypatch.setattr(bridge_ports, "read_vlans", lambda: shown)

    def found(**vlans: Any) -> list[str]:
        return find_kernel_differences([{"name": "br0", "addresses": [], "routes": [], "port_vlans": vlans}])

    assert found(eth0={"tagged": [20, 21], "untagged": 1}, eth1={"tagged": [], "untagged": 40}) == []
    assert found(eth0={"tagged": [20, 22], "untagged": 40}, eth2={"tagged": [], "untagged": 1}) == [
        "eth0: untagged frames are in VLAN 1, not 40",
        "eth0: the VLANs with tags are 20-21, not 20, 22",
        "eth2: untagged frames are in VLAN 0, not 1",
    ]
