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

#: Default MTU in bytes (IEEE 802.3). It is rendered only where a related interface has another MTU.
ETHERNET_MTU = 1500


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
        interfaces = [i for i in host.interfaces.values() if not i.left_alone]
        active = [i for i in interfaces if i.managed and i.up]
        self.nics = [i for i in interfaces if i.is_nic]
        active_nics = {i.name for i in active if i.is_nic}
        # Omitted, because the checks report them: loops of bonds and VLANs, and ports that are not NICs of the host.
        self.bonds = [i for i in active if i.is_bond and not i.is_vlan and active_nics.issuperset(i.ports)]
        bases = active_nics | {i.name for i in self.bonds}
        self.vlans = [i for i in active if i.parent in bases and i.tag is not None]
        self.bond_of = {port: bond for bond in reversed(self.bonds) for port in bond.ports}
        self.active = [i for i in [*self.nics, *self.bonds, *self.vlans] if i.managed and i.up]
        self.bridged = [i for i in self.active if host.bridged(i)]
        self.is_bridged = {i.name for i in self.bridged}
        self.devices: dict[str, str] = {}
        self.base_mtus: dict[str, Optional[int]] = {}

    def build(self) -> HostView:
        """Return the view."""
        guest_vlans, macvtaps, ports, unattached = self._guest_devices()
        self.base_mtus = {self._device(i): self._base_mtu(i, guest_vlans) for i in [*self.nics, *self.bonds]}
        guest_vlans = [dataclasses.replace(v, mtu=self._stacked_mtu(v.mtu, v.base)) for v in guest_vlans]
        routes, unrouted = routing.build_routes(self.cluster, self.host, self.policy, self._carriers())
        servers, search = self._dns()
        return HostView(
            cluster=self.cluster.name,
            host=self.host.name,
            policy=self.policy,
            hostname=self.host.hostname,
            nics=tuple(self._nic(i) for i in self.nics),
            bonds=tuple(self._bond(i) for i in self.bonds),
            vlans=tuple(self._vlan(i) for i in self.vlans),
            bridges=tuple(self._bridge(i) for i in self.bridged),
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

    def _device(self, interface: Interface) -> str:
        """Return the kernel name of the interface itself, not of its bridge. Names are cached."""
        name = self.devices.get(interface.name)
        if name is None:
            name = self.devices[interface.name] = self._device_name(interface)
        return name

    def _device_name(self, interface: Interface) -> str:
        if interface.parent is not None:
            base = self._device(self.host.interfaces[interface.parent])
            return self.policy.vlan_name(base, interface.tag or 0)
        if interface.is_nic and interface.name in self.is_bridged and self.policy.renames:
            return self.policy.nic_name(interface.name)
        if interface.is_nic and interface.kernel_name is not None and not self._has_link_file(interface):
            return interface.kernel_name
        return interface.name

    def _has_link_file(self, nic: Interface) -> bool:
        """Whether a .link file gives the NIC its name.

        If the naming policy renames NICs, every NIC with a known MAC address has one. Without it, a NIC that the kernel
        finds late could take its name.
        """
        return self.policy.renames and nic.mac is not None

    def _top(self, interface: Interface) -> str:
        """Return the name of the device that has the addresses: the bridge if there is one."""
        device = self._device(interface)
        if interface.name in self.is_bridged:
            return self.policy.bridge_name(interface.name, device)
        return device

    def _controller(self, interface: Interface) -> Optional[str]:
        return self._top(interface) if interface.name in self.is_bridged else None

    def _carriers(self) -> list[tuple[Interface, str]]:
        """Return the interfaces that can have addresses, each with the name of the device that has them."""
        names = {i.name for i in self.active if i.name not in self.bond_of}
        return [(i, self._top(i)) for i in self.host.interfaces.values() if i.name in names]

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
        """Return the addresses of the device itself: none if it has a bridge."""
        return NO_IP if interface.name in self.is_bridged else self._ip(interface)

    def _base_mtu(self, interface: Interface, guest_vlans: Sequence[VlanView]) -> Optional[int]:
        """Return the MTU of a NIC or bond in bytes, or None for the default.

        It is the one set on the interface, else that of its bond, else the largest one of its network and its VLANs:
        the kernel rejects a VLAN with a larger MTU than its base interface (ERANGE).
        """
        if interface.mtu is not None:
            return interface.mtu
        if interface.name in self.bond_of:
            return self._base_mtu(self.bond_of[interface.name], guest_vlans)
        network_mtu = self._network_mtu(interface)
        mtus = [network_mtu]
        for vlan in self.vlans:
            if vlan.parent == interface.name:
                mtus += [self._network_mtu(vlan), vlan.mtu]
        device = self._device(interface)
        mtus += [v.mtu for v in guest_vlans if v.base == device]
        defined = [mtu for mtu in mtus if mtu is not None]
        return max([*defined, network_mtu or ETHERNET_MTU]) if defined else None

    def _network_mtu(self, interface: Interface) -> Optional[int]:
        network = self._network_of(interface)
        return network.mtu if network else None

    def _upper_mtu(self, interface: Interface, defined: Optional[int]) -> Optional[int]:
        """Return the MTU of a VLAN, or of the bridge of a NIC, bond or VLAN. `defined` is the one that is set."""
        base = self.host.interfaces[interface.parent] if interface.parent is not None else interface
        return self._stacked_mtu(defined, self._device(base))

    def _stacked_mtu(self, defined: Optional[int], base: str) -> Optional[int]:
        """Return the MTU of a device on the NIC or bond `base`: the defined one, else the default.

        Without one, a VLAN would inherit the larger MTU of its base interface, and a bridge that of its port.
        """
        base_mtu = self.base_mtus.get(base)
        return defined if defined is not None or base_mtu is None else min(base_mtu, ETHERNET_MTU)

    def _nic(self, interface: Interface) -> NicView:
        bond, is_bridged = self.bond_of.get(interface.name), interface.name in self.is_bridged
        has_vlan = any(v.parent == interface.name for v in self.vlans)
        is_used = is_bridged or has_vlan or bond is not None or interface.network is not None
        has_ip = interface.ipv4 != "none" or interface.ipv6 != "none"
        return NicView(
            interface=interface.name,
            name=self._device(interface),
            kernel_name=interface.kernel_name,
            mac=interface.mac,
            mtu=self.base_mtus[self._device(interface)] if interface.up else None,
            promiscuous=is_bridged and self.policy.promiscuous,
            controller=self._controller(interface),
            bond=bond.name if bond else None,
            ip=self._device_ip(interface) if bond is None and interface.up else NO_IP,
            managed=interface.managed and (is_used or has_ip or not interface.up),
            up=interface.up,
            has_link_file=self._has_link_file(interface),
            mark=interface.place.mark,
        )

    def _bond(self, interface: Interface) -> BondView:
        options = dict(interface.options)
        if "miimon" not in options and "arp_interval" not in options:
            options["miimon"] = 100  # milliseconds; by default the kernel does not monitor the links
        primary = self.host.interfaces.get(str(options.get("primary")))
        if primary is not None and primary.is_nic:
            options["primary"] = self._device(primary)
        return BondView(
            interface=interface.name,
            name=interface.name,
            ports=tuple(self._device(self.host.interfaces[port]) for port in interface.ports),
            mode=interface.mode,
            options=tuple(sorted(options.items())),
            mac=self._bond_mac(interface),
            mtu=self.base_mtus[self._device(interface)],
            controller=self._controller(interface),
            ip=self._device_ip(interface),
            mark=interface.place.mark,
        )

    def _bond_mac(self, bond: Interface) -> Optional[str]:
        """Return the MAC address of a bond: that of its first port.

        None with fail_over_mac: active. Then the kernel changes it, and nmstate rejects a bond with a MAC address.
        """
        if bond.mode == "active-backup" and dict(bond.options).get("fail_over_mac") == "active":
            return None
        return self.host.interfaces[bond.ports[0]].mac

    def _vlan(self, interface: Interface) -> VlanView:
        assert interface.parent is not None
        return VlanView(
            name=self._device(interface),
            base=self._device(self.host.interfaces[interface.parent]),
            tag=interface.tag or 0,
            mtu=self._upper_mtu(interface, interface.mtu or self._network_mtu(interface)),
            controller=self._controller(interface),
            ip=self._device_ip(interface),
            always=True,
            mark=interface.place.mark,
        )

    def _bridge(self, interface: Interface) -> BridgeView:
        base = self.host.interfaces[interface.parent] if interface.parent else interface
        own_mtu = interface.mtu if interface.is_vlan else None
        return BridgeView(
            name=self._top(interface),
            port=self._device(interface),
            mac=self._bond_mac(base) if base.is_bond else base.mac,
            mtu=self._upper_mtu(interface, own_mtu or self._network_mtu(interface)),
            stp=self.policy.stp,
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
        own_vlans = {self._device(i) for i in self.vlans}
        for guest in self.guests:
            for nic in guest.nics:
                network = self.cluster.networks.get(nic.network)
                if network is None:
                    continue
                bridged = next((i for i in self.bridged if i.network == network.name), None)
                trusts = nic.trusts_guest
                if bridged is not None:
                    bridge = self._top(bridged)
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

        It is the host's own VLAN on this network, else a device on the NIC or bond of the network it is `over`.
        """
        if network.vlan is None:
            return None
        for vlan in self.vlans:
            if vlan.network == network.name:
                return self._vlan(vlan)
        for base in self.active:
            if network.over is not None and base.network == network.over and not base.is_vlan:
                device = self._device(base)
                name = self.policy.vlan_name(device, network.vlan)
                return VlanView(name, device, network.vlan, network.mtu, None, NO_IP, always, network.place.mark)
        return None
