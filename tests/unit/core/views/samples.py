"""Clusters of one host for the tests of views."""

from __future__ import annotations

from kvmnet import pipeline
from kvmnet.core.definition.document import Source
from kvmnet.core.definition.model import Cluster
from kvmnet.core.views.host_view import HostView
from kvmnet.core.views.layout import build_host_views

MAC = "02:00:00:00:00:01"
NETWORKS = """\
  servers: {subnets: [10.1.0.0/16], gateway: 10.1.0.1}
  storage: {subnets: [10.5.0.0/24], vlan: 5}
"""


def cluster_of(text: str) -> Cluster:
    """Return the cluster of a definition, which may have mistakes that the checks report."""
    cluster = pipeline.check([Source("cluster.yaml", text)]).cluster
    assert cluster is not None
    return cluster


def one_host(
    *interfaces: str, networks: str = NETWORKS, profile: str = "plain", host: str = "kvm: true", guests: str = ""
) -> Cluster:
    """Return a cluster whose host h has these interfaces; `host` are its other keys."""
    rows = "".join(f"      {interface}\n" for interface in interfaces)
    text = f"kvmnet: 1\ncluster: c\nprofile: {profile}\nnetworks:\n{networks}hosts:\n  h:\n"
    return cluster_of(f"{text}    {host}\n    interfaces:\n{rows}{guests}")


def view_of(
    *interfaces: str, networks: str = NETWORKS, profile: str = "plain", host: str = "kvm: true", guests: str = ""
) -> HostView:
    """Return the view of the host of `one_host`."""
    cluster = one_host(*interfaces, networks=networks, profile=profile, host=host, guests=guests)
    return build_host_views(cluster)["h"]
