"""Round trips of generated definitions: rendered, printed as the files of another tool, and imported again."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest

from kvmnet import pipeline
from kvmnet.core.definition.document import Source
from kvmnet.core.rendering.yaml_writer import to_yaml
from kvmnet.importers import IMPORTERS, ImportResult
from tests.fuzz import load
from tests.generate import cluster
from tests.importing import differences, write_ifcfg, write_keyfiles
from tests.rocks_clusters import RocksCluster, as_dump, as_tables, rocks_cluster

SEEDS = range(25)
Writer = Callable[[Any], list[Source]]


def write_nmstate(state: Any) -> list[Source]:
    return [Source("host.yml", to_yaml(state))]


#: What each format cannot express, or what an import reports instead of stating it.
LOSSES = {
    # A rendered state has no permanent MAC addresses, so whether a bond has that of a port is unknown: reported.
    "nmstate": r"bond[0-9]\.mac-address: ",
    # Keyfiles have the VLANs of ports at the ports, and name servers at one interface of several.
    "keyfiles": r"bond[0-9]\.mac-address: |.*\.(bridge\.options\.vlan-default-pvid|ipv[46]\.auto-dns): ",
    # Nor have ifcfg files names for all settings of bridges, and the initscripts know no metric of DHCP. InfiniBand is
    # reported.
    "ifcfg": r"bond[0-9]\.mac-address: |[a-z0-9.-]+\.(bridge\.options\.|ipv[46]\.auto|state: )"
    r"|[a-z0-9_]*ib[a-z0-9.]*: missing",
}
WRITERS: dict[str, Writer] = {"nmstate": write_nmstate, "keyfiles": write_keyfiles, "ifcfg": write_ifcfg}


def definition_of(result: ImportResult) -> pipeline.Definition:
    definition = pipeline.check([Source("cluster.yaml", result.definition)])
    assert [p for p in definition.problems if p.is_error] == [], result.definition
    return definition


def states(seed: int) -> Iterator[Any]:
    for bundle in load(cluster(Random(seed), with_nmstate=False)).bundles():
        if bundle.state.get("interfaces"):
            yield bundle.state


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("seed", SEEDS)
def test_a_rendered_state_comes_back(name: str, seed: int) -> None:
    for state in states(seed):
        result = IMPORTERS.find(name).read(WRITERS[name](state))
        (bundle,) = definition_of(result).bundles()
        lost = [line for line in differences(state, bundle.state) if not re.match(LOSSES[name], line)]
        assert lost == [], "\n".join([*lost, result.definition, *(f"{i.file}: {i.message}" for i in result.report)])


@pytest.mark.parametrize("write", [as_tables, as_dump])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_rocks_cluster_comes_back(write: Callable[[RocksCluster], str], seed: int) -> None:
    original = rocks_cluster(Random(seed))
    result = IMPORTERS.find("rocks").read([Source("rocks.txt", write(original))])
    assert result.is_complete, [f"{i.line}: {i.message}" for i in result.report]
    cluster = definition_of(result).cluster
    assert cluster is not None and set(cluster.hosts) == set(original.hosts)
    for name, subnet, mtu in original.networks:
        network = cluster.networks[name]
        assert [str(s.net) for s in network.subnets] == [f"{subnet}/16"] and (network.mtu or 1500) == mtu
    assert {host: cluster.hosts[host].kvm for host in original.hosts} == original.hosts
    for row in original.rows:
        if row.host in original.guests:
            continue
        if row.name.startswith("vlan"):
            logical = next(n for n in cluster.networks.values() if n.vlan == row.vlan)
            assert logical.over == row.network
            continue
        interface = cluster.hosts[row.host].interfaces[row.name]
        assert (interface.network or "", interface.mac or "") == (row.network, row.mac)
        assert [str(a.ip) for a in interface.addresses] == ([row.ip] if row.ip else [])
        if row.channel:
            assert row.name in cluster.hosts[row.host].interfaces[row.channel].ports
        if row.options:
            assert interface.mode == "802.3ad"
    for guest, host in original.guests.items():
        rows = [row for row in original.rows if row.host == guest]
        found = cluster.guests[guest]
        assert found.host == host and [nic.mac for nic in found.nics] == [row.mac for row in rows]
        for nic, row in zip(found.nics, rows):
            assert nic.network == row.network or cluster.networks[nic.network].vlan == row.vlan
