"""Hosts of the same shape share a picture."""

from __future__ import annotations

import json

from tests.graph_samples import large_cluster
from tests.unit.core.graph.samples import document_of, example, lines_of, picture_of, summary_of


def test_hosts_that_differ_in_addresses_alone_are_one_shape() -> None:
    document = document_of(example("bonded"))
    assert [picture.title for picture in document.pictures] == ["Overview", "hv1, hv2 (2 hosts), group hypervisor"]
    summary = summary_of(document.pictures[1])
    assert summary["bond0.5"] == ("VLAN", "VLAN 5", "network storage", "10.5.0.11/24 … 10.5.0.12/24", "MTU 9000")
    assert "2 addresses in 2001:db8:1::/64" in summary["br-bond0"]


def test_another_setting_is_another_shape() -> None:
    text = example("bonded").replace("bond0.5: {addresses: [10.5.0.12]}", "bond0.5: {ipv4: dhcp}")
    assert [p.title for p in document_of(text).pictures] == [
        "Overview",
        "hv1, group hypervisor",
        "hv2, group hypervisor",
    ]


def test_a_cluster_of_200_hosts() -> None:
    document = document_of(large_cluster())
    assert [picture.title for picture in document.pictures] == [
        "Overview",
        "edge-000 … edge-192 (25 hosts), group edge",
        "compute-001 … compute-199 (150 hosts), group compute",
        "storage-004 … storage-196 (25 hosts), group storage",
    ]
    summary = summary_of(picture_of(document, "compute"))
    assert "150 MAC addresses" in summary["ens1f0"]
    assert "on 64 of 150 hosts" in summary["bond0.102"]
    guests = [box for box in picture_of(document, "compute").boxes if box.kind == "guests"]
    assert len(guests) == 7 and sum(int(box.title.split()[0]) for box in guests) == 450


def test_many_different_guests_share_one_box() -> None:
    networks = {f"vlan{n}": {"vlan": 10 + n, "over": "lan"} for n in range(20)}
    hosts = {f"h{n}": {"kvm": True, "interfaces": {"eth0": {"network": "lan", "ipv4": "dhcp"}}} for n in range(20)}
    guests = {
        f"g{n}": {"host": f"h{n}", "nics": [{"network": f"vlan{n}", "mac": f"52:54:00:00:00:{n:02x}"}]}
        for n in range(20)
    }
    data = {"kvmnet": 1, "cluster": "c", "profile": "plain", "hosts": hosts, "guests": guests}
    text = json.dumps({**data, "networks": {"lan": {"subnets": ["10.1.0.0/16"]}, **networks}})
    picture = picture_of(document_of(text), "h0 … h19 (20 hosts)")
    assert summary_of(picture)["20 guests"] == ("guests", "g0", "g1", "g2", "and 17 more")
    assert {line for line in lines_of(picture) if line.endswith("20 guests")} == {
        f"eth0.{10 + n} > 20 guests" for n in range(20)
    }


def test_a_host_whose_guests_change_is_not_folded_with_the_others() -> None:
    old = large_cluster(40)
    new = old.replace(
        '"network": "tenant-102",\n     "mac": "52:54:00:10:01:00"',
        '"network": "tenant-107",\n     "mac": "52:54:00:10:01:00"',
    )
    assert new != old
    events = {picture.title: picture.event for picture in document_of(new, old).pictures}
    assert events["compute-001, group compute"] == "changed"
    assert events["compute-002 … compute-039 (29 hosts), group compute"] == ""
