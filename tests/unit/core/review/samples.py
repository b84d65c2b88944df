"""Definitions before and after a change."""

from __future__ import annotations

from kvmnet import pipeline
from kvmnet.core.definition.document import Source
from kvmnet.core.review.review import Review, Version, review_versions
from kvmnet.pipeline import Definition

CLUSTER = """kvmnet: 1
cluster: review
profile: rocks
networks:
  lan: {subnets: [10.1.0.0/16], gateway: 10.1.0.1}
  storage: {subnets: [10.5.0.0/24], vlan: 5}
  tenant: {vlan: 100, over: lan}
groups:
  kvm: {kvm: true, interfaces: {eth0: {network: lan}}}
hosts:
  a: {group: kvm, interfaces: {eth0: {mac: "00:14:4f:00:00:0a", addresses: [10.1.0.10]}}}
  b: {group: kvm, interfaces: {eth0: {mac: "00:14:4f:00:00:0b", addresses: [10.1.0.11]}}}
guests:
  web: {host: a, nics: [{network: lan, mac: "52:54:00:00:00:01"}, {network: tenant, mac: "52:54:00:00:00:02"}]}
"""


def define(text: str) -> Definition:
    """Return a definition that must be valid."""
    definition = pipeline.check([Source("cluster.yaml", text)])
    assert definition.ok, definition.problems
    return definition


def version_of(text: str) -> Version:
    """Return a version of the definition in a text."""
    definition = define(text)
    assert definition.cluster is not None
    bundles = {bundle.host: bundle for bundle in definition.bundles()}
    ports = {host: view.guest_ports for host, view in definition.views.items()}
    return Version(bundles, {host: bundle.nics for host, bundle in bundles.items()}, ports, definition.cluster.guests)


def review_of(new: str, old: str = CLUSTER) -> Review:
    """Return the review of two definitions."""
    return review_versions(version_of(old), version_of(new))
