"""Exports a libvirt network for each bridge of each host, so that domains name a network and not a bridge."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape

from kvmnet.core.base.nmstate import interfaces_of
from kvmnet.core.rendering.bundle import Bundle
from kvmnet.exporters import Exporter, File, Files, Group, Options


def export_networks(bundles: Sequence[Bundle], options: Options, groups: Sequence[Group]) -> Files:
    """Return HOST/BRIDGE.xml for each bridge, for `virsh net-define`."""
    return {
        f"{bundle.host}/{interface['name']}.xml": File(_format_network(str(interface["name"])))
        for bundle in bundles
        for interface in interfaces_of(bundle.state)
        if interface["type"] == "linux-bridge"
    }


def _format_network(bridge: str) -> str:
    """Return the XML of a network that connects guests to a bridge which exists (libvirt's format of networks,
    "Using an existing host bridge")."""
    name = escape(bridge)
    lines = [
        "<network>",
        f"  <name>{name}</name>",
        "  <forward mode='bridge'/>",
        f"  <bridge name='{name}'/>",
        "</network>",
    ]
    return "".join(line + "\n" for line in lines)


EXPORTER = Exporter(
    name="libvirt-networks",
    help="A libvirt network for each bridge of each host, for `virsh net-define`.",
    function=export_networks,
)
