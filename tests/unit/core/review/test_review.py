"""Tests of kvmnet/core/review/review.py: which hosts and guests of two versions belong together."""

from __future__ import annotations

from kvmnet.core.effects.impact import DISCONNECTED, INTERRUPTED
from kvmnet.core.rendering.bundle import Nic
from kvmnet.core.review.host_review import CHANGED, NEW, REMOVED
from kvmnet.core.review.review import GuestChange, match_hosts
from tests.unit.core.review.samples import CLUSTER, define, review_of

LINE_A = '  a: {group: kvm, interfaces: {eth0: {mac: "00:14:4f:00:00:0a", addresses: [10.1.0.10]}}}\n'
PLAIN = CLUSTER.partition("guests:")[0]


def test_equal_versions_differ_in_nothing() -> None:
    review = review_of(CLUSTER)
    assert review.is_empty and review.total == 2


def test_new_removed_and_renamed_hosts() -> None:
    new = PLAIN.replace(LINE_A, "") + LINE_A.replace("a: {", "c: {").replace("0a", "0c").replace("0.10", "0.12")
    review = review_of(new, PLAIN)
    assert [(h.host, h.event) for h in review.hosts] == [("c", NEW), ("a", REMOVED)] and review.total == 3
    renamed = review_of(PLAIN.replace("  a: {", "  z: {"), PLAIN)
    (host,) = renamed.hosts
    assert (host.host, host.old_name, host.event) == ("z", "a", CHANGED) and renamed.total == 2
    assert "its name: a -> z" in host.recorded


def test_hosts_belong_together_by_their_macs_first_and_then_by_name() -> None:
    def nics(text: str) -> dict[str, tuple[Nic, ...]]:
        return {bundle.host: bundle.nics for bundle in define(text).bundles()}

    swapped = PLAIN.replace("00:0a", "00:0x").replace("00:0b", "00:0a").replace("00:0x", "00:0b")
    assert match_hosts(nics(PLAIN), nics(swapped)) == {"a": "b", "b": "a"}
    repaired = PLAIN.replace("00:0a", "00:dd")
    assert match_hosts(nics(PLAIN), nics(repaired)) == {"a": "a", "b": "b"}


def test_the_weightiest_hosts_come_first() -> None:
    review = review_of(CLUSTER.replace("10.1.0.11]", "10.1.0.99]").replace("10.1.0.1}", "10.1.0.2}"))
    assert [host.host for host in review.hosts] == ["b", "a"] and review.lost_hosts == ["b"]
    assert review.interrupted_hosts == []


def test_a_guest_counts_once_with_the_worst_effect() -> None:
    review = review_of(CLUSTER.replace("gateway: 10.1.0.1}", "gateway: 10.1.0.1, mtu: 9000}"))
    assert review.count_guests(INTERRUPTED) == 1 and review.count_guests(DISCONNECTED) == 0
    assert review.hosts_with_other_guests(INTERRUPTED) == ["b"]


def test_guests_that_differ_in_the_definition() -> None:
    web = (
        'web: {host: a, nics: [{network: lan, mac: "52:54:00:00:00:01"}, {network: tenant, mac: "52:54:00:00:00:02"}]}'
    )
    new = CLUSTER.replace(
        web, 'web: {host: b, nics: [{network: tenant, mac: "52:54:00:00:00:01"}]}\n  db: {host: a, nics: []}'
    )
    assert review_of(new).guests == (
        GuestChange(
            "web",
            CHANGED,
            (
                "on host a -> on host b",
                "NIC 52:54:00:00:00:01 in lan -> tenant",
                "removed: NIC 52:54:00:00:00:02 in tenant",
            ),
        ),
        GuestChange("db", NEW, ("on host a",)),
    )
    assert review_of(CLUSTER, new).guests[1] == GuestChange("db", REMOVED)
