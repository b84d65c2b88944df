"""Comparing a desired state with the live one."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kvmnet.core.planning.difference import interface_differences, projection, rename_interfaces, route_key


def test_a_rename_reaches_ports_base_interfaces_and_next_hops_but_no_other_interface_of_the_name() -> None:
    state = {
        "interfaces": [
            {"name": "eth0", "type": "ethernet"},
            {"name": "eth0", "type": "ovs-bridge"},
            {"name": "eth0.2", "type": "vlan", "vlan": {"base-iface": "eth0", "id": 2}},
            {"name": "br", "type": "linux-bridge", "bridge": {"port": [{"name": "eth0"}, {"name": "vnet0"}]}},
            {"name": "bond0", "type": "bond", "link-aggregation": {"port": ["eth0", "eth1"]}},
        ],
        "routes": {"config": [{"destination": "0.0.0.0/0", "next-hop-interface": "eth0"}]},
    }
    new = rename_interfaces(state, {"eth0": "peth0"})
    assert [i["name"] for i in new["interfaces"]] == ["peth0", "eth0", "eth0.2", "br", "bond0"]
    assert new["interfaces"][2]["vlan"]["base-iface"] == "peth0"
    assert new["interfaces"][3]["bridge"]["port"] == [{"name": "peth0"}, {"name": "vnet0"}]
    assert new["interfaces"][4]["link-aggregation"]["port"] == ["peth0", "eth1"]
    assert new["routes"]["config"][0]["next-hop-interface"] == "peth0"


def test_equal_routes_have_equal_keys() -> None:
    one = {"destination": "2001:DB8::/64", "next-hop-address": "FE80:0::1", "next-hop-interface": "a", "table-id": 0}
    two = {"destination": "2001:db8:0::/64", "next-hop-address": "fe80::1", "next-hop-interface": "a"}
    assert route_key(one) == route_key(two)


_leaves = st.one_of(st.booleans(), st.integers(0, 9000), st.sampled_from(["up", "00:11:22:AA:BB:CC", "10.0.0.1"]))


_states = st.dictionaries(
    st.sampled_from(["mtu", "state", "bridge", "ipv4", "mac-address", "options"]),
    st.recursive(_leaves, lambda inner: st.dictionaries(st.sampled_from("abcd"), inner, min_size=1), max_leaves=6),
    min_size=1,
)


@given(_states)
def test_additional_live_keys_are_no_difference(state: dict[str, Any]) -> None:
    assert interface_differences(state, {**copy.deepcopy(state), "another key": 1}) == []


@given(_states, st.data())
def test_a_changed_value_is_one_difference(state: dict[str, Any], data: st.DataObject) -> None:
    live = copy.deepcopy(state)
    place: dict[str, Any] = live
    key = data.draw(st.sampled_from(sorted(place)))
    while isinstance(place[key], dict):
        place = place[key]
        key = data.draw(st.sampled_from(sorted(place)))
    place[key] = "something else"
    assert len(interface_differences(state, live)) == 1


def test_the_order_of_a_bonds_ports_and_numbers_as_text_are_no_difference() -> None:
    desired = {"link-aggregation": {"port": ["eth1", "eth0"], "options": {"miimon": 100}}}
    live = {"link-aggregation": {"port": ["eth0", "eth1"], "options": {"miimon": "100"}}}
    assert interface_differences(desired, live) == []
    live["link-aggregation"]["port"] = ["eth0"]
    assert [d.text for d in interface_differences(desired, live)] == ["link-aggregation.port: eth0 -> eth1, eth0"]


_leaves = st.one_of(st.booleans(), st.integers(0, 2), st.sampled_from(["up", "10.0.0.1", "fe80::1"]))


_addresses = st.lists(
    st.fixed_dictionaries(
        {"ip": st.sampled_from(["10.0.0.1", "10.0.0.2", "fe80::1"]), "prefix-length": st.sampled_from([16, 24])},
        optional={"valid-life-time": st.just("60sec")},
    ),
    max_size=3,
)


_ports = st.one_of(
    st.lists(st.sampled_from(["eth0", "eth1"]), max_size=2),
    st.lists(st.fixed_dictionaries({"name": st.sampled_from("ab")}, optional={"vlan": _leaves}), max_size=3),
)


_interfaces = st.fixed_dictionaries(
    {},
    optional={
        "mtu": _leaves,
        "ipv4": st.fixed_dictionaries({}, optional={"address": _addresses, "dhcp": _leaves}),
        "bridge": st.fixed_dictionaries(
            {}, optional={"port": _ports, "options": st.dictionaries(st.just("x"), _leaves)}
        ),
    },
)


@given(_interfaces, _interfaces, _interfaces)
def test_equal_projections_have_equal_differences(desired: Any, one: Any, two: Any) -> None:
    """What a plan depends on is all in what is compared."""
    for live in (two, {**one, **two}, {**two, **one}, {**one, "nobody-asked": 1}):
        if projection(desired, one) == projection(desired, live):
            assert bool(interface_differences(desired, one)) == bool(interface_differences(desired, live))
    assert projection(desired, {**one, "nobody-asked": 1}) == projection(desired, one)


def test_vlans_of_a_port_are_compared_as_sets() -> None:
    """nmstate prints other ranges than it was given, and lists the ports of guests."""
    wanted = {"mode": "trunk", "enable-native": False, "trunk-tags": [{"id-range": {"min": 5, "max": 7}}, {"id": 9}]}
    tags = [{"id": 9}, {"id": 5}, {"id-range": {"min": 6, "max": 7}}]
    shown = {"mode": "trunk", "enable-native": False, "trunk-tags": tags}
    desired = {"name": "br0", "bridge": {"port": [{"name": "eth0", "vlan": wanted}]}}

    def live(vlan: dict[str, Any]) -> dict[str, Any]:
        return {"name": "br0", "bridge": {"port": [{"name": "eth0", "vlan": vlan}, {"name": "vnet0"}]}}

    assert interface_differences(desired, live(shown)) == []
    (found,) = interface_differences(desired, live({**shown, "trunk-tags": tags[:2]}))
    expected = "bridge.port: eth0 (VLANs 5, 9 with tags), vnet0 -> eth0 (VLANs 5-7, 9 with tags)"
    assert (found.path, found.text) == ("bridge.port", expected)
    access = {"name": "br0", "bridge": {"port": [{"name": "eth0", "vlan": {"mode": "access", "tag": 40}}]}}
    (found,) = interface_differences(access, live(shown))
    assert found.text.endswith("-> eth0 (VLANs 40 without)")
    assert projection(desired, live(shown)) == projection(desired, live(wanted))
