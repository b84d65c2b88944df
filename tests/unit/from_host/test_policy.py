"""Tests of kvmnet/from_host/policy.py: the definition of a host under the naming policy rocks."""

from __future__ import annotations

from typing import Any

import pytest

from kvmnet.from_host.policy import adopt_rocks_policy
from kvmnet.importers._draft import HostPart, Part


def rocks(**interfaces: dict[str, Any]) -> dict[str, Any]:
    host = HostPart({}, {key: Part(values) for key, values in interfaces.items()})
    adopt_rocks_policy(host)
    assert host.settings == {"kvm": True}
    return {key: part.values for key, part in host.interfaces.items()}


@pytest.mark.parametrize(
    "bridge, expected",
    [
        ("br0", {}),
        (False, {}),
        ({"name": "br0", "mac": "02:00:00:00:00:01"}, {}),
        ({"name": "br0", "stp": True}, {"bridge": {"stp": True}}),
    ],
)
def test_the_policy_names_the_bridge_of_a_nic(bridge: Any, expected: dict[str, Any]) -> None:
    assert rocks(eth0={"network": "lan", "bridge": bridge}) == {"eth0": {"network": "lan", **expected}}


def test_the_bridge_of_a_vlan_is_stated() -> None:
    assert rocks(**{"bond0.100": {"bridge": "br0"}}) == {"bond0.100": {"bridge": True}}
    assert rocks(v7={"over": "eth0", "bridge": "br7"}) == {"v7": {"over": "eth0", "bridge": True}}


def test_a_vlan_over_a_bridge_is_over_its_nic() -> None:
    names = rocks(eth0={"bridge": "br0"}, **{"br0.50": {}})
    assert names["br0.50"] == {"over": "eth0"}


def test_a_bridge_with_several_ports_stays() -> None:
    bridge = {"type": "bridge", "ports": ["eth0", "eth1"], "bridge": {"stp": True}}
    assert rocks(br0=bridge)["br0"] == bridge
