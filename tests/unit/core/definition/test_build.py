"""The cluster that a tree defines: inheritance of groups, naming policies, and what a wrong value leaves."""

from __future__ import annotations

from typing import Any, Optional

import pytest

from kvmnet import pipeline
from kvmnet.core.definition.document import Source
from kvmnet.core.definition.model import BridgeSettings, Cluster, Host, Interface

HEAD = "kvmnet: 1\ncluster: c\nprofile: plain\nnetworks:\n  servers: {subnets: [10.1.0.0/16], vlan: 7}\n"


def cluster_of(text: str) -> Cluster:
    """Return the cluster of a definition, which may have mistakes."""
    cluster = pipeline.check([Source("cluster.yaml", HEAD + text)]).cluster
    assert cluster is not None
    return cluster


def host_of(*levels: str) -> Host:
    """Return a host whose keys are the last level, in groups with the other levels, the outermost first."""
    text, parent = "", ""
    for number, keys in enumerate(levels[:-1]):
        text += f"  g{number}: {{{parent}{keys}}}\n"
        parent = f"group: g{number}, "
    groups = f"groups:\n{text}" if text else ""
    return cluster_of(f"{groups}hosts:\n  h: {{{parent}{levels[-1]}}}\n").hosts["h"]


def interface_of(*levels: str, name: str = "eth0") -> Interface:
    """Return an interface with the keys of each level."""
    return host_of(*(f"interfaces: {{{name}: {{{keys}}}}}" for keys in levels)).interfaces[name]


# ---- inheritance


def test_the_settings_of_the_nearest_level_win() -> None:
    interface = interface_of("mtu: 9000, network: servers", "mtu: 1400, bridge: false", "mtu: 1500")
    assert (interface.mtu, interface.network, interface.bridge) == (1500, "servers", False)
    host = host_of("profile: rocks, kvm: true", "kvm: false", "interfaces: {}")
    assert (host.policy_name, host.kvm, host.groups) == ("rocks", False, ("g1", "g0"))
    assert host_of("interfaces: {}").policy_name == "plain" and host_of("interfaces: {}").kvm is False


def test_a_loop_of_groups_ends() -> None:
    text = "groups:\n  a: {group: b, kvm: true}\n  b: {group: a}\nhosts:\n  h: {group: b, interfaces: {}}\n"
    host = cluster_of(text).hosts["h"]
    assert host.groups == ("b", "a") and host.kvm


@pytest.mark.parametrize(
    ("base", "top", "sources", "addresses"),
    [
        ("ipv4: dhcp", "addresses: [10.1.0.7]", ("static", "none"), ["10.1.0.7"]),
        ("ipv4: dhcp, ipv6: auto", "addresses: [10.1.0.7]", ("static", "auto"), ["10.1.0.7"]),
        ("ipv4: dhcp", "addresses: ['2001:db8::7']", ("dhcp", "static"), ["2001:db8::7"]),
        ("addresses: [10.1.0.7, '2001:db8::7']", "ipv4: dhcp", ("dhcp", "static"), ["2001:db8::7"]),
        ("addresses: [10.1.0.7, '2001:db8::7']", "ipv6: auto", ("static", "auto"), ["10.1.0.7"]),
        ("addresses: [10.1.0.7]", "ipv4: static", ("static", "none"), ["10.1.0.7"]),
        ("addresses: [10.1.0.7]", "ipv4: dhcp, addresses: ['2001:db8::7']", ("dhcp", "static"), ["2001:db8::7"]),
        ("addresses: [10.1.0.7]", "mtu: 9000", ("static", "none"), ["10.1.0.7"]),
    ],
)
def test_addresses_and_dhcp_of_a_level_replace_each_other_for_their_family(
    base: str, top: str, sources: tuple[str, str], addresses: list[str]
) -> None:
    interface = interface_of(base, top)
    assert (interface.ipv4, interface.ipv6) == sources
    assert [str(placed.ip) for placed in interface.addresses] == addresses


@pytest.mark.parametrize(
    ("levels", "hostname"),
    [
        (["interfaces: {}"], None),
        (["hostname: true", "interfaces: {}"], "h"),
        (["hostname: true", "hostname: hv1.a.org"], "hv1.a.org"),
        (["hostname: hv1.a.org", "hostname: false"], None),
        (["hostname: true", "hostname: false", "interfaces: {}"], None),
    ],
)
def test_the_hostname_is_that_of_the_nearest_level(levels: list[str], hostname: Optional[str]) -> None:
    assert host_of(*levels).hostname == hostname


def test_routes_of_a_destination_are_those_of_the_nearest_level_that_has_it() -> None:
    outer = "routes: [{to: 10.8.0.0/16, via: 10.1.0.1}, {to: 10.9.0.0/16, via: 10.1.0.1}]"
    inner = "routes: [{to: 10.9.1.2/16, via: 10.1.0.2, metric: 5}, {to: 10.9.0.0/16, via: 10.1.0.3, table: 9}]"
    routes = host_of(outer, inner).routes
    assert [(str(r.to), str(r.via), r.metric, r.table, r.stray_bits) for r in routes] == [
        ("10.8.0.0/16", "10.1.0.1", None, None, False),
        ("10.9.0.0/16", "10.1.0.2", 5, None, True),
        ("10.9.0.0/16", "10.1.0.3", None, 9, False),
    ]


def test_probes_of_all_levels_are_listed_once() -> None:
    host = host_of(
        "probes: [{ping: 10.1.0.1}, {command: [/bin/true, x]}]", "probes: [{ping: 10.1.0.2}, {ping: 10.1.0.1}]"
    )
    probes = [(placed.probe.kind, placed.probe.target, placed.probe.command) for placed in host.probes]
    assert probes == [("ping", "10.1.0.1", ()), ("command", "", ("/bin/true", "x")), ("ping", "10.1.0.2", ())]


# ---- interfaces


@pytest.mark.parametrize(
    ("name", "keys", "parent", "tag"),
    [
        ("eth0", "", None, None),
        ("eth0.5", "", "eth0", 5),
        ("eth0.5.7", "", "eth0.5", 7),
        ("eth0.99999", "", "eth0", 99999),
        ("eth0.100000", "", None, None),
        ("eth0.x", "", None, None),
        ("bond0.5", "ports: [eth0]", None, None),
        ("up", "over: eth0, network: servers", "eth0", 7),
        ("eth0.5", "over: eth1, network: servers", "eth1", 7),
        ("up", "over: eth0", "eth0", None),
    ],
)
def test_a_vlan_has_its_base_and_id_from_its_key_or_from_over_and_its_network(
    name: str, keys: str, parent: Optional[str], tag: Optional[int]
) -> None:
    interface = interface_of(keys, name=name)
    assert (interface.parent, interface.tag) == (parent, tag)


@pytest.mark.parametrize(
    ("name", "keys", "left_alone"),
    [
        ("ipmi", "", True),
        ("ipmi1", "", True),
        ("ipmi1x", "", False),
        ("eth0", "", False),
    ],
)
def test_a_bmc_is_left_alone(name: str, keys: str, left_alone: bool) -> None:
    assert interface_of(keys, name=name).left_alone is left_alone


def test_macs_are_in_lower_case_and_can_be_in_match() -> None:
    assert interface_of("mac: '02:AB:00:00:00:01'").mac == "02:ab:00:00:00:01"
    matched = interface_of("match: {name: ens3, mac: '02:AB:00:00:00:01'}")
    assert (matched.mac, matched.kernel_name) == ("02:ab:00:00:00:01", "ens3")
    guest = cluster_of("guests:\n  g: {nics: [{network: servers, mac: '36:77:6E:C0:00:01'}]}\n").guests["g"]
    assert [nic.mac for nic in guest.nics] == ["36:77:6e:c0:00:01"]


def test_the_options_of_a_bond_are_sorted_and_lists_are_joined() -> None:
    keys = "ports: [eth0], options: {miimon: 100, arp_ip_target: [10.1.0.1, 10.1.0.2], all_slaves_active: true}"
    bond = interface_of(keys, name="bond0")
    names = [name for name, _ in bond.options]
    assert names == sorted(names)
    assert dict(bond.options)["arp_ip_target"] == "10.1.0.1,10.1.0.2" and dict(bond.options)["miimon"] == 100
    assert bond.mode == "active-backup"


@pytest.mark.parametrize(
    ("keys", "managed", "up"),
    [("", True, True), ("manage: false", False, True), ("state: down", True, False), ("state: up", True, True)],
)
def test_an_interface_is_managed_and_up_unless_set_otherwise(keys: str, managed: bool, up: bool) -> None:
    interface = interface_of(keys)
    assert (interface.managed, interface.up) == (managed, up)


def test_a_network_has_its_gateways_name_servers_and_subnets() -> None:
    text = "  n: {subnets: [10.2.0.5/16], gateway: 10.2.0.1, dns: {servers: [10.2.0.2], search: [a.org]}, mtu: 9000}\n"
    network = cluster_of(text).networks["n"]
    assert [(str(s.net), s.stray_bits) for s in network.subnets] == [("10.2.0.0/16", True)]
    assert [str(g.ip) for g in network.gateways] == ["10.2.0.1"]
    assert ([str(s.ip) for s in network.dns_servers], network.dns_search) == (["10.2.0.2"], ("a.org",))
    assert (network.mtu, network.default_route) == (9000, True)


@pytest.mark.parametrize(
    "wrong", ["mtu: big", "mtu: true", "bridge: 3", "addresses: [x]", "mac: 7", "ports: {}", "nonesuch: 1"]
)
def test_a_value_that_the_schema_rejects_is_as_if_it_were_missing(wrong: str) -> None:
    def values(interface: Interface) -> dict[str, Any]:
        return {**interface.__dict__, "place": None}

    assert values(interface_of(f"network: servers, {wrong}")) == values(interface_of("network: servers"))


# ---- naming policies


def test_a_policy_extends_another_of_the_definition_or_of_kvmnet() -> None:
    policies = cluster_of(
        "profiles:\n  c: {extends: b, attach: always}\n  b: {extends: rocks, bridge: {stp: true}}\n"
    ).policies
    assert list(policies) == ["plain", "rocks", "b", "c"]
    assert (policies["c"].name, policies["c"].nic_rename, policies["c"].stp) == ("c", "p{interface}", True)
    assert [policies[name].attach for name in ("rocks", "b", "c")] == ["on-demand", "on-demand", "always"]


@pytest.mark.parametrize(
    "profiles", ["a: {extends: nonesuch}", "a: {extends: b}\n  b: {extends: a}", "a: {extends: a}", "a: {}"]
)
def test_a_policy_that_extends_no_known_one_is_left_to_the_checks(profiles: str) -> None:
    cluster = cluster_of(f"profiles:\n  {profiles}\n")
    assert list(cluster.policies) == ["plain", "rocks"] and "a" in cluster.own_policies


# ---- bridges


@pytest.mark.parametrize(
    ("levels", "bridge", "settings"),
    [
        (["bridge: true"], True, BridgeSettings()),
        (["bridge: false"], False, BridgeSettings()),
        ([""], None, BridgeSettings()),
        (["bridge: {}"], True, BridgeSettings()),
        (["bridge: br0"], True, BridgeSettings(name="br0")),
        (["bridge: {mac: '02:00:00:00:00:0A', ageing: 0}"], True, BridgeSettings(mac="02:00:00:00:00:0a", ageing=0)),
        (["bridge: {stp: true, priority: 1}", "bridge: true"], True, BridgeSettings(stp=True, priority=1)),
        (["bridge: {name: br0, stp: true}", "bridge: br1"], True, BridgeSettings(name="br1", stp=True)),
        (["bridge: br0", "bridge: {vlan_filtering: true}"], True, BridgeSettings(name="br0", vlan_filtering=True)),
        (["bridge: br0", "bridge: true"], True, BridgeSettings(name="br0")),
        (["bridge: true", "bridge: br0"], True, BridgeSettings(name="br0")),
        (["bridge: false", "bridge: {stp: true}"], True, BridgeSettings(stp=True)),
        (["bridge: {stp: true}", "bridge: false"], False, BridgeSettings()),
        (["bridge: {stp: true}", "bridge: false", "bridge: true"], True, BridgeSettings()),
        (["bridge: {stp: true}", "mtu: 1500"], True, BridgeSettings(stp=True)),
        (["bridge: {stp: true}", "bridge: yes"], True, BridgeSettings(stp=True)),  # rejected, so as if it were missing
        (["bridge: {stp: true, ageing: x}"], True, BridgeSettings(stp=True)),
    ],
)
def test_the_settings_of_a_bridge_are_merged_in_each_of_their_forms(
    levels: list[str], bridge: Optional[bool], settings: BridgeSettings
) -> None:
    interface = interface_of(*levels)
    assert (interface.bridge, interface.bridge_settings) == (bridge, settings)


@pytest.mark.parametrize(
    ("name", "keys", "kind", "ports"),
    [
        ("br0", "type: bridge", "bridge", ()),
        ("lan", "type: bridge, ports: []", "bridge", ()),
        ("lan", "type: bridge, ports: [eth0, bond0.5]", "bridge", ("eth0", "bond0.5")),
        ("ib0", "type: bridge", "bridge", ()),
        ("br0.5", "type: bridge", "bridge", ()),
        ("bond0", "type: bond, ports: [eth0]", "bond", ("eth0",)),
        ("bond0", "ports: [eth0]", "bond", ("eth0",)),
        ("bond0", "ports: []", "bond", ()),
        ("bond0.5", "ports: [eth0]", "bond", ("eth0",)),
        ("br0", "ports: []", "bridge", ()),  # a bond has at least one port
        ("br0", "ports: [eth0]", "bridge", ("eth0",)),  # the checks ask for the type
        ("br0", "ports: [eth0], mode: 802.3ad", "bond", ("eth0",)),
        ("br0", "", "nic", ()),
        ("br0.5", "", "vlan", ()),
        ("br5", "over: br0", "vlan", ()),
        ("eth0", "ports: eth1", "nic", ()),  # rejected, so as if it were missing
    ],
)
def test_an_interface_has_the_kind_of_its_type_its_ports_or_its_name(
    name: str, keys: str, kind: str, ports: tuple[str, ...]
) -> None:
    interface = interface_of(keys, name=name)
    assert (interface.kind, interface.ports, interface.left_alone) == (kind, ports, False)
    assert (interface.parent is not None) == (kind == "vlan")


def test_the_mac_address_of_a_bridge_is_in_lower_case() -> None:
    assert interface_of("type: bridge, mac: '02:00:00:00:00:0A'", name="br0").mac == "02:00:00:00:00:0a"
