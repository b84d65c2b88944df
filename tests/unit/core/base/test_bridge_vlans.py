"""The VLANs of bridge ports in a state."""

from __future__ import annotations

from kvmnet.core.base.bridge_vlans import default_vlan, format_tags, read_membership, read_trunk_tags


def test_ids_and_ranges_are_one_set() -> None:
    assert read_trunk_tags([{"id": 5}, {"id-range": {"min": 7, "max": 9}}, {"other": 1}]) == {5, 7, 8, 9}


def test_a_port_without_a_stated_untagged_vlan_has_that_of_the_bridge() -> None:
    trunk = {"mode": "trunk", "trunk-tags": [{"id": 5}]}
    assert read_membership(trunk) == (frozenset({5}), 1)
    assert read_membership(trunk, 0) == (frozenset({5}), None)
    access = read_membership({"mode": "access", "tag": 40})
    assert (list(access.tagged), access.untagged, list(access.all())) == ([], 40, [40])
    assert read_membership({}).all() == {1}


def test_the_default_vlan_is_1_unless_the_options_have_another_one() -> None:
    assert (default_vlan({}), default_vlan({"vlan-default-pvid": 0})) == (1, 0)


def test_vlan_ids_are_printed_with_ranges() -> None:
    assert format_tags([9, 5, 7, 8, 20]) == "5, 7-9, 20"
    assert format_tags([]) == ""
