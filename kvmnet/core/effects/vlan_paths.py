"""Which VLANs of a guest leave the host through its VLAN-aware bridge, before and after a change."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Optional

from kvmnet.core.base.bridge_vlans import Membership, default_vlan, format_tags, read_membership
from kvmnet.core.base.nmstate import interfaces_of
from kvmnet.core.base.profile_settings import VLAN_FILTERING
from kvmnet.core.live.live_host import Live
from kvmnet.core.planning.plan import Plan


@dataclass(frozen=True)
class BridgePorts:
    """The ports of a bridge, guests' taps included, with their VLANs, and whether the bridge is VLAN-aware. `default`
    is the VLAN of a new port, 0 for none."""

    is_aware: bool
    ports: Mapping[str, Membership] = field(default_factory=dict)
    default: int = 0

    def of(self, port: str) -> Membership:
        """Return the VLANs of a port; those of a new port if it is not known."""
        return self.ports.get(port, Membership(frozenset(), self.default or None))

    def carried(self, uplinks: Collection[str]) -> frozenset[int]:
        """Return the VLANs that leave the host through these ports."""
        return frozenset[int]().union(*(self.of(uplink).all() for uplink in uplinks))


def find_bridges_before(live: Live, view: Mapping[str, Any]) -> dict[str, BridgePorts]:
    """Return the bridges of the host with their ports. `view` is the live state after the renames of a plan."""
    bridges = {}
    for interface in interfaces_of(view):
        link = live.links.get(interface["name"])
        if interface.get("type") == "linux-bridge" and link is not None:
            is_aware = bool(VLAN_FILTERING.from_kernel(link.options))
            bridges[interface["name"]] = _read_ports(interface.get("bridge") or {}, is_aware, {})
    return bridges


def find_bridges_after(plan: Plan, before: Mapping[str, BridgePorts]) -> dict[str, BridgePorts]:
    """Return the bridges after a change. The VLANs of ports that a plan does not state stay, as do those of taps."""
    bridges = dict(before)
    for interface in interfaces_of(plan.state):
        name = interface["name"]
        if interface["type"] == "linux-bridge" and interface.get("state") == "up":
            old = before.get(name, BridgePorts(False))
            is_aware = plan.profile_settings.get(name, {}).get(VLAN_FILTERING.name, old.is_aware)
            bridges[name] = _read_ports(interface.get("bridge") or {}, bool(is_aware), old.ports)
    return bridges


def _read_ports(bridge: Mapping[str, Any], is_aware: bool, known: Mapping[str, Membership]) -> BridgePorts:
    default = default_vlan(bridge.get("options") or {})
    stated = {
        port["name"]: read_membership(port.get("vlan") or {}, default)
        for port in bridge.get("port") or []
        if port.get("vlan") or port["name"] not in known
    }
    return BridgePorts(is_aware, {**known, **stated}, default)


def find_vlan_loss(
    before: BridgePorts, after: BridgePorts, tap: str, uplinks: tuple[Collection[str], Collection[str]]
) -> Optional[str]:
    """Return why a guest behind a tap would lose its network by the VLANs of its bridge, or None. `uplinks` are the
    ports of the bridge that lead out of the host, before and after the change."""
    was, now = before.of(tap), after.of(tap)
    if before.is_aware and not after.is_aware:
        if was.untagged not in (None, before.default or None):
            return f"the bridge no longer knows VLANs, and the guest is in VLAN {was.untagged}"
        return None
    if not after.is_aware:
        return None
    old = was.all() & before.carried(uplinks[0]) if before.is_aware else frozenset({now.untagged or 0}) - {0}
    lost = old - (now.all() & after.carried(uplinks[1]))
    return f"VLAN {format_tags(lost)} is no longer carried by an uplink of the bridge" if lost else None
