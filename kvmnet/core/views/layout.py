"""Builds the view of each host from the cluster: names, bridges, MTUs, addresses, and the devices of guests."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Optional

from kvmnet.core.base.probe import Probe
from kvmnet.core.definition.model import Cluster, Guest, GuestNic, Host, Interface, Network
from kvmnet.core.views import routing
from kvmnet.core.views.host_view import (
    NO_IP,
    Address,
    BondView,
    BridgeView,
    GuestPortView,
    HostView,
    IpView,
    MacvtapView,
    NicView,
    VlanView,
)
from kvmnet.core.views.mtu import Mtus
from kvmnet.core.views.stack import Stack


def build_host_views(cluster: Cluster, hosts: Optional[Iterable[str]] = None) -> dict[str, HostView]:
    """Return the views of the named hosts, or of all hosts, in the order of the definition.

    A host whose naming policy is unknown has no view.
    """
    guests = cluster.guests_by_host()
    chosen = set(cluster.hosts if hosts is None else hosts)
    return {
        host.name: build_host_view(cluster, host, guests[host.name])
        for host in cluster.hosts.values()
        if host.name in chosen and host.policy_name in cluster.policies
    }


def build_host_view(cluster: Cluster, host: Host, guests: Sequence[Guest]) -> HostView:
    """Return the view of one host with these guests. Raises KeyError if its naming policy is unknown."""
    return _Layout(cluster, host, guests).build()


class _Layout:
    """Builds the parts of one host's view, each from those before it."""

    def __init__(self, cluster: Cluster, host: Host, guests: Sequence[Guest]) -> None:
        self.cluster, self.host, self.guests = cluster, host, guests
        self.policy = cluster.policies[host.policy_name]
        self.stack = Stack(host, self.policy)
        self.mtus: Mtus

    def build(self) -> HostView:
        """Return the view."""
        guest_vlans, macvtaps, ports, unattached = self._guest_devices()
        self.mtus = Mtus(self.stack, self._network_mtu, guest_vlans)
        guest_vlans = [dataclasses.replace(v, mtu=self.mtus.of_guest_vlan(v)) for v in guest_vlans]
        routes, unrouted = routing.build_routes(self.cluster, self.host, self.policy, self._carriers())
        servers, search = self._dns()
        return HostView(
            cluster=self.cluster.name,
            host=self.host.name,
            policy=self.policy,
            hostname=self.host.hostname,
            nics=tuple(self._nic(i) for i in self.stack.nics),
            bonds=tuple(self._bond(i) for i in self.stack.bonds),
            vlans=tuple(self._vlan(i) for i in self.stack.vlans),
            bridges=tuple(self._bridge(i) for i in [*self.stack.bridged, *self.stack.bridges]),
            guest_vlans=tuple(guest_vlans),
            macvtaps=tuple(macvtaps),
            guest_ports=tuple(ports),
            routes=routes,
            dns_servers=servers,
            dns_search=search,
            probes=self._probes(),
            unattached=tuple(unattached),
            unrouted=unrouted,
        )

    def _probes(self) -> tuple[Probe, ...]:
        """Return the host's probes, without those of its own addresses."""
        own_addresses = {str(placed.ip) for i in self.host.interfaces.values() for placed in i.addresses}
        return tuple(p.probe for p in self.host.probes if p.probe.address not in own_addresses)

    def _network_of(self, interface: Interface) -> Optional[Network]:
        return self.cluster.networks.get(interface.network or "")

    def _carriers(self) -> list[tuple[Interface, str]]:
        """Return the interfaces that can have addresses, each with the name of the device that has them."""
        names = {i.name for i in self.stack.active if not self._is_port(i)}
        return [(i, self.stack.top(i)) for i in self.host.interfaces.values() if i.name in names]

    def _is_port(self, interface: Interface) -> bool:
        """Whether an interface is a port of a bond or bridge of the definition."""
        return interface.name in self.stack.bond_of or interface.name in self.stack.bridge_of

    def _ip(self, interface: Interface) -> IpView:
        network = self._network_of(interface)
        addresses = []
        for placed in interface.addresses:
            if interface.source(placed.ip.version) != "static":
                continue  # the checks report it
            prefix = placed.prefix
            if prefix is None:
                subnet = network.subnet_of(placed.ip) if network else None
                prefix = subnet.prefixlen if subnet else placed.ip.max_prefixlen
            addresses.append(Address(str(placed.ip), prefix, placed.ip.version))
        return IpView(
            ipv4=interface.ipv4,
            ipv6=interface.ipv6,
            addresses=tuple(addresses),
            auto_dns=network is None or not network.dns_servers,
            auto_gateway=network is None or network.default_route,
            metric=(network.metric if network else None) or self.policy.metric,
        )

    def _device_ip(self, interface: Interface) -> IpView:
        """Return the addresses of the device itself: none if it is a port."""
        is_port = self._is_port(interface) or self.stack.is_bridged(interface)
        return NO_IP if is_port else self._ip(interface)

    def _network_mtu(self, interface: Interface) -> Optional[int]:
        network = self._network_of(interface)
        return network.mtu if network else None

    def _nic(self, interface: Interface) -> NicView:
        stack, bond = self.stack, self.stack.bond_of.get(interface.name)
        device, controller = stack.device(interface), stack.controller(interface)
        has_vlan = any(stack.base_name(vlan) == device for vlan in stack.vlans)
        is_used = controller is not None or has_vlan or bond is not None or interface.network is not None
        has_ip = interface.ipv4 != "none" or interface.ipv6 != "none"
        return NicView(
            interface=interface.name,
            name=device,
            kernel_name=interface.kernel_name,
            mac=interface.mac,
            mtu=self.mtus.of_nic_or_bond(interface) if interface.up else None,
            promiscuous=controller is not None and self.policy.promiscuous,
            controller=controller,
            bond=bond.name if bond else None,
            ip=self._device_ip(interface) if interface.up else NO_IP,
            managed=interface.managed and (is_used or has_ip or not interface.up),
            up=interface.up,
            is_renamed=stack.is_renamed(interface),
            has_link_file=stack.has_link_file(interface),
            mark=interface.place.mark,
        )

    def _bond(self, interface: Interface) -> BondView:
        options = dict(interface.options)
        if "miimon" not in options and "arp_interval" not in options:
            options["miimon"] = 100  # milliseconds; by default the kernel does not monitor the links
        primary = self.host.interfaces.get(str(options.get("primary")))
        if primary is not None and primary.is_nic:
            options["primary"] = self.stack.device(primary)
        return BondView(
            interface=interface.name,
            name=interface.name,
            ports=tuple(self.stack.device(self.host.interfaces[port]) for port in interface.ports),
            mode=interface.mode,
            options=tuple(sorted(options.items())),
            mac=self._mac(interface),
            mtu=self.mtus.of_nic_or_bond(interface),
            controller=self.stack.controller(interface),
            ip=self._device_ip(interface),
            mark=interface.place.mark,
        )

    def _mac(self, interface: Interface) -> Optional[str]:
        """Return the MAC address of a NIC, bond, VLAN or bridge, or None if the definition does not give it.

        A bond has that of its first port, a bridge that of its first port that has one, a VLAN that of its base
        interface. None for a bond with fail_over_mac: active: then the kernel changes it, and nmstate rejects a bond
        with a MAC address.
        """
        if interface.is_vlan:
            base = self.stack.base(interface)
            return self._bridge_mac(base.interface) if base.is_its_bridge else self._mac(base.interface)
        if interface.is_bridge:
            return self._bridge_mac(interface)
        if interface.is_bond:
            if interface.mode == "active-backup" and dict(interface.options).get("fail_over_mac") == "active":
                return None
            return self.host.interfaces[interface.ports[0]].mac
        return interface.mac

    def _bridge_mac(self, interface: Interface) -> Optional[str]:
        """Return the MAC address of an interface that is a bridge, or of the bridge of a NIC, bond or VLAN."""
        ports = self.stack.ports(interface)
        return _stated_mac(interface) or next((mac for port in ports if (mac := self._mac(port))), None)

    def _vlan(self, interface: Interface) -> VlanView:
        return VlanView(
            name=self.stack.device(interface),
            base=self.stack.base_name(interface),
            tag=interface.tag or 0,
            mtu=self.mtus.of_vlan(interface),
            controller=self.stack.controller(interface),
            ip=self._device_ip(interface),
            always=True,
            mark=interface.place.mark,
        )

    def _bridge(self, interface: Interface) -> BridgeView:
        settings = interface.bridge_settings
        return BridgeView(
            interface=interface.name,
            name=self.stack.top(interface),
            ports=tuple(self.stack.device(port) for port in self.stack.ports(interface)),
            mac=self._bridge_mac(interface),
            is_mac_stated=_stated_mac(interface) is not None,
            mtu=self.mtus.of_bridge(interface),
            stp=self.policy.stp if settings.stp is None else settings.stp,
            is_stp_stated=settings.stp is not None,
            priority=settings.priority,
            ageing=settings.ageing,
            group_forward_mask=settings.group_forward_mask,
            multicast_snooping=settings.multicast_snooping,
            vlan_filtering=settings.vlan_filtering,
            ip=self._ip(interface),
            mark=interface.place.mark,
        )

    def _dns(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the name servers and search domains of the networks in which the host has an address."""
        addressed = [i for i, _ in self._carriers() if {i.ipv4, i.ipv6} - {"none", "link-local"}]
        networks = [self._network_of(i) for i in addressed]
        servers = dict.fromkeys(str(s.ip) for n in networks if n for s in n.dns_servers)
        search = dict.fromkeys(domain for n in networks if n for domain in n.dns_search)
        return tuple(servers), tuple(search)

    def _guest_devices(
        self,
    ) -> tuple[list[VlanView], list[MacvtapView], list[GuestPortView], list[tuple[Guest, GuestNic]]]:
        """Return the VLANs and macvtaps of the host's guests, the ports of their NICs, and the NICs without a port."""
        vlans: dict[str, VlanView] = {}
        macvtaps: list[MacvtapView] = []
        ports: list[GuestPortView] = []
        unattached: list[tuple[Guest, GuestNic]] = []
        own_vlans = {self.stack.device(i) for i in self.stack.vlans}
        bridges = [*self.stack.bridged, *self.stack.bridges]
        for guest in self.guests:
            for nic in guest.nics:
                network = self.cluster.networks.get(nic.network)
                if network is None:
                    continue
                bridged = next((i for i in bridges if i.network == network.name), None)
                trusts = nic.trusts_guest
                if bridged is not None:
                    bridge = self.stack.top(bridged)
                    port = GuestPortView(guest.name, nic.mac, network.name, bridge, network.vlan, trusts_guest=trusts)
                    ports.append(port)
                    continue
                always = (nic.attach or network.attach or self.policy.attach) == "always"
                vlan = self._vlan_for_guests(network, always)
                if vlan is None:
                    unattached.append((guest, nic))
                    continue
                if vlan.name not in own_vlans and (always or vlan.name not in vlans):
                    vlans[vlan.name] = vlan
                name, mode = self.policy.macvtap_name(nic.mac), self.policy.macvtap_mode
                is_trusted = bool(trusts) and not always
                macvtaps.append(
                    MacvtapView(name, vlan.name, nic.mac, mode, guest.name, always, is_trusted, nic.place.mark)
                )
                port = GuestPortView(guest.name, nic.mac, network.name, vlan.name, vlan.tag, name, mode, always, trusts)
                ports.append(port)
        return list(vlans.values()), macvtaps, ports, unattached

    def _vlan_for_guests(self, network: Network, always: bool) -> Optional[VlanView]:
        """Return the VLAN device that connects guests of this host to a network, or None.

        It is the host's own VLAN on this network, else a device on the NIC, bond or bridge of the network it is `over`.
        """
        if network.vlan is None:
            return None
        for vlan in self.stack.vlans:
            if vlan.network == network.name and not self._is_port(vlan):
                device, below = self.stack.device(vlan), self.stack.base_name(vlan)
                return VlanView(device, below, network.vlan, network.mtu, None, NO_IP, always, vlan.place.mark)
        for base in sorted(self.stack.active, key=self._is_port):  # a bridge before its ports
            if network.over is not None and base.network == network.over and not base.is_vlan:
                device = self.stack.device(base)
                name = self.policy.vlan_name(device, network.vlan)
                return VlanView(name, device, network.vlan, network.mtu, None, NO_IP, always, network.place.mark)
        return None


def _stated_mac(interface: Interface) -> Optional[str]:
    """Return the MAC address that the definition states for a bridge, or for the bridge of another interface."""
    return interface.mac if interface.is_bridge else interface.bridge_settings.mac
