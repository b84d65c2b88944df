"""A host before and after a change: what the picture says is what the review says."""

from __future__ import annotations

import json
from random import Random

import pytest

from kvmnet.core.graph.document import compare_sides
from kvmnet.core.graph.model import ADDED, CHANGED, GUEST, REMOVED
from kvmnet.core.review.review import review_versions
from tests import generate
from tests.graph_samples import changed_bonded
from tests.unit.core.graph.samples import document_of, example, lines_of, picture_of, side_of, summary_of
from tests.unit.core.review.samples import CLUSTER


def test_a_changed_host() -> None:
    picture = picture_of(document_of(changed_bonded(example("bonded")), example("bonded")), "hv1")
    summary = summary_of(picture)
    assert picture.event == CHANGED
    assert summary["eno1"][0] == "NIC removed"
    assert summary["bond0.7"][0] == "VLAN added"
    assert summary["br-bond0.5"] == ("bridge added", "network storage", "10.5.0.21/24", "MTU 9000")
    assert summary["bond0.5"] == (
        "VLAN changed",
        "VLAN 5",
        "MTU 9000",
        "removed network storage",
        "removed 10.5.0.11/24",
    )
    assert summary["db"] == ("guest added", "52:54:00:00:00:09 · storage")
    assert summary["www"][0] == "guest changed"
    assert "added 52:54:00:00:00:03 · tenant-a · macvtap" in summary["www"]
    assert "removed 52:54:00:00:00:02 · tenant-a · macvtap" in summary["www"]
    assert "changed disconnected on bond0.100" in summary["www"]
    assert summary["ens1f0"] == ("NIC", "MTU 9000")
    assert {"bond0 > bond0.7 added", "bond0.5 > br-bond0.5 added", "bond0 > bond0.5"} <= lines_of(picture)


def test_a_renamed_nic_stays_one_box() -> None:
    plain = CLUSTER.replace("profile: rocks", "profile: plain")
    summary = summary_of(picture_of(document_of(CLUSTER, plain, "a"), "a"))
    assert summary["peth0"][:2] == ("NIC changed", "changed renamed from eth0")
    assert summary["eth0"][0] == "bridge added" and summary["br-eth0"][0] == "bridge removed"
    notes = {box.title: box.notes for box in picture_of(document_of(CLUSTER, plain, "a"), "a").boxes}
    assert any("to peth0" in note for note in notes["peth0"]) and not any("peth0, the NIC" in n for n in notes["eth0"])


def test_a_nic_with_another_key_and_the_same_mac_address_stays_one_box() -> None:
    old = CLUSTER.replace("profile: rocks", "profile: plain").replace("eth0: {network: lan}", "en1: {network: lan}")
    old = old.replace("interfaces: {eth0: {mac", "interfaces: {en1: {mac")
    new = old.replace("en1", "lan0")
    graph = picture_of(document_of(new, old, "a"), "a")
    nics = [box for box in graph.boxes if box.kind == "NIC"]
    assert [(box.title, box.event, box.lines[0].text) for box in nics] == [("lan0", CHANGED, "renamed from en1")]
    assert "lan0 > br-en1 removed" in lines_of(graph) and "lan0 > br-lan0 added" in lines_of(graph)


def test_new_removed_and_renamed_hosts() -> None:
    old = CLUSTER
    gone = CLUSTER.replace("  b: {group", "  c: {group")
    document = document_of(gone, old)
    assert picture_of(document, "b -> c").event == CHANGED
    less = "".join(line for line in CLUSTER.splitlines(True) if not line.startswith("  b: {group"))
    assert picture_of(document_of(less, old), "b").event == REMOVED
    picture = picture_of(document_of(old, less), "b")
    assert picture.event == ADDED and all(box.event == ADDED for box in picture.boxes)
    assert all(c.event == ADDED for c in picture.connections)


def test_equal_definitions_have_no_marks() -> None:
    document = document_of(example("bonded"), example("bonded"))
    assert document.summary[-1] == "No host changes."
    assert not any(p.event or any(b.event for b in p.boxes) for p in document.pictures)


@pytest.mark.parametrize("seed", range(15))
def test_marks_are_those_of_the_review(seed: int) -> None:
    """A host is marked if and only if the review lists it. Of what is added and removed, the plan says the same, unless
    the device exists only while a guest runs (which no plan has)."""
    old, new = (side_of(json.dumps(generate.cluster(Random(1000 + seed * 2 + offset)))) for offset in (0, 1))
    review = review_versions(old.version, new.version)
    reviews = {of_host.host: of_host for of_host in review.hosts}
    for graph in compare_sides(old, new, review, None):
        found = reviews.get(graph.host)
        assert bool(graph.event) == (found is not None), graph.host
        if found is None or found.event != CHANGED:
            continue
        kinds: dict[str, set[str]] = {}
        for change in found.changes:
            kinds.setdefault(change.name, set()).add(change.kind)
        for box in graph.boxes:
            if box.kind in (GUEST, "NIC", "InfiniBand", "loopback", "macvtap") or box.is_on_demand or box.is_for_guests:
                continue
            if box.event == ADDED:
                assert kinds.get(box.title, set()) & {"add", "change"}, box
            if box.event == REMOVED:
                assert kinds.get(box.title, set()) & {"remove", "change", "add"}, box
