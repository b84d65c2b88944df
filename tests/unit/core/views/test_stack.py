"""Which interface is on which: what is placed, base interfaces, ports and names."""

from __future__ import annotations

from typing import Optional

import pytest

from kvmnet.core.views.stack import Stack, possible_bridge_names
from tests.unit.core.views.samples import MAC, one_host


def stack_of(*interfaces: str, profile: str = "plain", host: str = "kvm: true") -> Stack:
    cluster = one_host(*interfaces, profile=profile, host=host)
    return Stack(cluster.hosts["h"], cluster.policies[profile])


NIC = f"eth0: {{network: servers, mac: '{MAC}'}}"


def test_vlans_and_bridges_are_placed_in_any_order_of_the_definition() -> None:
    stack = stack_of(
        "br1.7: {bridge: br7}",
        "br7.8: {}",
        "br1: {type: bridge, ports: [bond0.5, eth2]}",
        "bond0.5: {}",
        "bond0: {ports: [eth0, eth1]}",
        *(f"eth{number}: {{}}" for number in range(3)),
    )
    assert [i.name for i in stack.vlans] == ["br1.7", "br7.8", "bond0.5"]
    assert [stack.base_name(i) for i in stack.vlans] == ["br1", "br7", "bond0"]
    assert [(i.name, [p.name for p in stack.ports(i)]) for i in stack.bridges] == [("br1", ["bond0.5", "eth2"])]
    assert [stack.top(i) for i in stack.vlans] == ["br7", "br7.8", "bond0.5"]
    assert [stack.controller(i) for i in stack.vlans] == ["br7", None, "br1"]


@pytest.mark.parametrize(
    ("profile", "parent", "base"),
    [
        ("plain", "eth0", "eth0"),
        ("plain", "br-eth0", "br-eth0"),
        ("plain", "br0", None),
        ("rocks", "eth0", "peth0"),  # a key comes before the name of a bridge
        ("rocks", "br-eth0", None),
        ("rocks", "peth0", None),
    ],
)
def test_a_base_interface_is_a_key_or_the_name_of_a_bridge(profile: str, parent: str, base: Optional[str]) -> None:
    stack = stack_of(NIC, f"v: {{over: {parent}, network: storage}}", profile=profile)
    assert [stack.base_name(vlan) for vlan in stack.vlans] == ([base] if base else [])


@pytest.mark.parametrize(
    "loop",
    [
        ["br0: {type: bridge, ports: [br0.5]}", "br0.5: {}"],
        ["v: {over: br9, network: storage, bridge: br9}"],
        ["v: {over: br-v, network: storage, bridge: true}"],
        ["br0: {type: bridge, ports: [br1.5]}", "br1.5: {}", "br1: {type: bridge, ports: [br0.6]}", "br0.6: {}"],
    ],
)
def test_what_is_in_a_loop_is_left_out(loop: list[str]) -> None:
    stack = stack_of(*loop, "eth0: {}")
    assert (stack.vlans, stack.bridges, stack.bridged) == ([], [], [])
    assert stack.bridge_of == {}


def test_a_bridge_is_placed_without_the_ports_that_cannot_be_its_ports() -> None:
    stack = stack_of(
        "br0: {type: bridge, ports: [eth0, eth0, gone, br1, ib0, off, eth1, bond9]}",
        "br1: {type: bridge, ports: [eth0, eth2]}",
        "bond0: {ports: [eth1]}",
        "bond9: {ports: [gone]}",
        "off: {state: down}",
        "ib0: {}",
        *(f"eth{number}: {{}}" for number in range(3)),
    )
    assert [[p.name for p in stack.ports(i)] for i in stack.bridges] == [["eth0"], ["eth2"]]


def test_a_port_of_a_bridge_has_no_bridge_of_its_own() -> None:
    stack = stack_of(NIC, "br0: {type: bridge, ports: [eth0], network: servers}", "br1: {type: bridge, bridge: true}")
    assert (stack.bridged, [i.name for i in stack.bridges]) == ([], ["br0", "br1"])
    assert stack.controller(stack.nics[0]) == "br0"


@pytest.mark.parametrize(
    ("profile", "bridge", "nic", "name"),
    [
        ("rocks", "true", "peth0", "eth0"),
        ("rocks", "{stp: true}", "peth0", "eth0"),
        ("rocks", "eth0", "peth0", "eth0"),
        ("rocks", "br0", "eth0", "br0"),
        ("rocks", "{name: br0}", "eth0", "br0"),
        ("plain", "br0", "eth0", "br0"),
    ],
)
def test_a_policy_renames_a_nic_only_if_the_bridge_takes_its_name(
    profile: str, bridge: str, nic: str, name: str
) -> None:
    stack = stack_of(f"eth0: {{network: servers, mac: '{MAC}', bridge: {bridge}}}", profile=profile)
    (interface,) = stack.nics
    assert (stack.device(interface), stack.top(interface)) == (nic, name)
    assert stack.is_renamed(interface) == (nic == "peth0")
    assert stack.has_link_file(interface) == (profile == "rocks")


def test_the_first_of_two_bridges_of_one_name_is_the_base_interface() -> None:
    stack = stack_of("eth0: {bridge: br0}", "eth1: {bridge: br0}")
    owner = stack.find_bridge_owner("br0")
    assert owner is not None and owner.name == "eth0"
    assert stack.find_bridge_owner("br1") is None


def test_the_names_that_a_bridge_may_get_are_those_of_the_definition_or_the_policy() -> None:
    cluster = one_host("eth0: {}", "eth1: {bridge: br1}")
    nic, named = cluster.hosts["h"].interfaces.values()
    assert possible_bridge_names(nic, cluster.policies["rocks"]) == {"eth0", "br-eth0"}
    assert possible_bridge_names(nic, cluster.policies["plain"]) == {"br-eth0"}
    assert possible_bridge_names(named, cluster.policies["rocks"]) == {"br1"}
