"""Reading the parts of an nmstate state."""

from __future__ import annotations

from typing import Any

import pytest

from kvmnet.core.base.nmstate import (
    KERNEL_KINDS,
    NM_TYPES,
    dns_of,
    interfaces_of,
    next_hop_of,
    port_names,
    routes_of,
)


def test_the_parts_of_a_state_are_found_and_missing_ones_are_empty() -> None:
    state = {
        "interfaces": [{"name": "eth0"}],
        "routes": {"config": [{"destination": "::/0"}], "running": [{"destination": "10.0.0.0/8"}]},
        "dns-resolver": {"config": {"server": ["10.1.0.2"]}, "running": {"server": ["10.9.9.9"]}},
    }
    assert interfaces_of(state) == [{"name": "eth0"}]
    assert routes_of(state) == [{"destination": "::/0"}], "the running ones are also the kernel's own"
    assert dns_of(state) == {"server": ["10.1.0.2"]}
    assert (interfaces_of({}), routes_of({}), dns_of({})) == ([], [], {})
    assert (routes_of({"routes": {}}), dns_of({"dns-resolver": {}})) == ([], {})


@pytest.mark.parametrize("next_hop", ["0.0.0.0", "::", "", None])
def test_a_route_without_a_next_hop_lacks_the_key(next_hop: object) -> None:
    """nmstate shows 0.0.0.0 for such a route in a table of its own."""
    route = {"destination": "198.51.100.0/24", "next-hop-interface": "eth1", "table-id": 100}
    other = {"destination": "0.0.0.0/0", "next-hop-address": "10.1.1.1", "next-hop-interface": "eth0"}
    rows: list[dict[str, Any]] = [{**route, "next-hop-address": next_hop}, other]
    assert routes_of({"routes": {"config": rows}}) == [route, other]
    assert [next_hop_of(row) for row in rows] == ["", "10.1.1.1"]


@pytest.mark.parametrize(
    ("interface", "ports"),
    [
        ({"bridge": {"port": [{"name": "eth0", "stp-priority": 32}, {"name": "eth1"}]}}, ["eth0", "eth1"]),
        ({"link-aggregation": {"mode": "active-backup", "port": ["eth1", "eth0"]}}, ["eth1", "eth0"]),
        ({"bridge": {"options": {}}}, []),
        ({"vlan": {"base-iface": "eth0", "id": 5}}, []),
        ({}, []),
    ],
)
def test_the_ports_of_bridges_and_bonds_are_names(interface: dict[str, Any], ports: list[str]) -> None:
    assert port_names(interface) == ports


def test_every_virtual_type_has_a_profile_type_and_a_nic_has_no_kernel_kind() -> None:
    assert set(NM_TYPES) == {*KERNEL_KINDS, "ethernet", "infiniband", "loopback"}
