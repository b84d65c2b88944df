"""What the kernel must show after a state was applied."""

from __future__ import annotations

from typing import Any

import pytest

from kvmnet.core.planning.expected_readback import expected_rules, list_own_rules, make_expectations
from kvmnet.core.rendering.bundle import Bundle
from tests.unit.core.samples import MAC


def test_controllers_flags_addresses_and_routes_are_expected(bundle: Bundle) -> None:
    assert make_expectations(bundle.state) == [
        {
            "name": "peth0",
            "master": "eth0",
            "promiscuous": True,
            "addresses": [],
            "without": [4, 6],
            "routes": [],
        },
        {
            "name": "eth0",
            "kind": "bridge",
            "stp": 0,
            "address": MAC,
            "addresses": ["10.1.255.254/16"],
            "without": [6],
            "routes": [{"to": "0.0.0.0/0", "via": "10.1.1.1"}],
        },
    ]


def test_virtual_addresses_are_named_for_each_interface() -> None:
    state = {"interfaces": [{"name": "br5", "type": "linux-bridge", "state": "absent"}]}
    assert make_expectations(state, None, ["10.1.1.200"]) == [
        {"name": "br5", "absent": True, "virtual": ["10.1.1.200"]}
    ]
    assert make_expectations(state) == [{"name": "br5", "absent": True}], "as before on other hosts"


def test_the_options_of_a_bridge_are_expected_as_iproute2_shows_them() -> None:
    options: dict[str, Any] = {
        "stp": {"enabled": False, "priority": 4096},
        "mac-ageing-time": 120,
        "group-forward-mask": 16384,
        "multicast-snooping": False,
    }
    bridge = {"name": "br0", "type": "linux-bridge", "state": "up", "bridge": {"options": options, "port": []}}
    (expected,) = make_expectations({"interfaces": [bridge]})
    wanted = {"stp": 0, "priority": 4096, "ageing_time": 12000, "group_fwd_mask": "0x4000", "mcast_snooping": 0}
    assert {key: expected.get(key) for key in wanted} == wanted
    options["stp"]["enabled"] = True
    assert "ageing_time" not in make_expectations({"interfaces": [bridge]})[0], "the kernel changes it"
    options["group-forward-mask"] = 0
    assert make_expectations({"interfaces": [bridge]})[0]["group_fwd_mask"] == "0"


def test_the_rules_to_read_back_are_the_wanted_and_the_removed_ones() -> None:
    rule = {"family": "ipv4", "ip-from": "192.0.2.0/24", "route-table": 7, "priority": 5}
    other = {"family": "ipv6", "action": "prohibit", "priority": 6, "state": "absent"}
    sent = {"route-rules": {"config": [rule, other]}}
    assert expected_rules({"route-rules": {"config": [rule]}}, sent) == [
        {"family": "4", "priority": 5, "from": "192.0.2.0/24", "to": None, "table": 7},
        {"family": "6", "priority": 6, "from": None, "to": None, "table": None, "absent": True},
    ]
    assert expected_rules({}, {}) == []
    assert list_own_rules({"route-rules": {"config": [rule]}}, sent, {}) == [
        {"priority": 5, "from": "192.0.2.0/24", "to": None},
        {"priority": 6, "from": None, "to": None},
    ]


def test_the_vlans_of_ports_are_read_back() -> None:
    trunk = {"mode": "trunk", "enable-native": False, "trunk-tags": [{"id-range": {"min": 20, "max": 22}}]}
    ports = [{"name": "eth0", "vlan": trunk}, {"name": "eth1"}, {"name": "eth2", "vlan": {"mode": "access", "tag": 40}}]

    def expected(**options: Any) -> Any:
        bridge = {"options": options, "port": ports}
        (entry, *_) = make_expectations(
            {"interfaces": [{"name": "br0", "type": "linux-bridge", "state": "up", "bridge": bridge}]}
        )
        return entry["port_vlans"]

    access = {"tagged": [], "untagged": 40}
    assert expected() == {"eth0": {"tagged": [20, 21, 22], "untagged": 1}, "eth2": access}
    assert expected(**{"vlan-default-pvid": 0}) == {"eth0": {"tagged": [20, 21, 22], "untagged": 0}, "eth2": access}


@pytest.mark.parametrize(
    ("kind", "section", "expected"),
    [
        (
            "vxlan",
            {"id": 7, "base-iface": "eth0", "remote": "192.0.2.9", "destination-port": 4789},
            {"kind": "vxlan", "options": {"id": 7, "link": "eth0", "port": 4789}},
        ),
        ("vrf", {"port": ["eth1"], "route-table-id": 107}, {"kind": "vrf", "options": {"table": 107}}),
        ("mac-vlan", {"base-iface": "eth0", "mode": "private"}, {"kind": "macvlan", "base": "eth0", "mode": "private"}),
        (
            "vlan",
            {"base-iface": "eth0", "id": 5, "protocol": "802.1ad"},
            {"kind": "vlan", "base": "eth0", "tag": 5, "options": {"protocol": "802.1ad"}},
        ),
    ],
)
def test_interfaces_of_nmstate_alone_are_read_back(
    kind: str, section: dict[str, Any], expected: dict[str, Any]
) -> None:
    entry = {"name": "x0", "type": kind, "state": "up", kind: section}
    port = {"name": "eth1", "type": "ethernet", "state": "up"}
    first, second = make_expectations({"interfaces": [entry, port]})
    assert first == {"name": "x0", **expected, "addresses": [], "routes": []}
    assert second.get("master") == ("x0" if kind == "vrf" else None)
