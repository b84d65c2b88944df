"""What the guests of a host are connected to: its bridges, or macvtaps on VLAN devices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Callable, Optional

from kvmnet.core.definition.model import Cluster, Guest, GuestNic, Interface, Network
from kvmnet.core.definition.naming_policy import NamingPolicy
from kvmnet.core.views.bridge_vlans import BridgeVlans
from kvmnet.core.views.host_view import NO_IP, GuestPortView, MacvtapView, VlanView
from kvmnet.core.views.stack import Stack


class GuestDevices:
    """The devices of a host's guests, in the order of the definition.

    vlans, macvtaps: the VLAN devices and macvtaps for guests. ports: the ports of the NICs. unattached: the NICs that
    the host cannot connect. `is_port` returns whether an interface is a port of a bond or bridge of the definition.
    """

    def __init__(
        self,
        cluster: Cluster,
        policy: NamingPolicy,
        stack: Stack,
        bridge_vlans: BridgeVlans,
        is_port: Callable[[Interface], bool],
    ) -> None:
        self.cluster, self.policy, self.stack, self.bridge_vlans = cluster, policy, stack, bridge_vlans
        self.is_port = is_port
        self.own_vlans = {stack.device(i) for i in stack.vlans}
        self.vlans: dict[str, VlanView] = {}
        self.macvtaps: list[MacvtapView] = []
        self.ports: list[GuestPortView] = []
        self.unattached: list[tuple[Guest, GuestNic]] = []

    def add(self, guests: Sequence[Guest]) -> None:
        """Add the devices of guests."""
        for guest in guests:
            for nic in guest.nics:
                networks = [self.cluster.networks.get(name) for name in nic.networks]
                if None in networks:
                    continue
                connect = self._connect_trunk if nic.trunk else self._connect
                if not connect(guest, nic, [network for network in networks if network is not None]):
                    self.unattached.append((guest, nic))

    def _connect_trunk(self, guest: Guest, nic: GuestNic, networks: Sequence[Network]) -> bool:
        """Connect a trunk to the first VLAN-aware bridge that has all its networks; return whether there is one."""
        vlans = self.bridge_vlans
        by_name = {network.name: network for network in networks}
        tagged = [by_name[name] for name in nic.trunk]
        for bridge in vlans.bridges:
            tags = [vlans.tag_on(bridge, network) for network in tagged]
            untagged = vlans.untagged_on(bridge, by_name[nic.native]) if nic.native is not None else None
            if None in tags or (nic.native is not None and untagged is None):
                continue
            name = self.stack.top(bridge)
            trunk = tuple(tag for tag in tags if tag is not None)
            port = GuestPortView(guest.name, nic.mac, nic.network, name, None, untagged=untagged, trunk=trunk)
            self.ports.append(replace(port, is_on_aware_bridge=True))
            return True
        return False

    def _connect(self, guest: Guest, nic: GuestNic, networks: Sequence[Network]) -> bool:
        """Connect a NIC to a bridge or a macvtap; return whether the host has one for its network."""
        network, trusts = networks[0], nic.trusts_guest
        bridge = next((i for i in self.bridge_vlans.bridges if i.network == network.name), None)
        untagged = None
        if bridge is None and not self._has_own_vlan(network):
            bridge = self.bridge_vlans.find(network)
            untagged = network.vlan if bridge is not None else None
        if bridge is not None:
            port = GuestPortView(guest.name, nic.mac, network.name, self.stack.top(bridge), network.vlan)
            is_aware = bool(self.bridge_vlans.filtering(bridge))
            self.ports.append(replace(port, trusts_guest=trusts, untagged=untagged, is_on_aware_bridge=is_aware))
            return True
        always = (nic.attach or network.attach or self.policy.attach) == "always"
        vlan = self._vlan_device(network, always)
        if vlan is None:
            return False
        if vlan.name not in self.own_vlans and (always or vlan.name not in self.vlans):
            self.vlans[vlan.name] = vlan
        name, mode = self.policy.macvtap_name(nic.mac), self.policy.macvtap_mode
        is_trusted = bool(trusts) and not always
        self.macvtaps.append(
            MacvtapView(name, vlan.name, nic.mac, mode, guest.name, always, is_trusted, nic.place.mark)
        )
        self.ports.append(
            GuestPortView(guest.name, nic.mac, network.name, vlan.name, vlan.tag, name, mode, always, trusts)
        )
        return True

    def _has_own_vlan(self, network: Network) -> bool:
        return any(vlan.network == network.name and not self.is_port(vlan) for vlan in self.stack.vlans)

    def _vlan_device(self, network: Network, always: bool) -> Optional[VlanView]:
        """Return the VLAN device that connects guests of this host to a network, or None.

        It is the host's own VLAN on this network, else a device on the NIC, bond or bridge of the network it is `over`.
        """
        if network.vlan is None:
            return None
        for vlan in self.stack.vlans:
            if vlan.network == network.name and not self.is_port(vlan):
                device, below = self.stack.device(vlan), self.stack.base_name(vlan)
                return VlanView(device, below, network.vlan, network.mtu, None, NO_IP, always, vlan.place.mark)
        for base in sorted(self.stack.active, key=self.is_port):  # a bridge before its ports
            if network.over is not None and base.network == network.over and not base.is_vlan:
                device = self.stack.device(base)
                name = self.policy.vlan_name(device, network.vlan, network.name)
                return VlanView(name, device, network.vlan, network.mtu, None, NO_IP, always, network.place.mark)
        return None
