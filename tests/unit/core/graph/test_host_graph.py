"""One host as boxes and connections."""

from __future__ import annotations

import json
from random import Random

import pytest

from kvmnet.core.base.nmstate import interfaces_of, port_names
from kvmnet.core.graph.host_graph import HostSource, draw_host
from kvmnet.core.graph.model import GUEST
from tests import generate
from tests.graph_samples import large_host
from tests.unit.core.graph.samples import EXAMPLES, document_of, example, lines_of, picture_of, side_of, summary_of


def test_rocks() -> None:
    picture = picture_of(document_of(example("rocks")), "vm-container-0-0")
    assert summary_of(picture) == {
        "peth0": ("NIC", "00:14:4f:80:de:00"),
        "eth0": ("bridge", "network private", "10.1.255.254/16", "default route via 10.1.1.1"),
        "peth0.2": ("VLAN", "VLAN 2", "only while a guest needs it"),
        "compute-0-0-0": ("guest", "36:77:6e:c0:00:01 · private"),
        "hosted-vm-0-0-0": ("guest", "36:77:6e:c0:00:02 · tenant-a · macvtap"),
    }
    assert lines_of(picture) == {
        "peth0 > eth0",
        "peth0 > peth0.2",
        "eth0 > compute-0-0-0",
        "peth0.2 > hosted-vm-0-0-0",
    }


def test_bonded() -> None:
    picture = picture_of(document_of(example("bonded"), host="hv1"), "hv1")
    summary = summary_of(picture)
    assert summary["eno1"] == ("NIC", "network management", "IPv4 by DHCP")
    assert summary["bond0"] == ("bond", "mode 802.3ad", "MTU 9000")
    assert summary["bond0.5"] == ("VLAN", "VLAN 5", "network storage", "10.5.0.11/24", "MTU 9000")
    assert summary["br-bond0"][:4] == ("bridge", "network servers", "10.1.1.1/16", "2001:db8:1::11/64")
    assert {"ens1f0 > bond0", "ens1f1 > bond0", "bond0 > br-bond0", "bond0 > bond0.5"} <= lines_of(picture)


def test_takeover() -> None:
    picture = picture_of(document_of(example("takeover"), host="kvm1"), "kvm1")
    assert {"bond0.100 > br0", "bond0.200 > br200", "br200 > web1"} <= lines_of(picture)


def test_start() -> None:
    picture = picture_of(document_of(example("start"), host="kvm2"), "kvm2")
    assert {"eth0 > br-eth0", "eth0 > eth0.5", "br-eth0 > web1", "eth0.100 > web1"} == lines_of(picture) - {
        "eth0 > eth0.100"
    }


def test_descriptions_and_untagged_and_tagged_vlans_of_ports() -> None:
    summary = summary_of(document_of(large_host()).pictures[0])
    assert "“switch 1, port 7”" in summary["ens1f0"]
    text = """kvmnet: 1
cluster: c
profile: plain
networks: {lan: {subnets: [10.1.0.0/16]}, a: {vlan: 10, over: lan}, b: {vlan: 20, over: lan}}
hosts:
  h:
    kvm: true
    interfaces: {eth0: {network: lan, addresses: [10.1.0.2], bridge: {name: br0, vlan_filtering: true}}}
guests:
  g: {host: h, nics: [{networks: [a, b], mac: "52:54:00:00:00:01"}]}
"""
    summary = summary_of(document_of(text).pictures[0])
    assert "eth0: tagged 10, 20" in summary["br0"]
    assert summary["g"] == ("guest", "52:54:00:00:00:01 · a · VLANs 10, 20")


@pytest.mark.parametrize("seed", range(12))
def test_everything_that_is_rendered_is_in_the_picture(seed: int) -> None:
    """Read again from the states: each interface has a box, each port and base interface a connection, each address a
    line, each guest's NIC that is connected a line and a connection."""
    side = side_of(json.dumps(generate.cluster(Random(seed))))
    for name, bundle in side.version.bundles.items():
        graph = side.draw(name)
        titles = {box.key: box.title for box in graph.boxes}
        assert len(titles) == len(graph.boxes)
        macvtaps = {port.macvtap for port in side.version.ports.get(name, ())}
        states = [s for state in (bundle.state, bundle.guests or {}) for s in interfaces_of(state)]
        states = [s for s in states if s["name"] not in {*macvtaps, "lo"}]
        assert {s["name"] for s in states} <= set(titles.values())
        ends = {(titles[c.start], titles[c.end]) for c in graph.connections}
        for state in states:
            base = next(
                (state[k]["base-iface"] for k in ("vlan", "infiniband") if "base-iface" in state.get(k, {})), None
            )
            for below in [*port_names(state), *([base] if base else [])]:
                assert (below, state["name"]) in ends
            box = next(b for b in graph.boxes if b.title == state["name"] and b.kind != GUEST)
            texts = [line.text for line in box.lines]
            for family in ("ipv4", "ipv6"):
                for address in state.get(family, {}).get("address", []):
                    assert f"{address['ip']}/{address['prefix-length']}" in texts
        for port in side.version.ports.get(name, ()):
            guest = next(b for b in graph.guests if b.title == port.guest)
            assert any(line.anchor == port.mac and line.text.startswith(port.mac) for line in guest.lines)
            assert (port.device, port.guest) in ends


@pytest.mark.parametrize("name", EXAMPLES)
def test_rendered_states_alone_have_no_networks_and_guests(name: str) -> None:
    side = side_of(example(name))
    for bundle in side.version.bundles.values():
        graph = draw_host(HostSource(bundle))
        assert not graph.guests and not graph.networks and graph.boxes
