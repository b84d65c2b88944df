"""Tests of kvmnet/core/review/host_review.py: a review names what a plan on the host names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from kvmnet.core.effects.impact import DISCONNECTED, INTERRUPTED
from kvmnet.core.review.host_review import HostReview, review_changed_host
from kvmnet.pipeline import load
from tests import versions
from tests.unit.core.review.samples import CLUSTER, define, review_of

EXAMPLES = sorted(Path(__file__).parents[4].glob("examples/*/cluster.yaml"))


def test_a_review_of_generated_versions_names_what_a_plan_names() -> None:
    """More pairs: python -m tests.versions --pairs 300."""
    wrong, hosts, changed = versions.run(20)
    assert wrong == []
    assert hosts > 50 and changed > 20


def test_a_review_of_two_examples_names_what_a_plan_names() -> None:
    """One host of each example."""
    definitions = [load(str(path)) for path in EXAMPLES]
    bundles = [(definition, definition.bundle(definition.hosts[0])) for definition in definitions]
    for definition, bundle in bundles:
        for _, following in bundles:
            ports = definition.views[bundle.host].guest_ports
            assert versions.differences(bundle, following, ports) == [], (bundle.host, following.host)


def host_review(new: str, old: str = CLUSTER, host: str = "a") -> HostReview:
    return next(h for h in review_of(new, old).hosts if h.host == host)


def test_equal_bundles_have_no_review() -> None:
    bundle, other = define(CLUSTER).bundles()
    assert review_changed_host(bundle, bundle) is None
    assert review_changed_host(bundle, replace(other, host="a")) is not None


def test_a_renamed_nic_and_the_interface_with_the_default_route_are_flagged() -> None:
    review = host_review(CLUSTER, CLUSTER.replace("profile: rocks", "profile: plain"))
    assert review.renamed_nics == ["eth0"]
    assert review.default_route_interfaces == ["br-eth0"]
    assert review.seconds_away > 0 and not review.is_lost
    assert [(g.guest, g.how) for g in review.guests_of(DISCONNECTED)] == [("web", DISCONNECTED), ("web", DISCONNECTED)]


def test_a_host_that_loses_its_management_address_is_flagged() -> None:
    review = host_review(CLUSTER.replace("addresses: [10.1.0.10]", "addresses: [10.1.0.99]"))
    assert review.is_lost and review.weight > host_review(CLUSTER.replace("10.1.0.1}", "10.1.0.2}")).weight
    assert host_review(CLUSTER.replace("10.1.0.1}", "10.1.0.2}")).default_route_interfaces == ["eth0"]


def test_a_guest_is_interrupted_by_what_is_below_it() -> None:
    review = host_review(CLUSTER.replace("gateway: 10.1.0.1}", "gateway: 10.1.0.1, mtu: 9000}"))
    assert {(g.guest, g.how) for g in review.guests} == {("web", INTERRUPTED)}
    other = host_review(CLUSTER.replace("gateway: 10.1.0.1}", "gateway: 10.1.0.1, mtu: 9000}"), host="b")
    assert [(g.guest, g.name, g.how) for g in other.guests] == [(None, "guests on eth0", INTERRUPTED)]


def test_what_changes_nothing_on_the_host_is_named() -> None:
    probes = CLUSTER + "probes: [{tcp: 'db.example.org:22'}]\n"
    review = host_review(probes)
    assert review.changes == () and review.recorded == ("probe added: tcp db.example.org:22",)
    assert host_review(CLUSTER, probes).recorded == ("probe removed: tcp db.example.org:22",)
    described = CLUSTER.replace('mac: "00:14:4f:00:00:0a"', 'description: rack 1, mac: "00:14:4f:00:00:0a"')
    assert all("rack 1" in line for line in host_review(described).recorded)
    tagged = host_review(CLUSTER.replace("vlan: 100", "vlan: 101"))
    assert [line for line in tagged.recorded if "VLAN 101" in line and "on demand" in line]


def test_a_refusal_that_follows_from_the_definitions_is_named() -> None:
    """A NIC of which the kernel name is needed for another one."""
    swapped = CLUSTER.replace("kvm: true, interfaces", "kvm: true, profile: plain, interfaces")
    old = swapped.replace('mac: "00:14:4f:00:00:0a"', 'match: {mac: "00:14:4f:00:00:0a", name: ens1}')
    new = swapped.replace('mac: "00:14:4f:00:00:0a"', 'match: {mac: "00:14:4f:00:00:0a", name: ens2}')
    assert [refusal.code for refusal in host_review(new, old).refusals] == ["KVN521"]


def test_an_interface_that_asks_for_an_address_before_and_after_gains_none() -> None:
    old = CLUSTER.partition("guests:")[0].replace("addresses: [10.1.0.10]", "ipv4: dhcp")
    review = host_review(old.replace("ipv4: dhcp", "ipv4: dhcp, mtu: 9000"), old)
    assert review.effects is not None
    assert [e.gained_addresses for e in review.effects.interfaces if e.gained_addresses] == []
    (management,) = review.effects.management
    assert (management.address, management.before, management.after) == ("IPv4 by DHCP", "eth0", "eth0")
    assert management.dynamic and review.default_route_interfaces == ["eth0"] and not review.is_lost
