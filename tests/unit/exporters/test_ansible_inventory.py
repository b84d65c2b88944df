"""Tests of kvmnet/exporters/ansible_inventory.py."""

from __future__ import annotations

from typing import Any

import yaml

from kvmnet.exporters.ansible_inventory import EXPORTER
from tests.unit.exporters.samples import GROUPS, TEXT, bundles


def inventory(text: str = TEXT, groups: Any = GROUPS, number: int = 2) -> Any:
    (file,) = EXPORTER.export(bundles(text)[:number], groups=groups).values()
    return yaml.safe_load(file.text)["all"]


def test_a_host_is_reached_by_the_address_with_the_default_route() -> None:
    host = inventory()["hosts"]["hv1"]
    assert host["ansible_host"] == "10.1.1.1" and host["kvmnet_bundle"] == "hv1"
    assert host["kvmnet_addresses"] == {"br-eth0": ["10.1.1.1/16", "2001:db8:1::11/64"], "eth0.5": ["10.5.0.1/24"]}
    without = inventory(TEXT.replace(", gateway: 10.1.0.1", ""))
    assert without["hosts"]["hv1"]["ansible_host"] == "10.5.0.1"  # the first one of the state


def test_a_host_with_dhcp_alone_is_reached_by_its_name() -> None:
    assert "ansible_host" not in inventory()["hosts"]["HV_2"]


def test_groups_contain_their_hosts_and_the_groups_that_inherit_from_them() -> None:
    assert inventory()["children"] == {
        "base": {"hosts": {}, "children": {"kvm": {"hosts": {"hv1": {}, "HV_2": {}}}}},
    }
    assert inventory(number=1)["children"]["base"]["children"]["kvm"]["hosts"] == {"hv1": {}}
    assert "children" not in inventory(groups=())
