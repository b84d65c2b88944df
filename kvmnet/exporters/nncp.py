"""Exports a NodeNetworkConfigurationPolicy of kubernetes-nmstate for each host."""

from __future__ import annotations

import re
from collections.abc import Sequence

from kvmnet.core.rendering.bundle import Bundle
from kvmnet.core.rendering.yaml_writer import to_yaml
from kvmnet.exporters import Exporter, File, Files, Group, Options
from kvmnet.exporters._plain_nmstate import require_plain_states

_HEADER = """\
# NodeNetworkConfigurationPolicy of host {host}, cluster {cluster}. Written by kvmnet export nncp.
# Kubernetes applies the policies of several hosts in any order, and at the same time: maxUnavailable counts only the
# nodes of one policy. Create the policies one after the other.
"""


def export_policies(bundles: Sequence[Bundle], options: Options, groups: Sequence[Group]) -> Files:
    """Return HOST.yaml for each host. Raises CannotExport for a host that nmstate alone cannot configure."""
    require_plain_states(bundles, "a NodeNetworkConfigurationPolicy")
    return {f"{bundle.host}.yaml": File(_format_policy(bundle)) for bundle in bundles}


def _format_policy(bundle: Bundle) -> str:
    policy = {
        "apiVersion": "nmstate.io/v1",
        "kind": "NodeNetworkConfigurationPolicy",
        "metadata": {"name": _make_name(f"{bundle.cluster}-{bundle.host}")},
        "spec": {
            "nodeSelector": {"kubernetes.io/hostname": bundle.host},
            "maxUnavailable": 1,
            "desiredState": bundle.state,
        },
    }
    return _HEADER.format(host=bundle.host, cluster=bundle.cluster) + to_yaml(policy)


def _make_name(text: str) -> str:
    """Return a text as a name of an object (RFC 1123 subdomain: lower case, at most 253 characters)."""
    return re.sub(r"[^a-z0-9.-]+", "-", text.lower()).strip("-.")[:253].rstrip("-.")


EXPORTER = Exporter(
    name="nncp",
    help="A NodeNetworkConfigurationPolicy of kubernetes-nmstate for each host.",
    function=export_policies,
)
