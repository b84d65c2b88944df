"""The overview: hosts by group and shape, and networks."""

from __future__ import annotations

from tests.graph_samples import changed_bonded, large_cluster
from tests.unit.core.graph.samples import document_of, example, lines_of, summary_of


def test_hosts_and_networks() -> None:
    overview = document_of(large_cluster()).pictures[0]
    summary = summary_of(overview)
    assert summary["compute-001 … compute-199"] == (
        "hosts",
        "group compute",
        "150 hosts of the same shape",
        "450 guests",
    )
    assert summary["storage"] == ("network", "VLAN 5", "10.5.0.0/16", "MTU 9000", "25 hosts")
    assert summary["tenant-101"] == ("network", "VLAN 101 over servers", "guests on 150 hosts")
    assert summary["tenant-108"] == ("network", "VLAN 108 over servers", "on no host")
    lines = lines_of(overview)
    assert "edge-000 … edge-192 > management" in lines and "storage-004 … storage-196 > storage" in lines
    assert "edge-000 … edge-192 > storage" not in lines
    weak = {c.end for c in overview.connections if c.is_weak}
    assert weak == {f"network:tenant-{tag}" for tag in range(101, 108)}


def test_a_change() -> None:
    overview = document_of(changed_bonded(example("bonded")), example("bonded")).pictures[0]
    summary = summary_of(overview)
    assert summary["backup"][0] == "network added" and summary["servers"][0] == "network"
    assert summary["hv1"][0] == "host changed"
    assert "hv1 > backup added" in lines_of(overview) and "hv1 > servers" in lines_of(overview)


def test_one_host_has_no_overview() -> None:
    assert [p.identity for p in document_of(example("rocks")).pictures] == ["shape-1"]
