"""Tests of kvmnet/core/reporting/review_lines.py: hosts with the same change are folded."""

from __future__ import annotations

import re

from kvmnet.core.reporting.review_lines import fold_hosts, list_names
from tests.unit.core.review.samples import CLUSTER, review_of

PLAIN = CLUSTER.partition("guests:")[0]
#: A VLAN on both hosts, with an address of its own on each.
STORAGE = PLAIN.replace(
    "addresses: [10.1.0.10]}", "addresses: [10.1.0.10]}, eth0.5: {network: storage, addresses: [10.5.0.10]}"
)
STORAGE = STORAGE.replace(
    "addresses: [10.1.0.11]}", "addresses: [10.1.0.11]}, eth0.5: {network: storage, addresses: [10.5.0.11]}"
)


def test_hosts_that_differ_in_their_own_addresses_are_folded() -> None:
    (entry,) = fold_hosts(review_of(STORAGE, PLAIN).hosts)
    assert entry.names == ["a", "b"]
    text = "\n".join(entry.lines)
    assert "vlan peth0.5 is new; gains <address 2>" in text
    assert "  <address 2>: 10.5.0.10/24 on a, 10.5.0.11/24 on b" in entry.lines


def test_values_that_are_the_same_on_all_hosts_are_shown() -> None:
    (entry,) = fold_hosts(review_of(PLAIN.replace("10.1.0.1}", "10.1.0.2}"), PLAIN).hosts)
    assert "  + add route: 0.0.0.0/0 via 10.1.0.2 dev eth0 metric 100" in entry.lines
    assert entry.flags == ["default route"]


def test_hosts_whose_destinations_differ_are_not_folded() -> None:
    head, first, second = PLAIN.split("interfaces: {eth0: {mac")
    with_route = "routes: [{{to: 10.{}.0.0/16, via: 10.1.0.9}}], interfaces: {{eth0: {{mac".format
    same = head + with_route(7) + first + with_route(7) + second
    assert len(fold_hosts(review_of(same, PLAIN).hosts)) == 1
    assert len(fold_hosts(review_of(head + with_route(7) + first + with_route(8) + second, PLAIN).hosts)) == 2


def test_hosts_with_guests_are_folded_and_the_guests_named() -> None:
    text = CLUSTER.replace("guests:\n", 'guests:\n  db: {host: b, nics: [{network: lan, mac: "52:54:00:00:00:09"}]}\n')
    (entry,) = fold_hosts(review_of(text.replace("10.1.0.1}", "10.1.0.1, mtu: 9000}"), text).hosts[:1])
    assert [line for line in entry.lines if line.startswith("  guest web, guest web") or "guest web on" in line]
    assert any("guest" in flag and "interrupted briefly" in flag for flag in entry.flags)


def test_a_new_and_a_removed_host() -> None:
    new = PLAIN + '  c: {group: kvm, interfaces: {eth0: {mac: "00:14:4f:00:00:0c", addresses: [10.1.0.12]}}}\n'
    (added,) = fold_hosts(review_of(new, PLAIN).hosts)
    assert added.flags == ["new"] and "  + linux-bridge eth0: 10.1.0.12/16" in added.lines
    assert "  + route 0.0.0.0/0 via 10.1.0.1 dev eth0 metric 100" in added.lines
    (removed,) = fold_hosts(review_of(PLAIN, new).hosts)
    assert removed.flags == ["removed"] and "kvmnet remove" in removed.lines[0]


def test_mac_addresses_that_no_definition_states_are_not_shown() -> None:
    head = PLAIN.partition("groups:")[0].replace("profile: rocks", "profile: plain") + "hosts:\n  a:\n    kvm: true\n"
    old = head + "    interfaces: {eth0: {network: lan, addresses: [10.1.0.10]}}\n"
    bond = "{ports: [eth0, eth1], mode: active-backup, network: lan, addresses: [10.1.0.10]}"
    (entry,) = fold_hosts(review_of(f"{head}    interfaces: {{eth0: {{}}, eth1: {{}}, bond0: {bond}}}\n", old).hosts)
    (mac, *_) = entry.hosts[0].invented_macs
    assert entry.hosts[0].hide_invented_macs(f"{mac} -> {mac.upper()}") == "unknown -> unknown"
    assert not re.search("[0-9a-f]{2}(:[0-9a-f]{2}){5}", "\n".join(entry.lines))


def test_a_list_of_names_has_an_end() -> None:
    assert list_names(["a", "b"]) == "a, b"
    assert list_names([str(n) for n in range(1005)]) == "0, 1, 2, 3, 4 and 1,000 more"
