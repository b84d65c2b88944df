"""Naming policies: the names that they give, and their schemas."""

from __future__ import annotations

import dataclasses
from typing import Any

from kvmnet import pipeline


def test_the_policies_of_kvmnet_name_interfaces() -> None:
    policies = pipeline.load_naming_policies()
    assert sorted(policies) == ["plain", "rocks"]
    rocks, plain = policies["rocks"], policies["plain"]
    assert rocks.bridge_name("bond0", "bond0") == plain.bridge_name("bond0", "bond0") == "br-bond0"
    assert (rocks.nic_name("eth0"), rocks.bridge_name("eth0", "peth0"), rocks.vlan_name("peth0", 2, "eth0.2")) == (
        "peth0",
        "eth0",
        "peth0.2",
    )
    assert rocks.macvtap_name("36:77:6E:C0:00:02") == "mvt-c00002"
    assert (plain.nic_name("eth0"), plain.bridge_name("eth0", "eth0"), plain.renames) == ("eth0", "br-eth0", False)


def test_a_policy_can_name_vlans_by_id_or_key_and_macvtaps_by_the_whole_mac_address() -> None:
    plain = pipeline.load_naming_policies()["plain"]
    patterns = dataclasses.replace(plain, vlan_pattern="vlan{tag}", macvtap_pattern="t{mac}")
    assert patterns.vlan_name("enp193s0f1np1", 3008, "storage") == "vlan3008"
    assert dataclasses.replace(plain, vlan_pattern="{interface}").vlan_name("eth0", 5, "storage") == "storage"
    assert patterns.macvtap_name("36:77:6E:C0:00:02") == "t36776ec00002"


def test_policies_of_a_definition_have_the_same_keys_as_those_of_kvmnet() -> None:
    """Except for the required keys: a policy of a definition inherits them by `extends`."""

    def without_required(part: dict[str, Any]) -> dict[str, Any]:
        return {key: without_required(v) if isinstance(v, dict) else v for key, v in part.items() if key != "required"}

    built_in = without_required(pipeline.load_schema("profile").data["properties"])
    own = without_required(pipeline.load_schema("cluster").data["$defs"]["profile"]["properties"])
    del built_in["profile"], built_in["name"], own["extends"]
    assert own == built_in
