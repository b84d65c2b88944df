"""The definition as objects: places, subnets, bridges, and the hosts of guests."""

from __future__ import annotations

import ipaddress
from typing import Optional, Union

import pytest

from kvmnet import pipeline
from kvmnet.core.definition.document import Source
from kvmnet.core.definition.model import Cluster

TEXT = """\
kvmnet: 1
cluster: c
profile: plain
networks:
  servers: {subnets: [10.0.0.0/8, 10.1.0.0/16, '2001:db8::/32']}
groups:
  all: {}
  kvm: {group: all, kvm: true}
hosts:
  a:
    group: kvm
    interfaces:
      eth0: {network: servers, addresses: [10.1.0.7, 10.1.0.8]}
  b: {group: all, interfaces: {}}
  c: {interfaces: {}}
guests:
  on-a: {host: a, nics: []}
  of-all: {group: all, nics: []}
  of-kvm: {group: kvm, nics: []}
  lost: {host: nonesuch, nics: []}
  of-none: {group: nonesuch, nics: []}
  nowhere: {nics: []}
"""


def cluster_of(text: str) -> Cluster:
    cluster = pipeline.check([Source("cluster.yaml", text)]).cluster
    assert cluster is not None
    return cluster


CLUSTER = cluster_of(TEXT)


@pytest.mark.parametrize(
    ("address", "subnet"),
    [
        ("10.1.2.3", "10.1.0.0/16"),
        ("10.2.2.3", "10.0.0.0/8"),
        ("192.0.2.1", None),
        ("2001:db8::1", "2001:db8::/32"),
        ("::1", None),
    ],
)
def test_the_smallest_subnet_that_contains_an_address_is_found(address: str, subnet: Optional[str]) -> None:
    found = CLUSTER.networks["servers"].subnet_of(ipaddress.ip_address(address))
    assert (str(found) if found else None) == subnet


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ((), (13, 7)),
        (("network",), (13, 23)),
        (("addresses", 1), (13, 54)),
        (("addresses", 2), (13, 32)),
        (("addresses", 0, "x"), (13, 44)),
        (("mtu",), (13, 7)),
        ((0,), (13, 7)),
    ],
)
def test_a_place_is_that_of_the_value_or_of_its_nearest_parent(
    path: tuple[Union[str, int], ...], place: tuple[int, int]
) -> None:
    interface = CLUSTER.hosts["a"].interfaces["eth0"]
    mark = interface.place.at(*path)
    assert (mark.line, mark.column) == place


def test_a_place_has_the_keys_that_were_written_valid_or_not() -> None:
    cluster = cluster_of(TEXT.replace("network: servers, addr", "network: servers, mtu: big, addr"))
    interface = cluster.hosts["a"].interfaces["eth0"]
    assert interface.mtu is None and interface.place.has("mtu")
    assert interface.place.has("nonesuch", "network") and not interface.place.has("mac")


def test_a_guest_may_run_on_its_host_or_on_every_host_of_its_group() -> None:
    hosts = {name: [host.name for host in CLUSTER.hosts_of(guest)] for name, guest in CLUSTER.guests.items()}
    assert hosts == {
        "on-a": ["a"],
        "of-all": ["a", "b"],
        "of-kvm": ["a"],
        "lost": [],
        "of-none": [],
        "nowhere": [],
    }


def test_the_guests_of_all_hosts_are_those_that_may_run_there() -> None:
    by_host = {name: [guest.name for guest in guests] for name, guests in CLUSTER.guests_by_host().items()}
    assert by_host == {"a": ["on-a", "of-all", "of-kvm"], "b": ["of-all"], "c": []}


@pytest.mark.parametrize(
    ("host", "interface", "bridged"),
    [
        ("kvm: true", "eth0: {network: servers}", True),
        ("kvm: false", "eth0: {network: servers}", False),
        ("kvm: true", "eth0: {}", False),
        ("kvm: true", "eth0: {network: servers, bridge: false}", False),
        ("kvm: false", "eth0: {bridge: true}", True),
        ("kvm: true", "eth0: {network: servers, state: down}", False),
        ("kvm: true", "eth0: {bridge: true, manage: false}", False),
        ("kvm: true", "ib0: {network: servers, bridge: true}", False),
        ("kvm: true", "eth9.5: {network: servers}", False),
        ("kvm: true", "eth9.5: {network: servers, bridge: true}", True),
        ("kvm: true", "eth7: {network: servers}", False),
        ("kvm: true", "bond0: {network: servers, ports: [eth7]}", True),
    ],
)
def test_on_a_host_of_guests_nics_and_bonds_with_a_network_are_bridged(
    host: str, interface: str, bridged: bool
) -> None:
    """Interface eth7 is a port of bond7 or bond0."""
    port = "" if interface.startswith("bond0") else "      bond7: {ports: [eth7]}\n"
    text = TEXT.partition("hosts:\n")[0] + f"hosts:\n  h:\n    {host}\n    interfaces:\n      {interface}\n{port}"
    built = cluster_of(text).hosts["h"]
    name = interface.partition(":")[0]
    assert built.bridged(built.interfaces[name]) is bridged


def test_the_bond_of_a_port_is_the_first_that_has_it() -> None:
    text = TEXT.partition("hosts:\n")[0] + (
        "hosts:\n  h:\n    interfaces: {eth0: {}, eth1: {}, b1: {ports: [eth1]}, b0: {ports: [eth1]}}\n"
    )
    host = cluster_of(text).hosts["h"]
    assert {port: bond.name for port, bond in host.controllers.items()} == {"eth1": "b1"}


@pytest.mark.parametrize(
    ("interface", "kind"),
    [("eth0: {}", "nic"), ("eth0.5: {}", "vlan"), ("bond0: {ports: [eth0]}", "bond"), ("v: {over: eth0}", "vlan")],
)
def test_an_interface_is_a_nic_a_vlan_or_a_bond(interface: str, kind: str) -> None:
    text = TEXT.partition("hosts:\n")[0] + f"hosts:\n  h:\n    interfaces:\n      {interface}\n"
    (built,) = cluster_of(text).hosts["h"].interfaces.values()
    kinds = {"nic": built.is_nic, "vlan": built.is_vlan, "bond": built.is_bond}
    assert [name for name, is_kind in kinds.items() if is_kind] == [kind]


def test_each_family_has_its_own_source_of_addresses() -> None:
    interface = CLUSTER.hosts["a"].interfaces["eth0"]
    assert (interface.source(4), interface.source(6)) == ("static", "none")
