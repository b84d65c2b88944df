"""The guests of a definition, from its tree."""

from __future__ import annotations

from kvmnet import pipeline
from kvmnet.core.definition.document import Source
from kvmnet.core.definition.model import GuestNic

TEXT = """kvmnet: 1
cluster: c
profile: plain
networks: {a: {vlan: 1}, b: {vlan: 2}, lan: {}}
hosts: {h: {}}
guests: {g: {host: h, nics: [%s]}}
"""


def nics_of(text: str) -> tuple[GuestNic, ...]:
    cluster = pipeline.check([Source("cluster.yaml", TEXT % text)]).cluster
    assert cluster is not None
    return cluster.guests["g"].nics


def test_a_trunk_has_its_networks_with_tags_and_its_native_one() -> None:
    mac = "mac: 52:54:00:00:00:01"
    (nic,) = nics_of(f"{{networks: [a, b, a], native: lan, {mac}}}")
    assert (nic.trunk, nic.native, nic.network) == (("a", "b"), "lan", "lan")
    assert (nic.networks, nic.title) == (("lan", "a", "b"), "a, b (native lan)")
    (nic,) = nics_of(f"{{networks: [b], {mac}}}")
    assert (nic.trunk, nic.native, nic.network, nic.title) == (("b",), None, "b", "b")


def test_a_native_network_among_the_tagged_ones_has_no_tag() -> None:
    (nic,) = nics_of("{networks: [a, b], native: b, mac: 52:54:00:00:00:01}")
    assert (nic.trunk, nic.networks) == (("a",), ("b", "a"))


def test_a_nic_with_one_network_is_no_trunk() -> None:
    (nic,) = nics_of("{network: a, mac: 52:54:00:00:00:0A}")
    assert (nic.trunk, nic.networks, nic.title, nic.mac) == ((), ("a",), "a", "52:54:00:00:00:0a")


def test_a_nic_without_a_mac_address_or_a_network_is_left_out() -> None:
    assert nics_of("{network: a}, {mac: 52:54:00:00:00:01}") == ()
