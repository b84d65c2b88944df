"""The data for libvirt's hook."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from kvmnet.core.rendering.bundle import Bundle
from kvmnet.core.rendering.hook_record import format_hook_record, hook_record
from kvmnet.pipeline import load


def test_the_record_has_the_devices_of_the_bundle() -> None:
    bundle = load("tests/golden/good/attach/cluster.yaml").bundle("a")
    assert json.loads(format_hook_record(bundle)) == {
        "format": 1,
        "host": "a",
        "digest": bundle.digest,
        "vlans": {"peth0.2": {"base": "peth0", "tag": 2, "mtu": None}},
        "own": ["peth0", "eth0", "peth0.3", "peth0.4", "mvt-c00002", "mvt-c00004"],
        "bases": ["peth0"],
    }


def guests(*interfaces: dict[str, Any]) -> dict[str, Any]:
    return {"interfaces": list(interfaces)}


def vlan(**keys: Any) -> dict[str, Any]:
    return {"name": "eth0.2", "type": "vlan", "vlan": {"base-iface": "eth0", "id": 2}, **keys}


TAP = {"name": "mvt-c00001", "type": "mac-vtap", "mac-vtap": {"base-iface": "eth0.2"}}


@pytest.mark.parametrize(
    ("on_demand", "vlans"),
    [
        (None, {}),
        (guests(TAP), {}),
        (guests(vlan(), TAP), {"eth0.2": {"base": "eth0", "tag": 2, "mtu": None}}),
        (guests(vlan(mtu=9000)), {"eth0.2": {"base": "eth0", "tag": 2, "mtu": 9000}}),
    ],
)
def test_only_vlans_that_exist_on_demand_may_be_created(on_demand: Any, vlans: dict[str, Any]) -> None:
    assert hook_record(Bundle("c", "h", "plain", (), {}, on_demand))["vlans"] == vlans


def test_a_vlan_can_be_on_a_nic_or_a_bond() -> None:
    kinds = {"eth0": "ethernet", "bond0": "bond", "br0": "linux-bridge", "eth0.5": "vlan"}
    state = {"interfaces": [{"name": name, "type": kind} for name, kind in kinds.items()]}
    record = hook_record(Bundle("c", "h", "plain", (), state))
    assert (record["bases"], record["own"]) == (["eth0", "bond0"], list(kinds))


def test_a_vlan_can_be_on_a_bridge_that_has_vlans() -> None:
    bundle = load("tests/golden/good/vlan-over-bridge/cluster.yaml").bundle("h3")
    record = hook_record(bundle)
    assert record["vlans"] == {"br0.2": {"base": "br0", "tag": 2, "mtu": 1500}}
    assert record["bases"] == ["eth0", "eth1", "br0"]


def test_the_file_ends_with_a_line_break_and_changes_with_the_bundle() -> None:
    bundle = Bundle("c", "h", "plain", (), {}, digest="sha256:1")
    assert format_hook_record(bundle).endswith("}\n")
    assert format_hook_record(replace(bundle, digest="sha256:2")) != format_hook_record(bundle)
