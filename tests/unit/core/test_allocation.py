"""Tests of kvmnet/core/allocation.py."""

from __future__ import annotations

import pytest

from kvmnet import pipeline
from kvmnet.core.allocation import find_free_addresses, find_free_macs, find_free_tags
from kvmnet.core.base.errors import Usage
from kvmnet.core.definition.document import Source
from kvmnet.core.definition.model import Cluster

TEXT = """
kvmnet: 1
cluster: c
profile: plain
networks:
  lan: {subnets: [10.1.0.0/29, "2001:db8::/64"], gateways: [10.1.0.6, "2001:db8::1"], dns: {servers: [10.1.0.5]}}
  six: {subnets: ["2001:db8:6::/127"]}
  none: {vlan: 2}
  four: {vlan: 4, over: lan}
routes: [{to: 10.9.0.0/16, via: 10.1.0.4}]
probes: [{tcp: "10.1.0.3:22"}, {ping: 10.1.0.2}]
hosts:
  h: {kvm: true, interfaces: {eth0: {network: lan, addresses: ["2001:db8::2"]}, eth0.3: {ipv4: dhcp}}}
"""
GUESTS = """guests:
  a: {host: h, nics: [{network: lan, mac: "36:77:6e:c0:00:09"}]}
  b: {host: h, nics: [{network: lan, mac: "36:77:6e:c0:00:0f"}]}
"""


def read(text: str = TEXT) -> Cluster:
    definition = pipeline.check([Source("c", text)])
    assert definition.cluster is not None and not [p for p in definition.problems if p.is_error], definition.problems
    return definition.cluster


def test_ipv4_addresses_come_from_the_top_and_nothing_that_is_used_is_given() -> None:
    assert find_free_addresses(read(), "lan", 1) == ["10.1.0.1"]
    with pytest.raises(Usage, match="network lan has only 1 free addresses"):
        find_free_addresses(read(), "lan", 2)
    roomy = read(TEXT.replace("10.1.0.0/29", "10.1.0.0/24"))
    assert find_free_addresses(roomy, "lan", 3) == ["10.1.0.254", "10.1.0.253", "10.1.0.252"]


def test_ipv6_addresses_come_from_the_bottom_without_the_anycast_address() -> None:
    assert find_free_addresses(read(), "lan", 2, 6) == ["2001:db8::3", "2001:db8::4"]
    assert find_free_addresses(read(), "six", 2) == ["2001:db8:6::", "2001:db8:6::1"]


def test_a_point_to_point_subnet_has_two_addresses() -> None:
    text = TEXT.replace("2001:db8:6::/127", "10.5.0.0/31")
    assert find_free_addresses(read(text), "six", 2) == ["10.5.0.1", "10.5.0.0"]


def test_a_network_without_a_subnet_or_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(Usage, match="network none has no subnet"):
        find_free_addresses(read(), "none", 1)
    with pytest.raises(Usage, match="network six has no IPv4 subnet"):
        find_free_addresses(read(), "six", 1, 4)
    with pytest.raises(Usage, match="the definition has no network 'lam'"):
        find_free_addresses(read(), "lam", 1)


def test_mac_addresses_follow_the_highest_one_of_the_guests() -> None:
    assert find_free_macs(read(TEXT + GUESTS), 2) == ["36:77:6e:c0:00:10", "36:77:6e:c0:00:11"]


def test_the_base_of_mac_addresses_follows_the_rule_of_rocks() -> None:
    assert find_free_macs(read(), 1, "137.110.119.55") == ["36:77:6e:c0:00:00"]
    assert find_free_macs(read(TEXT + GUESTS), 1, "137.110.119.54") == ["36:77:6e:80:00:00"]
    with pytest.raises(Usage, match="'x' is not an IPv4 address"):
        find_free_macs(read(), 1, "x")


def test_without_guests_the_base_comes_from_the_first_host() -> None:
    text = TEXT.replace('addresses: ["2001:db8::2"]', "addresses: [10.1.0.1]")
    assert find_free_macs(read(text), 1) == ["02:00:01:40:00:00"]
    with pytest.raises(Usage, match="no guest has a MAC address and no host has an IPv4 address"):
        find_free_macs(read(), 1)


def test_mac_addresses_of_one_base_can_run_out() -> None:
    text = TEXT + GUESTS.replace("36:77:6e:c0:00:0f", "36:77:6e:ff:ff:fe")
    assert find_free_macs(read(text), 1) == ["36:77:6e:ff:ff:ff"]
    with pytest.raises(Usage, match="only 1 MAC addresses follow"):
        find_free_macs(read(text), 2)


def test_vlan_ids_begin_with_2_and_skip_those_of_networks_and_interfaces() -> None:
    assert find_free_tags(read(), 3) == ["5", "6", "7"]
    last = find_free_tags(read(), 4090)
    assert last[-1] == "4094" and len(set(last)) == 4090
    with pytest.raises(Usage, match="only 4090 VLAN IDs from 2 to 4094 are free"):
        find_free_tags(read(), 4091)
