"""The VLANs of a host's VLAN-aware bridges: of their ports, and of guests on them.

Inside such a bridge every frame belongs to a VLAN. Untagged frames belong to VLAN 1, which is the kernel's default, and
the bridge itself is in this VLAN. Where a port states another VLAN for its untagged frames (`native`, `access`), no
port is in VLAN 1: otherwise the kernel would also send the frames of VLAN 1 out of that port.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Optional

from kvmnet.core.base.bridge_vlans import DEFAULT_VLAN
from kvmnet.core.definition.model import Interface, Network
from kvmnet.core.definition.port_vlans import PortVlans, merge_ranges
from kvmnet.core.views.stack import Stack


class BridgeVlans:
    """The VLANs of the bridges of a host. A bridge is given as its interface, or as the one that it is made for."""

    def __init__(self, stack: Stack, networks: Mapping[str, Network]) -> None:
        self.stack, self.networks = stack, networks
        self.bridges = [*stack.bridged, *stack.bridges]
        self._filtering: dict[str, Optional[bool]] = {}

    def filtering(self, bridge: Interface) -> Optional[bool]:
        """Return whether a bridge is VLAN-aware; None if the definition does not state it. Cached by its key."""
        if bridge.name not in self._filtering:
            stated = bridge.bridge_settings.vlan_filtering
            has_vlans = stated is None and any(port.vlans is not None for port in self._ports(bridge))
            self._filtering[bridge.name] = True if has_vlans else stated
        return self._filtering[bridge.name]

    def ports(self, bridge: Interface) -> tuple[tuple[str, PortVlans], ...]:
        """Return the VLANs of a bridge's ports by kernel name, without ports that have none but the default."""
        if not self.filtering(bridge):
            return ()
        has_untagged = self.has_untagged(bridge)
        found = []
        for port in self._ports(bridge):
            vlans = port.vlans or PortVlans(self._logical(bridge))
            if has_untagged:
                vlans = PortVlans(_without_default(vlans.tagged))
            if vlans != PortVlans():
                found.append((self.stack.device(port), vlans))
        return tuple(found)

    def has_untagged(self, bridge: Interface) -> bool:
        """Whether a bridge has an untagged network: no port states another VLAN for untagged frames."""
        if not self.filtering(bridge):
            return True
        return all(port.vlans is None or port.vlans.untagged in (None, DEFAULT_VLAN) for port in self._ports(bridge))

    def tag_on(self, bridge: Interface, network: Network) -> Optional[int]:
        """Return the VLAN ID by which a bridge connects guests to a tagged network, or None: a bridge with an untagged
        network cannot have another one with VLAN ID 1."""
        if network.vlan is None or not self.filtering(bridge):
            return None
        if network.vlan == DEFAULT_VLAN and self.has_untagged(bridge):
            return None
        if network.over is not None:
            return network.vlan if network.over == bridge.network else None
        return network.vlan if any(vlans.carries(network.vlan) for _, vlans in self.ports(bridge)) else None

    def find(self, network: Network) -> Optional[Interface]:
        """Return the first VLAN-aware bridge that connects guests to a tagged network, or None."""
        return next((bridge for bridge in self.bridges if self.tag_on(bridge, network) is not None), None)

    def untagged_on(self, bridge: Interface, network: Network) -> Optional[int]:
        """Return the VLAN ID that a network has inside a bridge for a guest that gets it without tags, or None if the
        bridge does not connect it."""
        if network.name == bridge.network and self.has_untagged(bridge):
            return DEFAULT_VLAN
        return self.tag_on(bridge, network)

    def _ports(self, bridge: Interface) -> Iterator[Interface]:
        """Yield the ports of a bridge that can carry tags: a VLAN has removed them."""
        return (port for port in self.stack.ports(bridge) if not port.is_vlan)

    def _logical(self, bridge: Interface) -> tuple[tuple[int, int], ...]:
        """Return the VLAN IDs of the logical VLANs over a bridge's network."""
        if bridge.network is None:
            return ()
        over = [n.vlan for n in self.networks.values() if n.over == bridge.network and n.vlan is not None]
        return merge_ranges((tag, tag) for tag in over)


def _without_default(ranges: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
    """Return ranges without VLAN 1, in which a bridge has its untagged network: the checks report it."""
    return tuple((max(first, DEFAULT_VLAN + 1), last) for first, last in ranges if last > DEFAULT_VLAN)
