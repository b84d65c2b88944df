"""Bundles for the tests of exporters."""

from __future__ import annotations

from pathlib import Path

from kvmnet import pipeline
from kvmnet.core.definition.document import Source
from kvmnet.core.rendering.bundle import Bundle
from kvmnet.exporters import Group

ROOT = Path(__file__).parents[3]
#: Two hosts in one group, of which the second gets its addresses by DHCP. All that they need, nmstate has a key for.
TEXT = """
kvmnet: 1
cluster: site
profile: plain
networks:
  lan: {subnets: [10.1.0.0/16, "2001:db8:1::/64"], gateway: 10.1.0.1}
  lab: {vlan: 5, subnets: [10.5.0.0/24]}
groups:
  base: {}
  kvm: {group: base, kvm: true, interfaces: {eth0: {network: lan}, eth0.5: {network: lab}}}
hosts:
  hv1:
    group: kvm
    interfaces:
      eth0: {mac: 00:14:4f:80:de:01, addresses: [10.1.1.1, "2001:db8:1::11"]}
      eth0.5: {addresses: [10.5.0.1]}
  HV_2: {group: kvm, interfaces: {eth0: {mac: 00:14:4f:80:de:02, ipv4: dhcp}}}
"""
GROUPS = (Group("base", None, ()), Group("kvm", "base", ("hv1", "HV_2")))


def bundles(text: str = TEXT) -> list[Bundle]:
    definition = pipeline.check([Source("cluster.yaml", text)])
    assert not [p for p in definition.problems if p.is_error], definition.problems
    return definition.bundles()


def renaming_bundle() -> Bundle:
    """Return the bundle of a host whose NIC is renamed and whose guests' devices exist on demand."""
    return pipeline.load(str(ROOT / "examples/rocks/cluster.yaml")).bundle("vm-container-0-0")
