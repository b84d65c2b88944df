"""Exports an inventory of Ansible: hosts with their addresses and bundles, in the groups of the definition."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kvmnet.core.rendering.bundle import Bundle
from kvmnet.core.rendering.bundle_addresses import find_management_address, list_addresses
from kvmnet.core.rendering.yaml_writer import to_yaml
from kvmnet.exporters import Exporter, File, Files, Group, Options

_HEADER = """\
# Inventory of Ansible for cluster {cluster}. Written by kvmnet export ansible-inventory.
# kvmnet_bundle is the host's folder below the output of `kvmnet render -o`.
"""


def export_inventory(bundles: Sequence[Bundle], options: Options, groups: Sequence[Group]) -> Files:
    """Return inventory.yml."""
    names = {bundle.host for bundle in bundles}
    inventory: dict[str, Any] = {"all": {"hosts": {bundle.host: _describe_host(bundle) for bundle in bundles}}}
    children = {group.name: _describe_group(group, groups, names) for group in groups if group.parent is None}
    if children:
        inventory["all"]["children"] = children
    cluster = bundles[0].cluster if bundles else ""
    return {"inventory.yml": File(_HEADER.format(cluster=cluster) + to_yaml(inventory))}


def _describe_host(bundle: Bundle) -> dict[str, Any]:
    addresses = list_addresses(bundle)
    management = find_management_address(bundle)
    variables: dict[str, Any] = {"ansible_host": management} if management is not None else {}
    return {
        **variables,
        "kvmnet_cluster": bundle.cluster,
        "kvmnet_bundle": bundle.host,
        "kvmnet_digest": bundle.digest,
        "kvmnet_addresses": addresses,
    }


def _describe_group(group: Group, groups: Sequence[Group], hosts: set[str]) -> dict[str, Any]:
    described: dict[str, Any] = {"hosts": {name: {} for name in group.hosts if name in hosts}}
    children = {child.name: _describe_group(child, groups, hosts) for child in groups if child.parent == group.name}
    return {**described, "children": children} if children else described


EXPORTER = Exporter(
    name="ansible-inventory",
    help="An inventory of Ansible: hosts with their addresses and bundles, in the groups of the definition.",
    function=export_inventory,
)
